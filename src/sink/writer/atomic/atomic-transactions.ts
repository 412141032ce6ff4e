/**
 * One transaction with the rows of some messages, tried in several orders: parent tables before child tables; rows by id, in the order of
 * the log, or one by one. Does not decide about waiting, and does not split the messages.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */

import type { SqlProblem } from "../../database/sql-faults.ts";
import type { NotTogether, TogetherStatement, TogetherTry, TogetherWriter } from "../together-writer.ts";
import type { StatementSize } from "../tuning/statement-size.ts";
import { type AtomicMessage, isDefinite, type RunForm, type RunParts, rowAt, sizeOf, statementsOf } from "./atomic-run.ts";

/** What it needs of the writer. */
export interface AtomicTransactionsParts extends Omit<RunParts, "order"> {
	/** Tables whose rows land together. */
	readonly tables: ReadonlySet<string>;
	readonly together: TogetherWriter;
	readonly ended: AbortSignal;
}

/** One try. */
export interface AtomicTry {
	/** Told how long so many rows took. */
	readonly size: StatementSize;
	/** It is to be found out which message, and which of its rows, is to blame. */
	readonly isSearch: boolean;
	/** Told that all went in, before the last of their owners is. */
	readonly settling: () => void;
}

/** Why a message or a run of them did not go in, and at which of its rows as far as that is known. */
export interface NotWritten {
	readonly problem: SqlProblem;
	readonly table: string;
	readonly id: string;
}

type Timed = Pick<TogetherTry, "limits" | "settling">;

const TRIGGER = "linger";
/** A lock that is waited for holds up all rows that come before it. */
const SEARCH_LIMITS = { lockTimeoutMs: 200 };

/** Tries one transaction with the rows of some messages, in several orders. One per writer. */
export class AtomicTransactions {
	readonly #parts: AtomicTransactionsParts;
	/** In which the tables are written: parents before children, as was found out. */
	#order: readonly string[];

	constructor(parts: AtomicTransactionsParts) {
		this.#parts = parts;
		this.#order = [...parts.tables];
	}

	/** One transaction of these messages, in the orders in which they may go in; null where all did, or where the writer was ended. */
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

	/** A statement per table: children behind parents, and in the order of ids or, where that is refused, in the log's. */
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
			const isChildFirst = not.problem.code === "23503" && statements.slice(not.statement + 1).some((each) => each.table !== table);
			if (isChildFirst && mostMoves-- > 0) order = [...order.filter((each) => each !== table), table];
			else if (not.problem.fault === "order" && form === "by-id" && run.length > 1) form = "in-order";
			else return notWritten(run, statements, not);
		}
	}

	/** Each row in a statement of its own, and what is refused for the sake of others behind those: so far as that moves something. */
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
