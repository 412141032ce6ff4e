/**
 * A consumer of the simulated Kafka, with the traps of the real one: callbacks come with polling, ends are told before the messages in
 * front of them, an unanswered rebalance stops all fetching, an error behind messages of the same poll is dropped, and a topic that was
 * made again is fetched on from the old position.
 */
import { EventEmitter } from "eventemitter3";
import type { ReceivedMessage, TopicPartition, TopicPartitionOffset } from "../../src/core/messages/message.ts";
import type { GroupClient, GroupClientEvents, Polled, StoredOffset } from "../../src/kafka/client/group-client.ts";
import { KafkaError, kafkaErrors } from "../../src/kafka/client/kafka-error.ts";
import { packedByPartition } from "../../src/kafka/polling/plain-polls.ts";
import { type SimKafka, TOPIC } from "./kafka.ts";
import type { LogRecord, SimLog } from "./log.ts";
import type { SimProcess } from "./world.ts";

const INVALID_ARGUMENT = -186;
/** `auto.offset.reset` is `error`, and there is need of it. */
const AUTO_OFFSET_RESET = -140;

/** A consumer of a simulated process. */
export class SimClient extends EventEmitter<GroupClientEvents> implements GroupClient {
	readonly #kafka: SimKafka;
	readonly process: SimProcess;
	readonly #positions = new Map<number, number>();
	/** Where each was told to begin. */
	readonly #starts = new Map<number, number>();
	readonly #paused = new Set<number>();
	readonly #toldEnds = new Map<number, number>();
	/** Which of each partition's logs the daemon's offsets belong to, and what the client has fetched from since. */
	readonly #lives = new Map<number, number>();
	readonly #fetchedLives = new Map<number, number>();
	/** Of which log each partition's offset was when it was last asked for: what a start commits is meant for that one. */
	readonly #askedLives = new Map<number, number>();
	/** Positions that turned out to lie outside the log: nothing is fetched there until a seek. */
	readonly #outside = new Set<number>();
	readonly #highWatermarks = new Map<number, number>();
	readonly #callbacks: (() => void)[] = [];
	#unanswered: "assign" | "revoke" | null = null;
	/** What the group has given to it, also what it does not fetch yet; and what of it is being revoked. */
	readonly #granted = new Set<number>();
	#revoking: readonly number[] = [];
	/** What comes behind the callback that is to be answered. */
	readonly #behind: (() => void)[] = [];
	#error: KafkaError | null = null;
	/** What the poll that is under way has met. */
	readonly #ends: TopicPartitionOffset[] = [];
	#subscribed = false;
	/** It was given up, and is to be told. */
	#expelled = false;
	/** Revoking what it had lost; it joins anew when that is answered. */
	#rejoins = false;
	#leaving: (() => void) | null = null;
	/** The end of its subscription waits for the end of a rebalance. */
	#postponed = false;
	#closed = false;
	#lastCommit: Promise<void> = Promise.resolve();
	/** No packet reaches Kafka. */
	#cutOff = false;

	constructor(kafka: SimKafka, process: SimProcess) {
		super();
		this.#kafka = kafka;
		this.process = process;
	}

	/** True while Kafka doesn't hear of it. */
	get isOut(): boolean {
		return this.#cutOff || this.process.frozen || !this.process.alive;
	}

	/** It gives up what it has by itself, and then leaves: it asks nobody. */
	get isLeaving(): boolean {
		return this.#leaving !== null;
	}

	get position(): ReadonlyMap<number, number> {
		return this.#positions;
	}

	cutOff(isCut: boolean): void {
		this.#cutOff = isCut;
		if (isCut) this.#kafka.watchSession(this);
	}

	/** The coordinator gave it up; it will notice when it hears of Kafka again. */
	wasExpelled(): void {
		this.#expelled = true;
	}

	/**
	 * It didn't poll for too long, and leaves by itself. One that has an assignment to answer doesn't count; it is the coordinator that
	 * waits for it as long, and gives it up.
	 */
	exceedMaxPoll(): void {
		if (!this.#kafka.remove(this)) return;
		if (this.#unanswered === "assign") {
			this.wasExpelled();
			return;
		}
		this.#error = new KafkaError("application maximum poll interval exceeded", kafkaErrors.maxPollExceeded);
		this.#lose();
	}

	rebalanced(code: number, partitions: readonly number[]): void {
		const list = partitions.map((partition) => ({ topic: TOPIC, partition }));
		this.#unanswered = code === kafkaErrors.revokePartitions ? "revoke" : "assign";
		if (this.#unanswered === "revoke") this.#revoking = partitions;
		else for (const partition of partitions) this.#granted.add(partition);
		this.#callbacks.push(() => this.emit("rebalance", { code, partitions: list }));
	}

	async connect(): Promise<void> {
		await this.#ask(() => {});
	}

	/** Like the real one's: a subscription that comes while the end of another is postponed replaces that, and the member keeps what it has. */
	subscribe(): void {
		if (this.#closed) return;
		this.#subscribed = true;
		if (this.#postponed && !this.#kafka.isEager) this.#leaving = null;
		this.#postponed = false;
		if (!this.#leaving && !this.#kafka.isMember(this)) this.#join();
	}

	unsubscribe(): void {
		this.#subscribed = false;
		this.#postponed = this.#unanswered !== null && this.#leaving === null;
		this.#leave(() => {});
	}

	poll(count: number, timeoutMs: number): Promise<Polled> {
		const deadline = this.#kafka.world.now + timeoutMs;
		let isFirstLook = true;
		return new Promise((resolve) => {
			const look = (delayMs: number) =>
				this.#kafka.world.after(delayMs, () =>
					this.process.enter(() => {
						const error = this.#error;
						this.#error = null;
						if (error) return resolve({ batches: [], notTaken: [], ends: [], errors: [error] });
						this.#noticeExpulsion();
						for (const callback of this.#callbacks.splice(0)) callback();
						const messages = this.#fetch(count, isFirstLook);
						isFirstLook = false;
						const leftMs = deadline - this.#kafka.world.now;
						if (messages.length > 0 || this.#error || leftMs <= 0) {
							const errors = this.#error && messages.length === 0 ? [this.#error] : [];
							if (errors.length === 0) this.#learnLives();
							resolve({ ...packedByPartition(messages), ends: this.#ends.splice(0), errors });
						} else return look(Math.min(leftMs, 50));
						this.#error = null;
					}),
				);
			look(this.#kafka.world.between(0, 5));
		});
	}

	async brokerSetting(): Promise<null> {
		return null;
	}

	/** Like a client without the addon: a poll waits for its time. */
	wake(): void {}

	/**
	 * From here on commits are taken for those of the new log. In between the client knows of it and the daemon doesn't: a commit of that
	 * moment would move the new log's offset, and nobody could tell; Kafka's commits don't name the topic's id.
	 */
	#learnLives(): void {
		for (const [partition, life] of this.#fetchedLives) this.#lives.set(partition, life);
		this.#fetchedLives.clear();
	}

	/** Answers an assignment, or adds to one that was answered; like the real one it takes a partition once. */
	assign(partitions: readonly TopicPartitionOffset[]): void {
		for (const { partition } of partitions) {
			if (this.#positions.has(partition)) throw new KafkaError("already in the current assignment", INVALID_ARGUMENT);
		}
		for (const { partition, offset } of partitions) {
			this.#positions.set(partition, offset);
			this.#starts.set(partition, offset);
			this.#fetchedLives.delete(partition);
			this.#outside.delete(partition);
			if (!this.#kafka.forgives || !this.#lives.has(partition)) this.#lives.set(partition, this.#kafka.life);
			this.#paused.delete(partition);
			this.#toldEnds.delete(partition);
			this.#kafka.observer.assigned(this, partition, offset);
		}
		if (this.#unanswered === "assign") this.#answer();
	}

	/** Answers a revocation, or takes from an assignment; like the real one it gives away only what it has. An eager one gives up all. */
	unassign(partitions: readonly TopicPartition[], incremental: boolean): void {
		for (const { partition } of incremental ? partitions : []) {
			if (!this.#positions.has(partition)) throw new KafkaError("not in the current assignment", INVALID_ARGUMENT);
		}
		const gone = incremental ? partitions.map(({ partition }) => partition) : [...this.#positions.keys()];
		for (const partition of gone) {
			this.#positions.delete(partition);
			if (!this.#kafka.forgives) this.#lives.delete(partition);
			this.#kafka.observer.released(this, partition, this.#rejoins);
		}
		// A closing client takes every answer for that of its revocation.
		if (this.#unanswered === null || (this.#unanswered === "assign" && incremental && !this.#closed)) return;
		// An assignment that is answered like this belongs to the member still, and will be revoked.
		if (incremental || this.#unanswered === "revoke") for (const partition of this.#revoking) this.#granted.delete(partition);
		this.#answer();
	}

	/** Like the real one's taking a partition away and giving it back, which answers nothing where no change waits for an answer. */
	seek({ partition, offset }: TopicPartitionOffset): void {
		if (!this.#positions.has(partition)) throw new KafkaError("not in the current assignment", INVALID_ARGUMENT);
		this.#positions.set(partition, offset);
		this.#starts.set(partition, offset);
		this.#lives.set(partition, this.#kafka.life);
		this.#outside.delete(partition);
		this.#toldEnds.delete(partition);
		this.#kafka.observer.sought(this, partition, offset);
	}

	pause(partitions: readonly TopicPartition[]): void {
		for (const { partition } of partitions) this.#paused.add(partition);
	}

	resume(partitions: readonly TopicPartition[]): void {
		for (const { partition } of partitions) this.#paused.delete(partition);
	}

	commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		const lives = new Map(this.#lives);
		const meant = new Map([...this.#askedLives, ...lives]);
		const session = this.#kafka.sessionOf(this);
		const commit = this.#lastCommit.then(() => {
			const epoch = this.#kafka.epochOf(this);
			return this.#ask(() => {
				this.#kafka.commit(this, epoch, { lives, meant }, offsets);
				if (this.#kafka.sessionOf(this) !== session)
					for (const { partition, offset } of offsets) this.#kafka.carriedOver.set(partition, offset);
				if (this.#kafka.world.chance(this.#kafka.faults.answerLost)) throw new KafkaError("no answer to the commit", -1);
			});
		});
		this.#lastCommit = commit.catch(() => {});
		return commit;
	}

	committed(partitions: readonly TopicPartition[]): Promise<StoredOffset[]> {
		return this.#ask(() =>
			partitions.map(({ topic, partition }) => {
				this.#askedLives.set(partition, this.#kafka.life);
				// Who asks for what it is fetching learns of no other log.
				if (this.#kafka.forgives && !this.#positions.has(partition)) this.#lives.set(partition, this.#kafka.life);
				return { topic, partition, offset: this.#kafka.committed.get(partition) ?? null };
			}),
		);
	}

	watermarks({ partition }: TopicPartition): Promise<{ low: number; high: number }> {
		return this.#ask(() => {
			const { low = 0, end: high = 0 } = this.#kafka.logs[partition] ?? {};
			return { low, high };
		});
	}

	topicIds(topics: readonly string[]): Promise<ReadonlyMap<string, string | null>> {
		return this.#ask(() => new Map(topics.filter((topic) => topic === TOPIC).map((topic) => [topic, this.#kafka.topicId])));
	}

	/** The first record at or behind an offset; null where there is none. */
	recordAt({ partition, offset }: TopicPartitionOffset): Promise<{ offset: number; timestamp: number } | null> {
		return this.#ask(() => this.#kafka.logs[partition]?.from(offset, 1)[0] ?? null);
	}

	cachedHighWatermark({ partition }: TopicPartition): number | null {
		return this.#highWatermarks.get(partition) ?? null;
	}

	offsetForTime({ partition }: TopicPartition, timestampMs: number): Promise<number | null> {
		return this.#ask(() => this.#kafka.logs[partition]?.records.find(({ timestamp }) => timestamp >= timestampMs)?.offset ?? null);
	}

	metadata(): Promise<Map<string, number>> {
		return this.#ask(() => new Map([[TOPIC, this.#kafka.logs.length]]));
	}

	readonly hangs = false;

	endQueriesBy(): void {}

	async close(): Promise<boolean> {
		this.#closed = true;
		this.#subscribed = false;
		await new Promise<void>((resolve) => {
			this.#leave(resolve);
			this.#serveWhileLeaving();
		});
		return true;
	}

	/** Nobody polls any more: the closing client serves its callbacks itself. */
	#serveWhileLeaving(): void {
		if (!this.#leaving) return;
		this.#kafka.world.after(1, () =>
			this.process.enter(() => {
				this.#noticeExpulsion();
				for (const callback of this.#callbacks.splice(0)) callback();
				this.#serveWhileLeaving();
			}),
		);
	}

	/** As a new member: what became of the one before is nothing to it. */
	#join(): void {
		this.#expelled = false;
		this.#kafka.join(this);
	}

	/** Gives up what it has, and then its membership. */
	#leave(left: () => void): void {
		const owned = [...this.#granted];
		if (owned.length === 0 && !this.#unanswered) {
			this.#kafka.remove(this);
			left();
			return;
		}
		this.#leaving = left;
		if (!this.#unanswered) this.rebalanced(kafkaErrors.revokePartitions, owned);
	}

	#noticeExpulsion(): void {
		if (!this.#expelled || this.#cutOff) return;
		this.#expelled = false;
		this.#lose();
	}

	/**
	 * What it lost is revoked as librdkafka does it: by a callback like any other, behind one that is to be answered yet. Behind a revocation
	 * of before an assignment comes first, though the group it is of has gone on without this member.
	 */
	#lose(): void {
		this.#rejoins = true;
		if (this.#unanswered === "revoke") this.#behind.push(() => this.rebalanced(kafkaErrors.assignPartitions, []));
		if (this.#unanswered) this.#behind.push(() => this.#revokeAll());
		else this.#revokeAll();
	}

	#revokeAll(): void {
		const owned = [...this.#granted];
		if (owned.length > 0) this.rebalanced(kafkaErrors.revokePartitions, owned);
		else this.#answer();
	}

	#answer(): void {
		this.#unanswered = null;
		this.#postponed = false;
		const behind = this.#behind.shift();
		if (behind) {
			behind();
			return;
		}
		if (this.#leaving) {
			if (this.#granted.size > 0) {
				this.rebalanced(kafkaErrors.revokePartitions, [...this.#granted]);
				return;
			}
			const left = this.#leaving;
			this.#leaving = null;
			this.#rejoins = false;
			this.#kafka.remove(this);
			if (this.#subscribed) this.#join();
			left();
			return;
		}
		if (this.#rejoins) {
			this.#rejoins = false;
			if (this.#subscribed && !this.#kafka.isMember(this)) this.#join();
			return;
		}
		this.#kafka.answered(this);
	}

	/** `mayReset`: a position outside the log takes a query to reset, which no poll lives to see that told the old log's end. */
	#fetch(count: number, mayReset: boolean): ReceivedMessage[] {
		if (this.#unanswered || this.#cutOff || this.#closed) return [];
		const { world, logs, faults } = this.#kafka;
		const messages: ReceivedMessage[] = [];
		const partitions = [...this.#positions.keys()];
		const first = world.between(0, partitions.length);
		for (let i = 0; i < partitions.length && messages.length < count; i++) {
			const partition = partitions[(first + i) % partitions.length] as number;
			if (this.#paused.has(partition) || this.#outside.has(partition)) continue;
			const log = logs[partition] as SimLog;
			this.#highWatermarks.set(partition, log.end);
			let position = this.#positions.get(partition) as number;
			const isOutside = position < log.low || position > log.end;
			if (this.#kafka.forgives) {
				// The log was made again: the position is out of range, and auto.offset.reset is earliest.
				const life = this.#fetchedLives.get(partition) ?? this.#lives.get(partition);
				if (life !== log.life || isOutside) {
					if (!mayReset) continue;
					position = 0;
					this.#fetchedLives.set(partition, log.life);
					this.#toldEnds.delete(partition);
				}
			} else if (isOutside) {
				this.#outside.add(partition);
				this.#error = new KafkaError("the offset is out of range, and auto.offset.reset is error", AUTO_OFFSET_RESET);
				continue;
			}
			if (faults.repeats > 0 && world.chance(faults.repeats))
				position = world.between(Math.max(log.low, this.#starts.get(partition) as number), position + 1);
			const wanted = world.between(1, Math.min(40, count - messages.length) + 1);
			const found = log.from(position, wanted);
			for (const record of found) messages.push(messageOf(partition, record));
			position = found.length > 0 ? (found.at(-1) as LogRecord).offset + 1 : log.end;
			this.#positions.set(partition, position);
			if (position === log.end && this.#toldEnds.get(partition) !== position) {
				this.#toldEnds.set(partition, position);
				this.#ends.push({ topic: TOPIC, partition, offset: position });
			}
		}
		return messages;
	}

	#ask<T>(effect: () => T): Promise<T> {
		const { faults, world } = this.#kafka;
		return this.process.request(
			() => world.random() * faults.latencyMs,
			() => {
				if (this.#cutOff || world.chance(faults.fails)) throw new KafkaError("broker transport failure", -195);
				return effect();
			},
		);
	}
}

function messageOf(partition: number, { offset, timestamp, key, value }: LogRecord): ReceivedMessage {
	return {
		topic: TOPIC,
		partition,
		offset,
		timestamp,
		key: Buffer.from(key),
		value: value === null ? null : Buffer.from(value),
		headers: [],
	};
}
