/** Rows that wait in the writer, for tests of its bookkeeping. */
import type { PendingRow } from "../../../src/sink/writer/sql/pending-rows.ts";

/** An owner that can be released. */
export interface Owner {
	released: boolean;
	settled(): void;
	settledAll(): void;
	refused(): void;
}

/** Who is told nothing. */
export function owner(): Owner {
	return { released: false, settled() {}, settledAll() {}, refused() {} };
}

export const somebody = owner();

/** A version of the row `hot`. */
export function pendingRow(offset: number, over: Partial<PendingRow> = {}): PendingRow {
	return {
		id: "hot",
		isDelete: false,
		timestamp: 0,
		offset,
		partition: 0,
		topic: "t",
		values: [],
		field: null,
		owner: somebody,
		message: offset,
		bytes: 10,
		order: 0,
		superseded: null,
		...over,
	};
}
