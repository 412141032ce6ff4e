/**
 * Handles a run of messages with `pockaffe:json`: from their bytes, or one by one by the handler if that is not enough. Each group of
 * messages counts as one call of the handler, because reading the clock for every message would take as long as reading the message.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import { performance } from "node:perf_hooks";
import type { PackedBatch } from "../../../core/messages/packed-batch.ts";
import type { SharedProgress } from "../../thread/thread-protocol.ts";
import type { OutcomeCollector } from "../outcome-collector.ts";
import type { RunParts } from "../run-parts.ts";
import type { JsonReader } from "./json-reader.ts";

/** A group ends after this many messages (about 50 µs) or this many bytes (about 1 ms). */
const GROUP = 64;
const GROUP_BYTES = 2 ** 18;

/** What reading a run needs; `from` is the index of its first message in the whole batch. */
export interface JsonRun {
	readonly batch: PackedBatch;
	readonly from: number;
	readonly reader: JsonReader;
	readonly results: OutcomeCollector;
	readonly progress: SharedProgress;
	/** The handler's outcome of message `index` of the run. May throw. */
	readonly handle: (index: number) => unknown;
	/** Bytes of rows after which a part leaves the thread. */
	readonly partBytes: number;
	/** All messages before this index of the run are handled. */
	readonly handledTo: (index: number) => void;
}

/** Resolves to the failure of the first message that is not handled; null: none. */
export async function readRun(run: JsonRun, parts: RunParts): Promise<{ readonly error: unknown } | null> {
	const { batch, from, results, progress, reader } = run;
	let startedAt = performance.now();
	for (let index = 0; index < batch.length && !parts.mustEnd(index, startedAt); ) {
		const end = groupEnd(batch, index);
		progress.enter("handle", from + index, end - index);
		for (; index < end; index++) {
			const bytes = reader.read(index, from + index, results.hasWarned(reader.table));
			if (bytes > 0) {
				results.addRead(bytes, isDelete(batch, index));
				continue;
			}
			try {
				results.add(from + index, run.handle(index));
			} catch (error) {
				run.handledTo(index);
				return { error };
			}
		}
		progress.leave("handle");
		const endedAt = performance.now();
		results.timed(endedAt - startedAt);
		startedAt = endedAt;
		run.handledTo(index);
		if (!parts.isDue(endedAt) && results.bytes < run.partBytes) continue;
		await parts.passOn();
		startedAt = performance.now();
	}
	return null;
}

/** True if the message's value is null. */
function isDelete({ lengths }: PackedBatch, index: number): boolean {
	return (lengths[3 * index + 1] as number) < 0;
}

function groupEnd({ starts, length }: PackedBatch, first: number): number {
	const start = starts[first] as number;
	let end = first + 1;
	while (end < length && end - first < GROUP && (starts[end] as number) - start < GROUP_BYTES) end++;
	return end;
}
