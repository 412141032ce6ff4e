/**
 * One transaction with the rows of some messages, tried in several orders: parent tables before child tables; rows by id, in the order of
 * the log, or one by one. Does not decide about waiting, and does not split the messages.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */

import type { SqlProblem } from "../../database/sql-faults.ts";
import { MISSING_PARENT } from "../../database/sqlstate-names.ts";
import { SEARCH_LIMITS } from "../refused/row-search.ts";
import type { NotTogether, TogetherStatement, TogetherTry, TogetherWriter } from "../together-writer.ts";
import type { StatementSize } from "../tuning/statement-size.ts";
import { type AtomicMessage, type AtomicRunParts, isDefinite, type RunForm, rowAt, sizeOf, statementsOf } from "./atomic-run.ts";

/** What it needs from the writer. */
export interface AtomicTransactionsParts extends Omit<AtomicRunParts, "order"> {
	/** Tables whose rows of one message are written together. */
	readonly tables: ReadonlySet<string>;
	readonly together: TogetherWriter;
	readonly ended: AbortSignal;
}

/** Options of one attempt. */
export interface AtomicTry {
	/** Learns how long a number of rows took. */
	readonly size: StatementSize;
	/** True if the attempt should find out which message, and which of its rows, is to blame. */
	readonly isSearch: boolean;
	/** Called when all rows are written, before the last of their owners is told. */
	readonly settling: () => void;
}

/** Why messages were not written, and at which row, as far as that is known. */
export interface NotWritten {
	readonly problem: SqlProblem;
	readonly table: string;
	readonly id: string;
}

type Timed = Pick<TogetherTry, "limits" | "settling">;

const TRIGGER = "linger";
/** Tries one transaction with the rows of some messages, in several orders. One per writer. */
export class AtomicTransactions {
	readonly #parts: AtomicTransactionsParts;
	/** Order in which the tables are written: parents before children, as learned from refusals. */
	#order: readonly string[];

	constructor(parts: AtomicTransactionsParts) {
		this.#parts = parts;
		this.#order = [...parts.tables];
	}

	/** Writes these messages in one transaction, trying the possible orders. Null if all were written, or the writer ended. */
	async run(run: readonly AtomicMessage[], { size, isSearch, settling }: AtomicTry): Promise<NotWritten | null> {
		const { rows } = sizeOf(run);
		const timed: Timed = {
			...(isSearch ? { limits: SEARCH_LIMITS } : {}),
			settling: (durationMs) => {
				size.succeeded(rows, durationMs);
				settling();
			},
		};
		const not = await this.#byTable(run, timed);
		if (!not || this.#parts.ended.aborted) return null;
		const isOneOfSeveral = run.length === 1 && rows > 1 && (isDefinite(not.problem) || (isSearch && not.problem.mayBeOneRows));
		return isOneOfSeveral ? await this.#oneByOne(run, timed) : not;
	}

	/** A statement per table: parents before children; rows by id or, if that is refused, in the log's order. */
	async #byTable(run: readonly AtomicMessage[], timed: Timed): Promise<NotWritten | null> {
		let order = this.#order;
		let mostMoves = (order.length * (order.length - 1)) / 2;
		for (let form: RunForm = "by-id"; ; ) {
			const statements = this.#statementsOf(run, form, order);
			const not = await this.#parts.together.try(statements, { trigger: TRIGGER, ...timed });
			if (!not) {
				this.#order = order;
				return null;
			}
			const table = statements[not.statement]?.table as string;
			const isChildFirst = not.problem.code === MISSING_PARENT && statements.slice(not.statement + 1).some((each) => each.table !== table);
			if (isChildFirst && mostMoves-- > 0) order = [...order.filter((each) => each !== table), table];
			else if (not.problem.fault === "order" && form === "by-id" && run.length > 1) form = "in-order";
			else return notWritten(run, statements, not);
		}
	}

	/** Each row in a statement of its own. Rows refused because of others are repeated after those, as long as that helps. */
	async #oneByOne(run: readonly AtomicMessage[], timed: Timed): Promise<NotWritten | null> {
		const statements = this.#statementsOf(run, "one-by-one", this.#order);
		let moves = 0;
		for (let reached = 0; ; ) {
			const not = await this.#parts.together.try(statements, { trigger: TRIGGER, ...timed });
			if (!not || this.#parts.ended.aborted) return null;
			if (not.statement > reached) moves = 0;
			reached = not.statement;
			if (not.problem.fault !== "order" || ++moves >= statements.length - reached) return notWritten(run, statements, not);
			statements.push(...statements.splice(reached, 1));
		}
	}

	#statementsOf(run: readonly AtomicMessage[], form: RunForm, order: readonly string[]): TogetherStatement[] {
		return statementsOf(run, form, { ...this.#parts, order });
	}
}

function notWritten(
	run: readonly AtomicMessage[],
	statements: readonly TogetherStatement[],
	{ problem, statement }: NotTogether,
): NotWritten {
	const { table, row } = rowAt(run[0] as AtomicMessage, statements[statement]);
	return { problem, table: statements[statement]?.table ?? table, id: row.id };
}
