/**
 * Checks whether a thread's answer adds up. A handler may change JavaScript's built-ins, and with them PocKaffe's own code in its thread;
 * rows could then get lost while they are packed. They are counted in the thread apart from the packing, and compared here on the main
 * thread.
 *
 * Step 6 of a message's way (docs/architecture.md).
 */

import type { PackedRecords } from "../../core/messages/records.ts";
import { type BatchOutcome, countHandled } from "../thread/handler-thread.ts";

/** What does not add up; null if everything does. */
export function contradictionIn(outcome: BatchOutcome): string | null {
	const { from, to, blocks, rows, counts, records } = outcome;
	const told = counts.row + counts.delete + counts.none + counts.rejected + (records?.only ?? 0);
	if (told !== countHandled(outcome)) return `${countHandled(outcome)} messages were handled and ${told} have an outcome`;
	let packed = 0;
	for (const { length, messages, deletes, bytes } of blocks) {
		if (messages.length < length || deletes.length !== messages.length || bytes.length !== messages.length)
			return `a block of ${length} rows says ${messages.length} messages`;
		packed += messages.length;
		for (let i = 0; i < messages.length; i++) {
			const message = messages[i] as number;
			if (message < from || message >= to) return `a row is of message ${message}, which is none of ${from} to ${to - 1}`;
		}
	}
	if (packed !== rows) return `the handler gave ${rows} rows and ${packed} were packed`;
	return records ? contradictionOf(records, from, to) : null;
}

function contradictionOf({ blocks, count }: PackedRecords, from: number, to: number): string | null {
	let packed = 0;
	for (const { topic, length, messages, indexes, partitions, timestamps, starts, lengths, bytes } of blocks) {
		const lists = [messages, indexes, partitions, timestamps, starts].every((list) => list.length === length);
		if (!lists || lengths.length !== 3 * length) return `a block of ${length} records for ${topic} says ${messages.length} messages`;
		packed += length;
		let end = 0;
		for (let i = 0; i < length; i++) {
			const message = messages[i] as number;
			if (message < from || message >= to) return `a record is of message ${message}, which is none of ${from} to ${to - 1}`;
			if (starts[i] !== end) return `a record for ${topic} begins at byte ${starts[i]}, and the one before it ends at ${end}`;
			end += atLeastZero(lengths[3 * i]) + atLeastZero(lengths[3 * i + 1]) + atLeastZero(lengths[3 * i + 2]);
		}
		if (end !== bytes.length) return `the records for ${topic} have ${end} bytes, and ${bytes.length} were packed`;
	}
	return packed === count ? null : `the handler gave ${count} records and ${packed} were packed`;
}

function atLeastZero(length: number | undefined): number {
	return length === undefined || length < 0 ? 0 : length;
}
