/**
 * Whether an answer of a handler's thread adds up. A handler may change what JavaScript is made of, and our own code in its thread with it:
 * then rows get lost while they are packed. Counted in the thread apart from the packing, compared on the main thread.
 *
 * Step 6 of a message's way (docs/architecture.md).
 */
import { type BatchOutcome, countHandled } from "../thread/handler-thread.ts";

/** What does not add up; null where all of it does. */
export function contradictionIn(outcome: BatchOutcome): string | null {
	const { from, to, blocks, rows, counts } = outcome;
	const told = counts.row + counts.delete + counts.none + counts.rejected;
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
	return packed === rows ? null : `the handler gave ${rows} rows and ${packed} were packed`;
}
