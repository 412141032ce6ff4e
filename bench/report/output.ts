/** What a bench prints: progress on standard error; on standard output a table for people, or a line of JSON for machines. */
import { textTable } from "../../src/commands/terminal/text-table.ts";
import { type BenchResult, pivot } from "./figures.ts";

/** Progress, beside the figures. */
export function say(line: string): void {
	process.stderr.write(`${line}\n`);
}

/** The table, or the line. */
export function printResult(result: BenchResult, json: boolean): void {
	process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${shownResult(result)}\n`);
}

/** A bench's result for a terminal. */
export function shownResult({ bench, question, broker, database, options, figures, notes, findings }: BenchResult): string {
	const { head, rows } = pivot(figures);
	const servers = [broker, database].filter((each) => each !== null).join(", ");
	const given = Object.entries(options).map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(",") : value}`);
	const lines = [`${bench}: ${question}`, [servers, ...given].filter(Boolean).join(" · "), "", textTable(head, rows), ""];
	return [...lines, ...notes, ...findings.map((each) => `WRONG: ${each}`)].join("\n");
}
