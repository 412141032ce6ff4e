/** Results as Markdown, for the handbook: a table for each bench, and a line of what it was measured on. Pure. */

import type { MachineFacts } from "../measuring/machine.ts";
import { type BenchResult, pivot } from "./figures.ts";

/** All of them. */
export function markdown(results: readonly BenchResult[], machine: MachineFacts): string {
	const facts = machine.map(([name, value]) => `${name} ${value}`).join(" · ");
	return [`Medians of the repeats (least–greatest). ${facts}.`, ...results.map(section)].join("\n\n").concat("\n");
}

function section({ bench, question, figures, notes, findings }: BenchResult): string {
	const { head, rows } = pivot(figures);
	const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
	const rule = line(head.map((_, index) => (index === 0 ? "---" : "---:")));
	const table = [line([bench, ...head.slice(1)]), rule, ...rows.map(line)].join("\n");
	return [`**${bench}**: ${question}`, table, ...notes, ...findings.map((each) => `WRONG: ${each}`)].join("\n\n");
}
