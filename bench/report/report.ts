/** Writes results as files: the page, and the Markdown beside it. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, extname, resolve } from "node:path";
import { describeMachine } from "../measuring/machine.ts";
import type { BenchResult } from "./figures.ts";
import { htmlPage } from "./html-page.ts";
import { markdown } from "./markdown.ts";

/** Resolves with the paths written: `out`, and the same ending in .md. */
export async function writeReport(out: string, results: readonly BenchResult[]): Promise<string[]> {
	const page = resolve(out);
	const table = `${page.slice(0, page.length - extname(page).length)}.md`;
	const machine = await describeMachine(results);
	await mkdir(dirname(page), { recursive: true });
	await writeFile(page, htmlPage(results, machine));
	await writeFile(table, markdown(results, machine));
	return [page, table];
}
