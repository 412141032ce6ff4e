/**
 * Writes rows of one or several tables in one transaction: all of them, or none. However long it takes, where waiting helps.
 *
 * Step 8 of a message's way (README).
 */
import { countsOf } from "./cas-upsert.ts";
import type { Trigger, WritingPlace } from "./lane.ts";
import type { PendingRow } from "./pending-rows.ts";
import { writtenColumns } from "./row-isolation.ts";
import type { RowWriter } from "./row-writer.ts";
import { problemOf, type SqlProblem } from "./sql-faults.ts";
import type { Writing } from "./writing.ts";

/** Rows of one table that go into a statement, one per id, in the order given. `isAside`: nobody waits for them. */
export interface TogetherStatement {
	readonly table: string;
	readonly rows: readonly PendingRow[];
	readonly isAside: boolean;
}

/** Why nothing of it went in, and at which statement. */
export interface NotTogether {
	readonly problem: SqlProblem;
	readonly statement: number;
}

/** See the file's header. */
export class TogetherWriter {
	readonly #writings: ReadonlyMap<string, Writing>;
	readonly #writers: ReadonlyMap<string, RowWriter>;

	/** By table. */
	constructor(writings: ReadonlyMap<string, Writing>, writers: ReadonlyMap<string, RowWriter>) {
		this.#writings = writings;
		this.#writers = writers;
	}

	/**
	 * Null where all went in (or the writer was ended); otherwise why not: other rows stand in the way, or a row can't be written. `place` is of the
	 * first statement's table.
	 */
	async write(place: WritingPlace, statements: readonly TogetherStatement[], trigger: Trigger): Promise<NotTogether | null> {
		const writing = this.#writings.get(place.layout.name) as Writing;
		const { database, ended, listener } = writing.parts;
		const texts = statements.map(({ table, rows }) => (this.#writers.get(table) as RowWriter).inOrder(rows));
		for (let failures = 1; ; failures++) {
			try {
				const { answer: answers, durationMs } = await writing.timed(() => database.transaction(texts));
				if (ended.aborted) return null;
				place.unsettled = null;
				listener.progressed(place);
				for (const [index, { table, rows, isAside }] of statements.entries()) {
					const [row = {}] = answers[index] ?? [];
					if (!isAside)
						this.#writers.get(table)?.written([...rows], countsOf(row), { trigger, durationMs: durationMs / statements.length });
				}
				listener.mended(place);
				return null;
			} catch (error) {
				if (ended.aborted) return null;
				const statement = (error as { readonly statement?: number }).statement ?? 0;
				const { layout } = this.#writings.get(statements[statement]?.table ?? "") ?? writing;
				const problem = problemOf(error, writtenColumns(layout));
				if (problem.fault === "row" || problem.fault === "order" || problem.fault === "split") return { problem, statement };
				if (!(await writing.waitAfter(problem, place, failures))) return null;
			}
		}
	}
}
