/** A dead letter for tests; whoever cares for a part of it says so. */
import type { DeadLetter, LetterFilter, LetterStore, StoredLetter } from "../../../src/core/dead-letters/dead-letter.ts";

export function deadLetter(over: Partial<DeadLetter> = {}): DeadLetter {
	return {
		topic: "orders",
		partition: 2,
		offset: 7,
		topicId: null,
		timestamp: 1_700_000_000_000,
		receivedAtMs: Number.POSITIVE_INFINITY,
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
		rowsLeftOut: 0,
		attempts: 1,
		handlerVersion: "4f2a",
		state: "open",
		...over,
	};
}

/** One as its target keeps it. */
export function storedLetter(over: Partial<StoredLetter> = {}): StoredLetter {
	const { receivedAtMs: _, ...letter } = deadLetter();
	const at = new Date(letter.timestamp).toISOString();
	return { ...letter, headers: [], handlerVersion: "4f2a", firstAt: at, lastAt: at, pockaffeVersion: "0.0.0", ...over };
}

/** All that match, or the first `most` of them. */
export async function lettersIn(store: LetterStore, filter: LetterFilter = {}, most?: number): Promise<StoredLetter[]> {
	const letters: StoredLetter[] = [];
	for await (const page of store.read(filter, most)) letters.push(...page);
	return letters;
}

/** What a replay met. */
export const replayFailure = {
	reason: "row_fault",
	error: "out of range",
	stack: null,
	sqlstate: "22003",
	table: "events",
	rowId: "id-7",
	refusedRows: [],
	attempts: 1,
	handlerVersion: "5b3c",
} as const;
