/**
 * node-rdkafka's consumer as promises: one call, one answer, errors with Kafka's codes. Owns the traps of the client (asynchronous
 * commit results, a close that can hang); decides nothing. The group consumer on top of it knows groups and assignments.
 */
import { EventEmitter } from "eventemitter3";
import rdkafka, { type LibrdKafkaError, type KafkaConsumer as RawConsumer, type TopicPartition as RawPartition } from "node-rdkafka";
import type { Clock } from "../../core/clock.ts";
import {
	partitionName,
	type ReceivedMessage,
	type TimestampType,
	type TopicPartition,
	type TopicPartitionOffset,
} from "../../core/messages/message.ts";
import { unpackMessages } from "../../core/messages/message-codec.ts";
import type { LogId, Witness } from "../../core/offsets/log-identity.ts";
import { type GroupDescription, openConsumerQueue, type TopicSettings, withNative } from "../native.ts";
import type { MessagePolls } from "../polling/message-polls.ts";
import { PackedPolls } from "../polling/packed-polls.ts";
import { PlainPolls } from "../polling/plain-polls.ts";
import type { Operation } from "../watches/rights.ts";
import { ClientQueries, kafkaErrorOf } from "./client-queries.ts";
import { withoutThread } from "./connect.ts";
import { ConnectionFailure } from "./connection-failure.ts";
import { codeOfWords, fatalError } from "./error-words.ts";
import type { CloseOptions, GroupClient, GroupClientEvents, Polled, StoredOffset } from "./group-client.ts";
import { KafkaError, kafkaErrors } from "./kafka-error.ts";

/** The version of librdkafka that node-rdkafka was built with. */
export const librdkafkaVersion: string = rdkafka.librdkafkaVersion;

/** What it was built with: `zstd`, `ssl`, `sasl_scram`, … */
export const clientFeatures: readonly string[] = rdkafka.features;

const COMMIT_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 10_000;
const READ_TIMEOUT_MS = 10_000;
const READ_POLL_MS = 100;
/** What makes a client a member of its group. */
const MEMBERSHIP: readonly string[] = ["group.instance.id", "group.protocol", "partition.assignment.strategy"];
/** How soon behind a fatal error the client's log says why. */
const LOG_WITHIN_MS = 1_000;

interface PendingCommit {
	readonly offsets: string;
	settle(error: KafkaError | null): void;
}

/** What `consume` brought: each partition's messages in their order, and the ends that were met. */
export interface Consumed {
	readonly messages: readonly ReceivedMessage[];
	readonly ends: readonly TopicPartitionOffset[];
}

/** One connected consumer; after `close` it is gone. */
export class ConsumerClient extends EventEmitter<GroupClientEvents> implements GroupClient {
	readonly #raw: RawConsumer;
	readonly #queries: ClientQueries;
	readonly #settings: Record<string, unknown>;
	readonly #clock: Clock;
	readonly #timestampType: TimestampType;
	/** The way to its messages; null before the first poll. */
	#polls: MessagePolls | null = null;
	/** The poll that is under way, or was the last. */
	#lastPoll: Promise<unknown> = Promise.resolve();
	/** Errors that `consume` has not thrown, one of each code. */
	readonly #untold: KafkaError[] = [];
	#pendingCommit: PendingCommit | null = null;
	#lastCommit: Promise<void> = Promise.resolve();
	/** Commits that librdkafka has, and of which it has told no result. */
	#unansweredCommits = 0;
	#subscription: readonly string[] = [];
	/** Somebody wants it closed: it takes no more calls. */
	#isEnding = false;
	/** By name: paused, and not resumed since. */
	readonly #paused = new Set<string>();
	/** Resolves when the client has closed; null while it was not told to. */
	#closing: Promise<void> | null = null;
	#isClosed = false;
	/** Why it gave itself up; null where it did not. */
	#fatal: KafkaError | null = null;
	readonly #failure: ConnectionFailure;

	/** `timestampType`: what timestamps are where the client can't tell. */
	constructor(
		settings: Record<string, unknown>,
		topicSettings: Record<string, unknown>,
		clock: Clock,
		timestampType: TimestampType = "undefined",
	) {
		super();
		this.#timestampType = timestampType;
		this.#settings = settings;
		this.#clock = clock;
		this.#failure = new ConnectionFailure(settings);
		const rebalance = (error: LibrdKafkaError, partitions: RawPartition[]) => {
			const fact = { code: error.code, partitions: partitions.map(({ topic, partition }) => ({ topic, partition })) };
			// Logs come by a way of their own: one that says why has to be heard before.
			setImmediate(() => this.emit("rebalance", fact));
		};
		const settingsWithCallbacks = { ...withNative(settings), rebalance_cb: rebalance, offset_commit_cb: true };
		this.#raw = new rdkafka.KafkaConsumer(settingsWithCallbacks as never, topicSettings as never);
		this.#queries = new ClientQueries(this.#raw, clock);
		this.#raw.on("event.error", ({ message }) => {
			this.#failure.whenExplained(() =>
				this.emit("broker:error", { message: this.#withFailure(message), code: codeOfWords(message), cause: this.#failure.cause }),
			);
		});
		this.#raw.on("event.log", (log: { fac: string; message: string }) => this.#logged(log));
		this.#raw.on("event.stats", ({ message }: { message: string }) => this.emit("stats", { json: message }));
		this.#raw.on("offset.commit", (error, offsets) => this.#committed(error, offsets));
	}

	/** The client itself, for `connectOrExplain`. */
	get raw(): unknown {
		return this.#raw;
	}

	/** Connects and waits for the first metadata; on failure the client is unusable. */
	connect(timeoutMs: number): Promise<void> {
		return new Promise((resolve, reject) => {
			this.#raw.connect({ timeout: timeoutMs }, (error) => {
				if (!error) return resolve();
				const { message, kafkaCode } = kafkaErrorOf(error);
				this.#failure.whenExplained(() => reject(new KafkaError(this.#withFailure(message), kafkaCode, { cause: error })));
			});
		});
	}

	subscribe(topics: readonly string[]): void {
		this.#subscription = topics;
		this.#raw.subscribe(topics.map((topic) => (topic.startsWith("^") ? new RegExp(topic) : topic)));
	}

	unsubscribe(): void {
		if (!this.#isEnding) this.#raw.unsubscribe();
	}

	/** See GroupClient. Rejects with the code __STATE once the client closes. */
	async poll(count: number, timeoutMs: number): Promise<Polled> {
		if (this.#isEnding) throw new KafkaError("the client is closing", kafkaErrors.state);
		return this.#poll(count, timeoutMs);
	}

	/**
	 * For callers that read without a handler: each message as an object. Rejects if there is only an error. An error that came together with
	 * messages is kept and rejects the next call, before it polls: librdkafka reports some errors only once.
	 */
	async consume(count: number, timeoutMs: number): Promise<Consumed> {
		this.#throwUntold();
		const consumed = this.#consumed(await this.poll(count, timeoutMs));
		if (consumed.messages.length === 0 && consumed.ends.length === 0) this.#throwUntold();
		return consumed;
	}

	/** Each message by itself; errors are kept. Throws where messages are gone: whoever polled on would go past them. */
	#consumed({ batches, notTaken, ends, errors }: Polled): Consumed {
		for (const error of errors) if (!this.#untold.some(({ kafkaCode }) => kafkaCode === error.kafkaCode)) this.#untold.push(error);
		const [gone] = notTaken;
		if (gone) throw new Error(`${partitionName(gone)}: ${gone.reason}`);
		return { messages: batches.flatMap(({ topic, partition, batch }) => unpackMessages({ topic, partition }, batch)), ends };
	}

	#throwUntold(): void {
		const error = this.#untold.shift();
		if (error) throw error;
	}

	/** Behind the one that is under way: two at once would take each other's messages out of order. */
	#poll(count: number, timeoutMs: number): Promise<Polled> {
		const poll = this.#lastPoll.then(() => {
			this.#polls ??= this.#openPolls();
			return this.#polls.poll(count, timeoutMs);
		});
		this.#lastPoll = poll.catch(() => {});
		return poll;
	}

	#openPolls(): MessagePolls {
		const { name } = this.#raw as unknown as { readonly name?: string };
		const queue = openConsumerQueue(name, this);
		if (queue) return new PackedPolls(queue, (error) => this.#errorOf(error as LibrdKafkaError));
		const errorOf = (error: LibrdKafkaError) => this.#errorOf(error);
		return new PlainPolls(this.#raw, { timestampType: this.#timestampType, errorOf, clock: this.#clock });
	}

	/**
	 * Lets callbacks and commit results arrive while no message is wanted: every assigned partition is paused during the poll. Returns
	 * messages that came nevertheless (from a partition that was assigned meanwhile), because they would not be fetched again.
	 */
	async serveEvents(): Promise<Consumed> {
		const assigned = this.#raw.assignments();
		this.#raw.pause(assigned);
		const polled = await this.#poll(1, 20).catch(() => null);
		if (!this.#isEnding) this.#raw.resume(assigned);
		return polled ? this.#consumed(polled) : { messages: [], ends: [] };
	}

	assign(partitions: readonly TopicPartitionOffset[], incremental: boolean): void {
		const list = partitions.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
		if (incremental) this.#raw.incrementalAssign(list);
		else this.#raw.assign(list);
		// Librdkafka keeps that a partition is paused, though it was given away meanwhile.
		this.resume(partitions.filter((each) => this.#paused.has(partitionName(each))));
	}

	/** Assigns with the committed offset, or `auto.offset.reset` where there is none. For readers without a start position of their own. */
	assignStored(partitions: readonly TopicPartition[]): void {
		this.#raw.assign(partitions.map(({ topic, partition }) => ({ topic, partition })) as RawPartition[]);
	}

	/** Answers a revocation. While closing the client may have forgotten its protocol: the other call is tried too (node-rdkafka#1144). */
	unassign(partitions: readonly TopicPartition[], incremental: boolean): void {
		const list = partitions.map(({ topic, partition }) => ({ topic, partition }));
		const calls = [() => this.#raw.incrementalUnassign(list as RawPartition[]), () => this.#raw.unassign()];
		if (!incremental) calls.reverse();
		try {
			calls[0]?.();
		} catch {
			calls[1]?.();
		}
	}

	/** A real seek is refused where fetching has stopped, so the partition is taken away and given back. */
	seek({ topic, partition, offset }: TopicPartitionOffset): void {
		this.#raw.incrementalUnassign([{ topic, partition }] as RawPartition[]);
		this.#raw.incrementalAssign([{ topic, partition, offset }]);
	}

	pause(partitions: readonly TopicPartition[]): void {
		for (const each of partitions) this.#paused.add(partitionName(each));
		if (!this.#isEnding) this.#raw.pause(partitions.map(({ topic, partition }) => ({ topic, partition })) as RawPartition[]);
	}

	resume(partitions: readonly TopicPartition[]): void {
		if (partitions.length === 0) return;
		for (const each of partitions) this.#paused.delete(partitionName(each));
		if (!this.#isEnding) this.#raw.resume(partitions.map(({ topic, partition }) => ({ topic, partition })) as RawPartition[]);
	}

	/**
	 * Commits offsets, behind a commit that is under way: results are told apart by their offsets alone. A result comes as an event while
	 * polling goes on; when none comes the outcome is unknown and the promise rejects. Every partition must carry its offset: node-rdkafka
	 * commits 0 for a missing one.
	 */
	commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		const commit = this.#lastCommit.then(() => this.#commit(offsets));
		this.#lastCommit = commit.catch(() => {});
		return commit;
	}

	#commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		const list = offsets.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
		return new Promise((resolve, reject) => {
			const timer = this.#clock.after(COMMIT_TIMEOUT_MS, () =>
				this.#pendingCommit?.settle(new KafkaError(`no answer to the commit within ${COMMIT_TIMEOUT_MS} ms`, -1)),
			);
			this.#pendingCommit = {
				offsets: commitIdentity(list),
				settle: (error) => {
					timer.cancel();
					this.#pendingCommit = null;
					if (error) reject(error);
					else resolve();
				},
			};
			try {
				this.#raw.commit(list);
				this.#unansweredCommits++;
			} catch (error) {
				this.#pendingCommit.settle(this.#errorOf(error as LibrdKafkaError));
			}
		});
	}

	/** Committed offsets of the group; null where none is. */
	committed(partitions: readonly TopicPartition[]): Promise<StoredOffset[]> {
		return this.#queries.committed(partitions);
	}

	/** First and next offset of a partition, asked of the broker. */
	watermarks(partition: TopicPartition): Promise<{ low: number; high: number }> {
		return this.#queries.watermarks(partition);
	}

	/** What the last fetch said of the high watermark; null where it said nothing yet. */
	cachedHighWatermark({ topic, partition }: TopicPartition): number | null {
		if (this.#isEnding) return null;
		try {
			const { highOffset } = this.#raw.getWatermarkOffsets(topic, partition);
			return highOffset >= 0 ? highOffset : null;
		} catch {
			return null;
		}
	}

	offsetForTime(partition: TopicPartition, timestampMs: number): Promise<number | null> {
		return this.#queries.offsetForTime(partition, timestampMs);
	}

	/** By a client of its own, which joins nothing: what this one fetches is not disturbed. */
	async recordAt(position: TopicPartitionOffset): Promise<Witness | null> {
		const reader = new ConsumerClient(readerSettings(this.#settings), { "auto.offset.reset": "error" }, this.#clock);
		try {
			await reader.connect(READ_TIMEOUT_MS);
			reader.assign([position], false);
			for (const startedAt = this.#clock.monotonic(); this.#clock.monotonic() - startedAt < READ_TIMEOUT_MS; ) {
				const { messages, ends } = await reader.consume(1, READ_POLL_MS);
				const [message] = messages;
				if (message) return { offset: message.offset, timestamp: message.timestamp };
				if (ends.length > 0) return null;
			}
		} finally {
			void reader.close();
		}
		throw new KafkaError(`${partitionName(position)}: no record at offset ${position.offset} within ${READ_TIMEOUT_MS} ms`, -1);
	}

	/** Names and partition counts of all topics that exist. */
	metadata(): Promise<Map<string, number>> {
		return this.#queries.metadata();
	}

	topicIds(topics: readonly string[]): Promise<ReadonlyMap<string, LogId>> {
		return this.#queries.topicIds(topics);
	}

	/** What this user may do with a topic; null where nobody can tell. Rejects where it may not be seen. */
	operationsOn(topic: string): Promise<ReadonlySet<Operation> | null> {
		return this.#queries.operationsOn(topic);
	}

	/** Who is in a group; null where nobody can tell. */
	group(group: string): Promise<GroupDescription | null> {
		return this.#queries.group(group);
	}

	/** The settings of topics, or Kafka's error in their place; null where nobody can tell. */
	topicSettings(topics: readonly string[]): Promise<ReadonlyMap<string, TopicSettings | KafkaError> | null> {
		return this.#queries.topicSettings(topics);
	}

	endQueriesBy(deadline: number): void {
		this.#queries.endBy(deadline);
	}

	/** True while a close is under way, and the process can't end by itself before it is over. */
	get hangs(): boolean {
		return this.#closing !== null && !this.#isClosed;
	}

	/**
	 * Leaves the group and disconnects; true if the client reported that in time. An unanswered revocation would block the close for ever, an
	 * unanswered commit for a session. With `onlyIfAnswered` the client is not closed at all while the coordinator owes an answer. Called
	 * again it waits again, and is true if the client has closed meanwhile.
	 */
	async close({ withinMs = CLOSE_TIMEOUT_MS, onlyIfAnswered = false }: CloseOptions = {}): Promise<boolean> {
		this.#isEnding = true;
		const deadline = this.#clock.monotonic() + withinMs;
		if (onlyIfAnswered && !this.#closing && !(await this.#isAnswered(deadline))) return false;
		this.#closing ??= this.#disconnect();
		const closed = this.#closing;
		return new Promise((resolve) => {
			const timer = this.#clock.after(Math.max(0, deadline - this.#clock.monotonic()), () => resolve(false));
			void closed.then(() => {
				timer.cancel();
				resolve(true);
			});
		});
	}

	async #disconnect(): Promise<void> {
		// A question under way would still use the client while it is destroyed.
		await this.#queries.end();
		await this.#lastPoll;
		this.#polls?.end();
		await new Promise<void>((resolve) => this.#raw.disconnect(() => resolve()));
		this.#isClosed = true;
	}

	/** Whether all commits were answered and the coordinator answers, as it has to for a close; asks until `deadline`. */
	async #isAnswered(deadline: number): Promise<boolean> {
		const [topic] = this.#subscription;
		if (topic === undefined) return true;
		this.#queries.endBy(deadline);
		while (this.#clock.monotonic() < deadline) {
			if (this.#unansweredCommits > 0) await this.serveEvents().catch(() => {});
			else if (await this.#coordinatorAnswers(topic)) return true;
		}
		return false;
	}

	/** Anything that the coordinator says is an answer. */
	async #coordinatorAnswers(topic: string): Promise<boolean> {
		try {
			await this.#queries.committed([{ topic, partition: 0 }], 1);
		} catch (error) {
			return error instanceof KafkaError && error.kafkaCode > 0;
		}
		return true;
	}

	/**
	 * node-rdkafka has no callback for a lost session; for a failed connection it says neither where nor why. Polls return errors, but drop
	 * one that comes after messages in the same poll, and give no reason for a fatal one.
	 */
	#logged({ fac, message }: { fac: string; message: string }): void {
		const line = withoutThread(message);
		if (fac === "SESSTMOUT") this.emit("session:lost", { message });
		else if (fac === "MAXPOLL") this.emit("poll:late");
		else if (fac === "FAIL") this.#failure.told(line);
		else if (fac === "FATAL") this.#gaveUp(fatalError(line));
	}

	#gaveUp(why: KafkaError): void {
		if (this.#fatal) return;
		this.#fatal = why;
		this.emit("fatal", { message: why.message, code: why.kafkaCode });
	}

	/** The client's error as ours: one that is fatal with its reason, which the log has told or is about to tell. */
	#errorOf(error: LibrdKafkaError): KafkaError {
		const failed = kafkaErrorOf(error);
		if (failed.kafkaCode === kafkaErrors.fencedInstanceId) this.#gaveUp(failed);
		if (failed.kafkaCode !== kafkaErrors.fatal) return failed;
		this.#clock.after(LOG_WITHIN_MS, () => this.#gaveUp(failed));
		return this.#fatal ?? failed;
	}

	#withFailure(message: string): string {
		const { words } = this.#failure;
		return words === null ? message : `${message} (${words})`;
	}

	#committed(error: LibrdKafkaError | null, offsets: RawPartition[]): void {
		this.#unansweredCommits = Math.max(0, this.#unansweredCommits - 1);
		const failed = error ? this.#errorOf(error) : null;
		const pending = this.#pendingCommit;
		if (!pending || pending.offsets !== commitIdentity(offsets as TopicPartitionOffset[])) return;
		pending.settle(failed);
	}
}

function readerSettings(settings: Record<string, unknown>): Record<string, unknown> {
	return Object.fromEntries(Object.entries(settings).filter(([name]) => !MEMBERSHIP.includes(name)));
}

function commitIdentity(offsets: readonly TopicPartitionOffset[]): string {
	return offsets
		.map(({ topic, partition, offset }) => `${topic}/${partition}@${offset}`)
		.sort()
		.join();
}
