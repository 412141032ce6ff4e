/**
 * Messages whose timestamp is too far ahead for a table with `cas.version: timestamp`. They become dead letters, and none of their rows is
 * written. Pure.
 */
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import type { RowBlock } from "../../core/rows/rows.ts";
import type { LetterCause } from "./message-letters.ts";

/** The messages too far ahead of `nowMs`, by index in the batch. `limits`: `maxFutureMs` of such tables. */
export function futureMessages(
	{ timestamps }: PackedBatch,
	blocks: readonly RowBlock[],
	limits: ReadonlyMap<string, number>,
	nowMs: number,
): ReadonlyMap<number, LetterCause> {
	const future = new Map<number, LetterCause>();
	for (const { table, messages } of blocks) {
		const maxFutureMs = limits.get(table);
		if (maxFutureMs === undefined) continue;
		const latest = nowMs + maxFutureMs;
		for (const message of messages) {
			const timestamp = timestamps[message] as number;
			if (timestamp <= latest || future.has(message)) continue;
			const ahead = Math.round((timestamp - nowMs) / 1000);
			const error = `the message's timestamp is ${ahead} s ahead of this machine's clock, more than cas.maxFutureMs allows`;
			future.set(message, { reason: "future_timestamp", error });
		}
	}
	return future;
}
