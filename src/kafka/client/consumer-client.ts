/**
 * node-rdkafka's consumer as promises: one call, one answer, errors with Kafka's codes. Handles the client's traps (errors without a reason,
 * a close that can hang); decides nothing. The group consumer on top of it knows groups and assignments.
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
import { withoutThread } from "../connecting/connect.ts";
import { ConnectionFailure } from "../connecting/connection-failure.ts";
import { type GroupDescription, openConsumerQueue, type TopicSettings, withNative } from "../native.ts";
import type { MessagePolls } from "../polling/message-polls.ts";
import { PackedPolls } from "../polling/packed-polls.ts";
import { PlainPolls } from "../polling/plain-polls.ts";
import type { Operation } from "../watches/rights.ts";
import { ClientCommits } from "./client-commits.ts";
import { ClientQueries, kafkaErrorOf } from "./client-queries.ts";
import { codeOfWords, fatalError } from "./error-words.ts";
import { FetchedPartitions } from "./fetched-partitions.ts";
import type { CloseOptions, GroupClient, GroupClientEvents, Polled, StoredOffset } from "./group-client.ts";
import { KafkaError, kafkaErrors } from "./kafka-error.ts";
import { keepAwake } from "./keep-awake.ts";
import { RestingWatermarks } from "./resting-watermarks.ts";

/** The version of librdkafka that node-rdkafka was built with. */
export const librdkafkaVersion: string = rdkafka.librdkafkaVersion;

/** Features that librdkafka was built with: `zstd`, `ssl`, `sasl_scram`, … */
export const clientFeatures: readonly string[] = rdkafka.features;

const CLOSE_TIMEOUT_MS = 10_000;
const READ_TIMEOUT_MS = 10_000;
const READ_POLL_MS = 100;
/** Settings that make a client a member of its group. */
const MEMBERSHIP: readonly string[] = ["group.instance.id", "group.protocol", "partition.assignment.strategy"];
/** How soon after a fatal error the client's log gives the reason. */
const LOG_WITHIN_MS = 1_000;

/** The result of `consume`: each partition's messages in order, and the partition ends that were reached. */
export interface Consumed {
	readonly messages: readonly ReceivedMessage[];
	readonly ends: readonly TopicPartitionOffset[];
}

/** One connected consumer. Unusable after `close`. */
export class ConsumerClient extends EventEmitter<GroupClientEvents> implements GroupClient {
	readonly #raw: RawConsumer;
	readonly #queries: ClientQueries;
	readonly #commits: ClientCommits;
	readonly #fetched: FetchedPartitions;
	readonly #settings: Record<string, unknown>;
	readonly #clock: Clock;
	readonly #timestampType: TimestampType;
	/** How messages are polled; null before the first poll. */
	#polls: MessagePolls | null = null;
	/** The current or last poll. */
	#lastPoll: Promise<unknown> = Promise.resolve();
	/** Errors that `consume` has not thrown yet, one of each code. */
	readonly #untold: KafkaError[] = [];
	#subscription: readonly string[] = [];
	/** A close was requested: it takes no more calls. */
	#isEnding = false;
	/** Resolves when the client has closed; null until a close was requested. */
	#closing: Promise<void> | null = null;
	#isClosed = false;
	/** Why the client gave up for good; null if it did not. */
	#fatal: KafkaError | null = null;
	readonly #failure: ConnectionFailure;
	readonly #resting: RestingWatermarks;

	/** `timestampType`: the type of timestamps if the client can't tell. */
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
			// Logs arrive separately: a line with the reason must be heard before this event.
			setImmediate(() => this.emit("rebalance", fact));
		};
		const settingsWithCallbacks = { ...withNative(settings), rebalance_cb: rebalance, offset_commit_cb: true };
		this.#raw = new rdkafka.KafkaConsumer(settingsWithCallbacks as never, topicSettings as never);
		this.#queries = new ClientQueries(this.#raw, clock);
		this.#commits = new ClientCommits(this.#raw, clock, (error) => this.#errorOf(error));
		this.#fetched = new FetchedPartitions(this.#raw);
		this.#resting = new RestingWatermarks(clock, (partition) => this.#queries.watermarks(partition));
		this.#raw.on("event.error", ({ message }) => {
			this.#failure.whenExplained(() =>
				this.emit("broker:error", { message: this.#withFailure(message), code: codeOfWords(message), cause: this.#failure.cause }),
			);
		});
		this.#raw.on("event.log", (log: { fac: string; message: string }) => this.#logged(log));
		this.#raw.on("event.stats", ({ message }: { message: string }) => this.emit("stats", { json: message }));
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
		const heartbeatMs = Number(this.#settings["heartbeat.interval.ms"] ?? Number.POSITIVE_INFINITY);
		if (this.#subscription.length === 0) keepAwake(this.#raw, this.#clock, heartbeatMs, () => this.#isEnding || this.#fatal !== null);
		this.#subscription = topics;
		this.#raw.subscribe(topics.map((topic) => (topic.startsWith("^") ? new RegExp(topic) : topic)));
	}

	unsubscribe(): void {
		if (!this.#isEnding) this.#raw.unsubscribe();
	}

	/** See GroupClient. Rejects with code __STATE once the client closes. */
	async poll(count: number, timeoutMs: number): Promise<Polled> {
		if (this.#isEnding) throw new KafkaError("the client is closing", kafkaErrors.state);
		return this.#poll(count, timeoutMs);
	}

	wake(): void {
		this.#polls?.wake();
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

	/** Unpacks each message; keeps errors. Throws if messages are lost, because polling on would skip them. */
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

	/** Polls after the poll under way: two at once would mix up the order of messages. */
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
	 * Lets callbacks and commit results arrive while no message is wanted: all assigned partitions are paused during the poll. Returns
	 * messages that arrive all the same (from a partition assigned meanwhile), because they would not be fetched again.
	 */
	async serveEvents(): Promise<Consumed> {
		const assigned = this.#raw.assignments();
		this.#raw.pause(assigned);
		const polled = await this.#poll(1, 20).catch(() => null);
		if (!this.#isEnding) this.#raw.resume(assigned);
		return polled ? this.#consumed(polled) : { messages: [], ends: [] };
	}

	assign(partitions: readonly TopicPartitionOffset[], incremental: boolean): void {
		this.#resting.over(partitions);
		this.#fetched.assign(partitions, incremental);
	}

	/** Assigns with the committed offset, or `auto.offset.reset` if there is none. For readers without start positions of their own. */
	assignStored(partitions: readonly TopicPartition[]): void {
		this.#fetched.assignStored(partitions);
	}

	unassign(partitions: readonly TopicPartition[], incremental: boolean): void {
		this.#resting.over(partitions);
		this.#fetched.unassign(partitions, incremental);
	}

	seek(position: TopicPartitionOffset): void {
		this.#fetched.seek(position);
	}

	pause(partitions: readonly TopicPartition[]): void {
		this.#resting.paused(partitions);
		this.#fetched.pause(partitions);
	}

	resume(partitions: readonly TopicPartition[]): void {
		this.#resting.over(partitions);
		this.#fetched.resume(partitions);
	}

	/** Commits after the commit that is under way; rejects with an unknown outcome if no answer comes while polling goes on. */
	commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		return this.#commits.commit(offsets);
	}

	/** Committed offsets of the group; null if none. */
	committed(partitions: readonly TopicPartition[]): Promise<StoredOffset[]> {
		return this.#queries.committed(partitions);
	}

	/** First and next offset of a partition, asked of the broker. */
	watermarks(partition: TopicPartition): Promise<{ low: number; high: number }> {
		return this.#queries.watermarks(partition);
	}

	/** The high watermark of the last fetch, or of a paused partition as the broker said last; null before the first. */
	cachedHighWatermark({ topic, partition }: TopicPartition): number | null {
		if (this.#isEnding) return null;
		const resting = this.#resting.of({ topic, partition });
		if (resting !== null) return resting;
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

	/** Reads with a client of its own that joins no group, so that this one's fetching is not disturbed. */
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

	/** What this user may do with a topic; null if nobody can tell. Rejects if the user may not see it. */
	operationsOn(topic: string): Promise<ReadonlySet<Operation> | null> {
		return this.#queries.operationsOn(topic);
	}

	/** A setting of the broker that gave the last metadata; null if nobody can tell. Rejects without the right to see it. */
	brokerSetting(setting: string): Promise<string | null> {
		return this.#queries.brokerSetting(setting);
	}

	/** The members of a group; null if nobody can tell. */
	group(group: string): Promise<GroupDescription | null> {
		return this.#queries.group(group);
	}

	/** The settings of topics, or Kafka's error for a topic; null if nobody can tell. */
	topicSettings(topics: readonly string[]): Promise<ReadonlyMap<string, TopicSettings | KafkaError> | null> {
		return this.#queries.topicSettings(topics);
	}

	endQueriesBy(deadline: number): void {
		this.#queries.endBy(deadline);
	}

	/** True while a close is under way: the process can't end by itself before that is over. */
	get hangs(): boolean {
		return this.#closing !== null && !this.#isClosed;
	}

	/**
	 * Leaves the group and disconnects; true if the client confirmed that in time. An unanswered revocation would block the close for ever,
	 * an unanswered commit for a session. With `onlyIfAnswered` the client is not closed at all while the coordinator owes an answer. A
	 * second call waits again, and is true if the client has closed meanwhile.
	 */
	async close({ withinMs = CLOSE_TIMEOUT_MS, onlyIfAnswered = false }: CloseOptions = {}): Promise<boolean> {
		this.#isEnding = true;
		this.#fetched.end();
		this.#resting.end();
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
		// A request under way would still use the client while it is destroyed.
		await this.#queries.end();
		await this.#lastPoll;
		this.#polls?.end();
		await new Promise<void>((resolve) => this.#raw.disconnect(() => resolve()));
		this.#isClosed = true;
	}

	/** Whether all commits were answered and the coordinator responds, as a close needs it; asks until `deadline`. */
	async #isAnswered(deadline: number): Promise<boolean> {
		const [topic] = this.#subscription;
		if (topic === undefined) return true;
		this.#queries.endBy(deadline);
		while (this.#clock.monotonic() < deadline) {
			if (this.#commits.unanswered > 0) await this.serveEvents().catch(() => {});
			else if (await this.#coordinatorAnswers(topic)) return true;
		}
		return false;
	}

	/** Any response of the coordinator counts, also an error. */
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

	/** Converts the client's error; a fatal one gets its reason from the log, which may follow in a moment. */
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
}

function readerSettings(settings: Record<string, unknown>): Record<string, unknown> {
	return Object.fromEntries(Object.entries(settings).filter(([name]) => !MEMBERSHIP.includes(name)));
}
