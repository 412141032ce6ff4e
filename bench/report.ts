/** What a measurement prints: a table for people, and as the last line of standard output JSON for machines. */
import { textTable } from "../src/commands/text-table.ts";

/** Figures by name. */
export function printFigures(figures: Readonly<Record<string, unknown>>): void {
	const rows = Object.entries(figures).map(([name, value]) => [name, typeof value === "object" ? JSON.stringify(value) : String(value)]);
	process.stdout.write(`${textTable(["FIGURE", "VALUE"], rows)}\n`);
	process.stdout.write(`${JSON.stringify(figures)}\n`);
}

export function round(value: number, digits: number): number {
	return Number(value.toFixed(digits));
}

/** The value that `share` (0 to 1) of all are not above. */
export function quantile(values: readonly number[], share: number): number {
	const sorted = [...values].sort((left, right) => left - right);
	return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] as number;
}

/** Progress, beside the figures. */
export function say(line: string): void {
	process.stderr.write(`${line}\n`);
}
