/**
 * Commits what the ledger says is due: by interval, and at once on drain. One commit is under way at a time, so that an older one can't
 * land after a newer one. A failed commit changes nothing; the next one covers it.
 *
 *   is it still the same log? -> note how far it came, durably -> commit
 *
 * Step 10 of a message's way (docs/architecture.md).
 */
import { EventEmitter } from "eventemitter3";
import type { Clock, Timer } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../../core/messages/message.ts";
import { NOTES_REFUSED } from "../../core/offsets/position-note.ts";
import type { Problem } from "../../core/problem.ts";
import type { GroupClient } from "../client/group-client.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import type { LogWatch } from "../watches/log-watch.ts";
import { FailingCommits } from "./failing-commits.ts";
import type { DueOffset, OffsetLedger } from "./offset-ledger.ts";
import type { OffsetStore } from "./offset-store.ts";

/** Events of the committer: past facts. */
export interface CommitterEvents {
	"offsets:committed": (fact: { offsets: readonly TopicPartitionOffset[]; durationMs: number }) => void;
	"offsets:commit_failed": (fact: { offsets: readonly TopicPartitionOffset[]; message: string; code: string | number | null }) => void;
}

/** What the committer needs. `intervalMs` is `offsets.commitIntervalMs`. */
export interface OffsetCommitterParts {
	readonly ledger: OffsetLedger;
	readonly store: Pick<OffsetStore, "note" | "commit">;
	/** Removes offsets from the ledger that belong to another log by now. */
	readonly logs: Pick<LogWatch, "check">;
	/** The connected client; null while there is none. */
	readonly client: () => Pick<GroupClient, "commit"> | null;
	readonly clock: Clock;
	readonly intervalMs: number;
}

/** `refused`: it does not pass by itself. */
type CommitResult = "stored" | "failed" | "refused";

/** From best to worst: of several results the worst counts. */
const RESULTS: readonly CommitResult[] = ["stored", "failed", "refused"];

const RETRY_MS = 100;
/** After a note that took this long the logs are checked again: one may have been replaced. */
const LONG_NOTE_MS = 1_000;
/**
 * Refusals by Kafka that pass by themselves: at the end of a rebalance, when the coordinator has moved, or, for a deleted topic, once
 * `LogWatch` has removed its offsets. The error for a coordinator that is away is not one of them: the client has already waited six
 * seconds for it, and its close waits for a commit under way.
 */
const MOMENTARY: readonly number[] = [
	kafkaErrors.coordinatorLoadInProgress,
	kafkaErrors.coordinatorNotAvailable,
	kafkaErrors.notCoordinator,
	kafkaErrors.illegalGeneration,
	kafkaErrors.rebalanceInProgress,
	kafkaErrors.unknownTopicOrPartition,
];

/** Refusals that one topic alone causes: the offsets of other topics are committed without it. */
const OF_ONE_TOPIC: readonly number[] = [kafkaErrors.unknownTopicOrPartition, kafkaErrors.topicAuthorizationFailed];

/** Commits due offsets, one commit at a time. */
export class OffsetCommitter extends EventEmitter<CommitterEvents> {
	readonly #parts: OffsetCommitterParts;
	#timer: Timer | null = null;
	#last: Promise<unknown> = Promise.resolve();
	#disposed = false;
	readonly #failing: FailingCommits;
	/** When a topic's offsets were last committed (monotonic). */
	readonly #committedAt = new Map<string, number>();

	constructor(parts: OffsetCommitterParts) {
		super();
		this.#parts = parts;
		this.#failing = new FailingCommits(parts.clock, (partition) => parts.ledger.of(partition) !== undefined);
	}

	/** Offsets that can't be committed for a while. */
	get problems(): readonly Problem<"commits_failing">[] {
		return this.#failing.problems;
	}

	/** A partition of each assigned topic without a commit for `idleMs`. */
	idleFor(idleMs: number): TopicPartition[] {
		const { ledger, clock } = this.#parts;
		const found = new Map<string, TopicPartition>();
		for (const { topic, partition } of ledger.assigned) {
			const at = this.#committedAt.get(topic) ?? Number.NEGATIVE_INFINITY;
			if (clock.monotonic() - at >= idleMs) found.set(topic, { topic, partition });
		}
		return [...found.values()];
	}

	/**
	 * Commits the committed offsets once more, to see whether Kafka accepts it; never an offset that another commit has passed meanwhile.
	 * Rejects with Kafka's error.
	 */
	async commitAgain(partitions: readonly TopicPartition[]): Promise<void> {
		const again = this.#last.then(() => this.#again(partitions));
		this.#last = again.catch(() => {});
		await again;
	}

	/** Begins to commit at the interval. */
	start(): void {
		if (this.#disposed) return;
		this.#timer ??= this.#parts.clock.after(this.#parts.intervalMs, () => {
			this.#timer = null;
			void this.commit().finally(() => this.start());
		});
	}

	/**
	 * Commits what is due now, for all partitions or the given ones, after a commit that is under way. True when all of it is stored (or
	 * nothing was due), false when it failed; never rejects.
	 */
	async commit(partitions?: readonly TopicPartition[]): Promise<boolean> {
		return (await this.#commitNext(partitions)) === "stored";
	}

	/**
	 * The same for partitions that are given away: repeated until it succeeds, is refused for longer than a moment, or `timeoutMs` have
	 * passed. A commit at the end of a rebalance names the generation before, and only the next one is accepted.
	 */
	async commitWithin(timeoutMs: number, partitions: readonly TopicPartition[]): Promise<boolean> {
		const over = new AbortController();
		const timer = this.#parts.clock.after(timeoutMs, () => over.abort(new Error("no time left")));
		const timedOut = new Promise<false>((resolve) => over.signal.addEventListener("abort", () => resolve(false)));
		const isStored = await Promise.race([this.#commitUntil(over.signal, partitions), timedOut]);
		timer.cancel();
		return isStored;
	}

	/** Stops the interval; a commit under way goes on. Idempotent. */
	dispose(): void {
		this.#disposed = true;
		this.#timer?.cancel();
		this.#timer = null;
	}

	async #commitUntil(signal: AbortSignal, partitions: readonly TopicPartition[]): Promise<boolean> {
		for (;;) {
			const result = await this.#commitNext(partitions);
			if (result === "stored") return true;
			if (result === "refused" || signal.aborted) return false;
			await this.#parts.clock.sleep(RETRY_MS, signal).catch(() => {});
			if (signal.aborted) return false;
		}
	}

	#commitNext(partitions?: readonly TopicPartition[]): Promise<CommitResult> {
		const next = this.#last.then(() => this.#commitDue(partitions));
		this.#last = next;
		return next;
	}

	async #commitDue(partitions?: readonly TopicPartition[]): Promise<CommitResult> {
		const { ledger, clock } = this.#parts;
		const startedAt = clock.monotonic();
		const { due, error } = await this.#try(ledger.due(partitions), startedAt);
		if (error === null) return "stored";
		// A commit reports only one error, without a partition, and so does the check before it: topic by topic each gets its own.
		const topics = new Set(due.map(({ topic }) => topic));
		if (topics.size === 1 || !(error instanceof KafkaError) || !OF_ONE_TOPIC.includes(error.kafkaCode)) {
			return this.#failed(due, error, startedAt);
		}
		let worst: CommitResult = "stored";
		for (const topic of topics) {
			const ofTopic = ledger.current(due.filter((each) => each.topic === topic));
			const { due: left, error: refused } = await this.#try(ofTopic, startedAt);
			const result = refused === null ? "stored" : this.#failed(left, refused, startedAt);
			if (RESULTS.indexOf(result) > RESULTS.indexOf(worst)) worst = result;
		}
		return worst;
	}

	/** Prepares and commits. Returns the offsets that were still to be committed, and the error; null if the commit succeeded. */
	async #try(wanted: readonly DueOffset[], startedAt: number): Promise<{ due: readonly DueOffset[]; error: unknown }> {
		const { ledger, store, clock } = this.#parts;
		let due = wanted;
		try {
			if (due.length > 0) due = await this.#prepared(due);
			if (due.length === 0) return { due, error: null };
			await store.commit(due);
		} catch (error) {
			return { due, error: error ?? new Error("refused without a reason") };
		}
		ledger.committed(due);
		const now = clock.monotonic();
		for (const { topic } of due) this.#committedAt.set(topic, now);
		this.#failing.committed(due);
		this.emit("offsets:committed", { offsets: due, durationMs: now - startedAt });
		return { due, error: null };
	}

	#failed(due: readonly DueOffset[], error: unknown, startedAt: number): CommitResult {
		const code = (error as { code?: string | number }).code ?? null;
		const message = messageOf(error);
		this.#failing.failed(due, message, this.#parts.clock.monotonic() - startedAt);
		this.emit("offsets:commit_failed", { offsets: due, message, code });
		return isRefused(error) ? "refused" : "failed";
	}

	async #again(partitions: readonly TopicPartition[]): Promise<void> {
		const { ledger, logs, client } = this.#parts;
		const names = new Set(partitions.map(partitionName));
		const meant = ledger.assigned.filter((each) => names.has(partitionName(each)));
		await logs.check(meant);
		const offsets = ledger.current(meant).flatMap(({ topic, partition }) => {
			const { committed = null } = ledger.of({ topic, partition }) ?? {};
			return committed === null ? [] : [{ topic, partition, offset: committed }];
		});
		if (offsets.length > 0) await client()?.commit(offsets);
	}

	/**
	 * Checks the logs and notes the positions. Returns those that this member may still commit: neither lost meanwhile nor of another log.
	 */
	async #prepared(due: readonly DueOffset[]): Promise<DueOffset[]> {
		const { ledger, store, logs, clock } = this.#parts;
		await logs.check(due);
		const left = ledger.current(due);
		if (left.length === 0) return [];
		const askedAt = clock.monotonic();
		const others = new Set((await store.note(left)).map(partitionName));
		const noted = ledger.current(left).filter((each) => !others.has(partitionName(each)));
		if (clock.monotonic() - askedAt < LONG_NOTE_MS) return noted;
		await logs.check(noted);
		return ledger.current(noted);
	}
}

function isRefused(error: unknown): boolean {
	if (error instanceof KafkaError) return !MOMENTARY.includes(error.kafkaCode);
	return (error as { code?: unknown }).code === NOTES_REFUSED;
}
