/** A dead letter for tests; whoever cares for a part of it says so. */
import type { DeadLetter } from "../../src/core/dead-letter.ts";

export function deadLetter(over: Partial<DeadLetter> = {}): DeadLetter {
	return {
		topic: "orders",
		partition: 2,
		offset: 7,
		timestamp: 1_700_000_000_000,
		key: Buffer.from("key"),
		value: Buffer.from("value"),
		headers: [],
		omitted: {},
		reason: "poison",
		error: "can't be read",
		stack: null,
		sqlstate: null,
		table: null,
		rowId: null,
		refusedRows: [],
		attempts: 1,
		state: "open",
		...over,
	};
}
