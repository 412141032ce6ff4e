/**
 * Writes rows of one or several tables in one transaction: all of them, or none. Tries again as long as waiting can help.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */

import type { DatabaseRow, Statement, StatementLimits } from "../database/database.ts";
import { problemOf, type SqlProblem } from "../database/sql-faults.ts";
import type { Trigger, WritingPlace } from "./lane.ts";
import { writtenColumns } from "./refused/row-isolation.ts";
import type { RowWriter } from "./row-writer.ts";
import { countsOf } from "./sql/cas-upsert.ts";
import type { PendingRow } from "./sql/pending-rows.ts";
import type { Writing } from "./writing.ts";

/** Rows of one table for one statement, one per id, in the given order or by id. `isAside`: no partition is waiting for them. */
export interface TogetherStatement {
	readonly table: string;
	readonly rows: readonly PendingRow[];
	readonly isAside: boolean;
	readonly isById: boolean;
}

/** Why nothing was written, and the index of the statement that failed. */
export interface NotTogether {
	readonly problem: SqlProblem;
	readonly statement: number;
}

/** Options of one attempt. */
export interface TogetherTry {
	readonly trigger: Trigger;
	readonly limits?: StatementLimits;
	/** Called with the duration when all rows are written, before the owners of the last statement's rows are told. */
	readonly settling: (durationMs: number) => void;
}

/** Writes rows of several tables in one transaction. */
export class TogetherWriter {
	readonly #writings: ReadonlyMap<string, Writing>;
	readonly #writers: ReadonlyMap<string, RowWriter>;

	/** By table. */
	constructor(writings: ReadonlyMap<string, Writing>, writers: ReadonlyMap<string, RowWriter>) {
		this.#writings = writings;
		this.#writers = writers;
	}

	/**
	 * Writes the statements in one transaction. Null if all were written (or the writer ended); otherwise why not: other rows are in the way,
	 * or a row can't be written. `place` belongs to the first statement's table.
	 */
	async write(place: WritingPlace, statements: readonly TogetherStatement[], trigger: Trigger): Promise<NotTogether | null> {
		const writing = this.#writingOf(statements, 0);
		const { ended, listener } = writing.parts;
		const settling = () => {
			place.unsettled = null;
			listener.progressed(place);
		};
		for (let failures = 1; ; failures++) {
			const not = await this.try(statements, { trigger, settling });
			if (ended.aborted) return null;
			if (!not) {
				listener.mended(place);
				return null;
			}
			const { problem } = not;
			if (problem.fault === "row" || problem.fault === "order" || problem.fault === "split") return not;
			if (!(await writing.waitAfter(problem, place, failures))) return null;
		}
	}

	/** One attempt. Null if all were written (their owners are told), or if the writer ended. */
	async try(statements: readonly TogetherStatement[], { trigger, limits, settling }: TogetherTry): Promise<NotTogether | null> {
		const writing = this.#writingOf(statements, 0);
		const { ended } = writing.parts;
		const texts = statements.map(({ table, rows, isById }) => (this.#writers.get(table) as RowWriter).statement(rows, isById));
		try {
			const { answer: answers, durationMs } = await writing.timed(() => this.#run(texts, limits));
			if (ended.aborted) return null;
			for (const [index, { table, rows, isAside }] of statements.entries()) {
				const [row = {}] = answers[index] ?? [];
				if (index === statements.length - 1) settling(durationMs);
				if (isAside) continue;
				this.#writers.get(table)?.written([...rows], countsOf(row), { trigger, durationMs: durationMs / statements.length });
			}
			return null;
		} catch (error) {
			const statement = (error as { readonly statement?: number }).statement ?? 0;
			return { problem: problemOf(error, writtenColumns(this.#writingOf(statements, statement).layout)), statement };
		}
	}

	/** One statement is atomic by itself. */
	async #run(texts: readonly Statement[], limits: StatementLimits | undefined): Promise<readonly (readonly DatabaseRow[])[]> {
		const { database } = (this.#writings.values().next().value as Writing).parts;
		const [only] = texts;
		if (only && texts.length === 1) return [await database.query(only.text, only.parameters, limits)];
		return await database.transaction(texts, limits);
	}

	#writingOf(statements: readonly TogetherStatement[], statement: number): Writing {
		return this.#writings.get(statements[statement]?.table ?? "") as Writing;
	}
}
