/**
 * Puts what handlers print into the log, labelled with partition and stream, up to a limit of lines per second for all threads together.
 * Lines beyond it are left out and counted; their number is logged at once, and then every ten seconds.
 */
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { grouped } from "../../core/text/counted.ts";
import type { ObserverParts } from "../listeners/observer-parts.ts";

/** What a thread printed; see worker/thread/output-quota.ts. */
export interface PrintedFact {
	readonly lines: readonly { readonly partition: TopicPartition | null; readonly stream: "stdout" | "stderr"; readonly line: string }[];
	readonly leftOut: readonly { readonly partition: TopicPartition | null; readonly lines: number }[];
}

/** At about 25 µs per record this is 5 % of the main thread, however many threads print. */
const LINES_PER_SECOND = 2_000;
const SECOND_MS = 1_000;
const TELL_EVERY_MS = 10_000;

interface Untold {
	readonly partition: TopicPartition | null;
	lines: number;
}

/** Returns `printed`, to be called with what a thread sends. */
export function observeOutput({ metrics, logger, clock }: Pick<ObserverParts, "metrics" | "logger" | "clock">) {
	const untold = new Map<string, Untold>();
	let endsAt = Number.NEGATIVE_INFINITY;
	let logged = 0;

	function tell({ partition, lines }: Untold): void {
		const whose = partition ? ` of ${partitionName(partition)}` : "";
		const message = `the handler prints too much: ${grouped(lines)} lines${whose} left out of the log; print less, or write to a file of its own`;
		logger.warn({ ...partition, lines }, message);
	}

	function watch(name: string): void {
		clock.after(TELL_EVERY_MS, () => {
			const more = untold.get(name) as Untold;
			if (more.lines === 0) {
				untold.delete(name);
				return;
			}
			tell(more);
			more.lines = 0;
			watch(name);
		});
	}

	function leftOut(partition: TopicPartition | null, lines: number): void {
		const labels = partition ? { topic: partition.topic, partition: partition.partition } : { topic: "", partition: "" };
		metrics.count("output_dropped_total", labels, lines);
		const name = partition ? partitionName(partition) : "";
		const known = untold.get(name);
		if (known) {
			known.lines += lines;
			return;
		}
		tell({ partition, lines });
		untold.set(name, { partition, lines: 0 });
		watch(name);
	}

	function hasRoom(): boolean {
		const now = clock.monotonic();
		if (now >= endsAt) {
			endsAt = now + SECOND_MS;
			logged = 0;
		}
		return logged < LINES_PER_SECOND;
	}

	return {
		/** Lines that a handler printed. Without a partition if several share the thread and no message was being handled. */
		printed({ lines, leftOut: dropped }: PrintedFact): void {
			let over = 0;
			for (const { partition, stream, line } of lines) {
				if (!hasRoom()) {
					over++;
					continue;
				}
				logged++;
				logger.info({ ...partition, source: "handler", stream }, line);
			}
			if (over > 0) leftOut((lines[lines.length - 1] as { partition: TopicPartition | null }).partition, over);
			for (const { partition, lines: count } of dropped) leftOut(partition, count);
		},
	};
}
