/** What a run came to, over all its parts: a thread that stood still for a while answers in several, however short its run is. */

import { splitTexts } from "../../../src/core/rows/joined-texts.ts";
import { type RowBlock, rowsOf } from "../../../src/core/rows/rows.ts";
import type { BatchOutcome } from "../../../src/worker/thread/handler-thread.ts";
import { blockOf } from "./row-blocks.ts";

/** `parts` in their order, the last is the run's own answer. */
export function wholeOutcome(parts: readonly BatchOutcome[]): BatchOutcome {
	const told = parts.filter(({ from, to }, index) => to > from || index === parts.length - 1);
	const last = told.at(-1) as BatchOutcome;
	if (told.length === 1) return last;
	const sum = (count: keyof BatchOutcome["counts"]) => told.reduce((total, { counts }) => total + counts[count], 0);
	const handled = told.flatMap((part) => Array.from(part.handled ?? []));
	return {
		...last,
		from: Math.min(...told.map(({ from }) => from)),
		...(last.handled ? { handled: handled.sort((left, right) => left - right) } : {}),
		blocks: joinedBlocks(told.flatMap(({ blocks }) => blocks)),
		rows: told.reduce((total, { rows }) => total + rows, 0),
		faults: told.flatMap(({ faults }) => faults),
		rejected: told.flatMap(({ rejected }) => rejected),
		counts: { row: sum("row"), delete: sum("delete"), none: sum("none"), rejected: sum("rejected") },
		durationsMs: Float64Array.from(told.flatMap(({ durationsMs }) => Array.from(durationsMs))),
		warnings: told.flatMap(({ warnings }) => warnings),
	};
}

/** A block per table and lane, in which no row is superseded by another. */
function joinedBlocks(blocks: readonly RowBlock[]): RowBlock[] {
	const names = [...new Set(blocks.map(({ table, lane }) => JSON.stringify([table, lane])))];
	return names.map((name) => {
		const mine = blocks.filter(({ table, lane }) => JSON.stringify([table, lane]) === name);
		const rows = mine.flatMap(rowsOf);
		const numbers = (texts: "timestamps" | "offsets") =>
			mine.flatMap((block) => {
				const own = splitTexts(block[texts], block.length, block.separators);
				const { superseded } = block;
				return [...(superseded ? splitTexts(superseded[texts], block.messages.length - block.length, block.separators) : []), ...own].map(
					Number,
				);
			});
		const [{ table, lane }] = mine as [RowBlock];
		return blockOf({
			table,
			lane,
			messages: rows.map(({ message }) => message),
			ids: rows.map(({ id }) => id),
			columns: (mine[0] as RowBlock).columns.map((_, column) => rows.map(({ values }) => values[column] ?? null)),
			deletes: rows.map(({ isDelete }) => isDelete),
			timestamps: numbers("timestamps"),
			offsets: numbers("offsets"),
		});
	});
}
