/**
 * Offsets that could not be committed for so long that somebody has to know: which partitions, since when, and why in the store's own
 * words. A single failure is not reported, because the next commit makes up for it. A problem ends with the next commit, or when the
 * partition is given away.
 */
import type { Clock } from "../../core/clock.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { Problem } from "../../core/problem.ts";

const PATIENCE_MS = 30_000;
/** Maximum partitions named in a message. */
const MOST_NAMES = 5;

/** Partitions whose offsets could not be committed for too long. */
export class FailingCommits {
	readonly #clock: Clock;
	readonly #isAssigned: (partition: TopicPartition) => boolean;
	readonly #failing = new Map<string, { readonly partition: TopicPartition; readonly sinceMs: number; readonly words: string }>();

	constructor(clock: Clock, isAssigned: (partition: TopicPartition) => boolean) {
		this.#clock = clock;
		this.#isAssigned = isAssigned;
	}

	/** A commit of these partitions, begun `tookMs` ago, failed. */
	failed(partitions: readonly TopicPartition[], words: string, tookMs: number): void {
		for (const { topic, partition } of partitions) {
			const name = partitionName({ topic, partition });
			const sinceMs = this.#failing.get(name)?.sinceMs ?? this.#clock.now() - tookMs;
			this.#failing.set(name, { partition: { topic, partition }, sinceMs, words });
		}
	}

	committed(partitions: readonly TopicPartition[]): void {
		if (this.#failing.size > 0) for (const partition of partitions) this.#failing.delete(partitionName(partition));
	}

	/** One problem for all partitions that fail in the same way. */
	get problems(): Problem<"commits_failing">[] {
		const byWords = new Map<string, { names: string[]; sinceMs: number }>();
		for (const [name, { partition, sinceMs, words }] of this.#failing) {
			if (!this.#isAssigned(partition)) this.#failing.delete(name);
			else if (this.#clock.now() - sinceMs >= PATIENCE_MS) {
				const alike = byWords.get(words) ?? { names: [], sinceMs };
				byWords.set(words, { names: [...alike.names, name], sinceMs: Math.min(alike.sinceMs, sinceMs) });
			}
		}
		return [...byWords].map(([words, { names, sinceMs }]) => ({
			code: "commits_failing",
			where: null,
			message: `the offsets of ${joined(names)} can't be committed: ${words}; rows are still written, and a restart would handle their messages again; commits go on by themselves once this is corrected`,
			sinceMs,
		}));
	}
}

function joined(names: readonly string[]): string {
	const more = names.length - MOST_NAMES;
	return more > 0 ? `${names.slice(0, MOST_NAMES).join(", ")} and ${more} more partitions` : names.join(", ");
}
