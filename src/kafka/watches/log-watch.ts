/**
 * Finds partitions whose topic was deleted while the member has them, and usually created again: their offsets then belong to another log.
 * Recognised by the topic id; without ids, because Kafka deletes the group's offsets together with the topic.
 *
 * Checked regularly, at once when the client reports an unknown topic or partition, and before each commit: Kafka accepts a commit by the
 * topic's name, and would then skip the new log's messages up to that offset. If the topic is created again between check and commit, the
 * note still names the old log, and the next start finds out.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { compareLogIds, type LogId } from "../../core/offsets/log-identity.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import type { AssignedLog } from "../offsets/offset-ledger.ts";
import { isRefusal } from "./rights.ts";

/** What the watch needs. Promises reject if Kafka can't be asked. */
export interface LogWatchParts {
	readonly clock: Clock;
	/** The partitions of this member. */
	readonly assigned: () => readonly AssignedLog[];
	/** Ids of topics that exist; null if an id can't be known. */
	readonly topicIds: (topics: readonly string[]) => Promise<ReadonlyMap<string, LogId>>;
	/** Partitions for which Kafka had an offset of this group, as far as this member knows, and has none any more. */
	readonly forgotten: (partitions: readonly TopicPartition[]) => Promise<readonly TopicPartition[]>;
	/** Must drop these partitions before it returns. deleted: no topic has that name now. */
	readonly remade: (partitions: readonly AssignedLog[], what: "made_again" | "deleted") => void;
}

const LOOK_EVERY_MS = 2_000;
/** Maximum wait of a commit whose positions name their logs. */
const ASK_MS = 1_000;

/** Finds partitions whose topic was deleted. Idempotent to dispose. */
export class LogWatch {
	readonly #parts: LogWatchParts;
	#timer: Timer | null = null;
	#looking: Promise<void> | null = null;
	#disposed = false;

	constructor(parts: LogWatchParts) {
		this.#parts = parts;
	}

	start(): void {
		if (this.#disposed) return;
		this.#timer = this.#parts.clock.after(LOOK_EVERY_MS, () => void this.look().finally(() => this.start()));
	}

	/** Checks all partitions once; one check at a time. Never rejects. */
	look(): Promise<void> {
		this.#looking ??= this.#check(this.#parts.assigned())
			.catch(() => {})
			.finally(() => {
				this.#looking = null;
			});
		return this.#looking;
	}

	/**
	 * Checks these partitions. If all of them name their log, it waits a second at most and never rejects: the start that follows compares
	 * the names. A partition without an id may be committed only behind an answer, so it waits for that as long as the client does, and
	 * rejects with Kafka's error. (A slow network needs more than a second: two requests, one after the other.) What decides is then as old
	 * as one answer's way, two seconds at most.
	 */
	async check(positions: readonly AssignedLog[]): Promise<void> {
		const checked = this.#check(positions);
		if (positions.every(({ logId }) => logId !== null)) return this.#secondOf(checked);
		try {
			await checked;
		} catch (error) {
			const code = error instanceof KafkaError ? error.kafkaCode : kafkaErrors.timedOut;
			const words = `Kafka does not say whether the topics are still the same: ${messageOf(error)}`;
			throw isRefusal(code) ? error : new KafkaError(words, code, { cause: error });
		}
	}

	/** Resolves with the check, whatever comes of it, or after a second. */
	#secondOf(checked: Promise<void>): Promise<void> {
		return new Promise((resolve) => {
			const timer = this.#parts.clock.after(ASK_MS, resolve);
			checked
				.catch(() => {})
				.finally(() => timer.cancel())
				.then(resolve);
		});
	}

	dispose(): void {
		this.#disposed = true;
		this.#timer?.cancel();
	}

	async #check(positions: readonly AssignedLog[]): Promise<void> {
		if (positions.length === 0) return;
		const ids = await this.#parts.topicIds([...new Set(positions.map(({ topic }) => topic))]);
		const standing = (position: AssignedLog) => compareLogIds(position.logId, ids.get(position.topic) ?? null);
		const others = positions.filter((position) => standing(position) === "other");
		this.#tell(others, "made_again");
		const unsure = positions.filter((position) => standing(position) === "unknown");
		if (unsure.length === 0) return;
		const forgotten = new Set((await this.#parts.forgotten(unsure)).map(partitionName));
		const gone = unsure.filter((position) => forgotten.has(partitionName(position)));
		this.#tell(
			gone.filter(({ topic }) => ids.has(topic)),
			"made_again",
		);
		this.#tell(
			gone.filter(({ topic }) => !ids.has(topic)),
			"deleted",
		);
	}

	#tell(remade: readonly AssignedLog[], what: "made_again" | "deleted"): void {
		if (remade.length > 0 && !this.#disposed) this.#parts.remade(remade, what);
	}
}
