/**
 * Kafka, simulated: logs with gaps, a group coordinator that gives partitions to members and takes them away, members that outlive their
 * session, commits that are refused, lost or answered late. The client has the traps of the real one: callbacks come with polling,
 * ends are told before the messages in front of them, an unanswered rebalance stops all fetching.
 */
import { EventEmitter } from "eventemitter3";
import type { ReceivedMessage, TopicPartition, TopicPartitionOffset } from "../../src/core/message.ts";
import type { GroupClient, GroupClientEvents, StoredOffset } from "../../src/kafka/group-client.ts";
import { KafkaError, kafkaErrors } from "../../src/kafka/kafka-error.ts";
import { type LogRecord, SimLog } from "./log.ts";
import type { SimProcess, World } from "./world.ts";

export const TOPIC = "orders";

/** Chances of failures, changed by the scenario. */
export interface KafkaFaults {
	/** Longest time a request or its answer takes, ms. */
	latencyMs: number;
	/** A query or commit fails without effect. */
	fails: number;
	/** A commit takes effect, and its answer is an error. */
	answerLost: number;
}

/** What is told of commits and assignments, for the invariants. */
export interface KafkaObserver {
	committed(partition: number, offset: number): void;
	/** A client was told to fetch a partition from here. */
	assigned(client: SimClient, partition: number, offset: number): void;
	/** A client gave a partition away; `lost`: it had been taken from it before. */
	released(client: SimClient, partition: number, lost: boolean): void;
}

interface Member {
	readonly client: SimClient;
	owned: Set<number>;
	epoch: number;
	/** The last generation of the group that it was told of. */
	generation: number;
	/** A callback that was given to the client and not answered. */
	pending: { readonly kind: "assign" | "revoke"; readonly partitions: readonly number[] } | null;
}

const SESSION_MS = 6_000;
const INVALID_ARGUMENT = -186;

/** One topic and one group. */
export class SimKafka {
	readonly world: World;
	readonly faults: KafkaFaults;
	readonly topic = TOPIC;
	readonly logs: SimLog[];
	readonly committed = new Map<number, number>();
	readonly #observer: KafkaObserver;
	readonly #members = new Map<SimClient, Member>();
	/** Who has a partition, as the coordinator sees it. */
	readonly #owners = new Map<number, Member>();
	/** Where a partition is to be, where chance moved it. */
	readonly #wishes = new Map<number, SimClient>();
	/** Raised by whatever makes the members join anew; each ends with an assignment for everybody, empty where nothing is added. */
	#generation = 0;

	constructor(world: World, partitions: number, faults: KafkaFaults, observer: KafkaObserver) {
		this.world = world;
		this.faults = faults;
		this.#observer = observer;
		this.logs = Array.from({ length: partitions }, () => new SimLog(0));
	}

	get observer(): KafkaObserver {
		return this.#observer;
	}

	/** Appends a record, behind a gap of some offsets. */
	produce(partition: number, record: Omit<LogRecord, "offset">, gap = 0): LogRecord {
		return (this.logs[partition] as SimLog).append(record, gap);
	}

	/** Offsets without a message at the log's end, as a transaction's mark or compaction leaves them; the next offset. */
	leaveGap(partition: number, offsets: number): number {
		const log = this.logs[partition] as SimLog;
		log.end += offsets;
		return log.end;
	}

	/** The topic's partition is deleted and made again: it is empty and begins at 0, and nothing is committed. */
	recreate(partition: number): void {
		this.logs[partition] = new SimLog((this.logs[partition] as SimLog).life + 1);
		this.committed.delete(partition);
	}

	/** Somebody joins, leaves, or a partition is moved by chance. */
	rebalance(): void {
		const clients = [...this.#members.keys()];
		if (clients.length === 0) return;
		this.#wishes.set(this.world.between(0, this.logs.length), this.world.pick(clients));
		this.#generation++;
		this.#reconcile();
	}

	join(client: SimClient): void {
		this.#members.set(client, { client, owned: new Set(), epoch: 1, generation: this.#generation++, pending: null });
		this.#reconcile();
	}

	/** The member is gone, by itself or because its session is over: what it had is free. */
	remove(client: SimClient): boolean {
		const member = this.#members.get(client);
		if (!member) return false;
		this.#members.delete(client);
		for (const partition of member.owned) if (this.#owners.get(partition) === member) this.#owners.delete(partition);
		this.#generation++;
		this.#reconcile();
		return true;
	}

	isMember(client: SimClient): boolean {
		return this.#members.has(client);
	}

	epochOf(client: SimClient): number {
		return this.#members.get(client)?.epoch ?? 0;
	}

	/** The client answered its callback. */
	answered(client: SimClient): void {
		const member = this.#members.get(client);
		if (!member?.pending) return;
		const { kind, partitions } = member.pending;
		member.pending = null;
		member.epoch++;
		if (kind === "revoke") {
			this.#generation++;
			for (const partition of partitions) {
				member.owned.delete(partition);
				if (this.#owners.get(partition) === member) this.#owners.delete(partition);
			}
		}
		this.#reconcile();
	}

	/** The session of a process that is frozen or cut off ends where it doesn't come back in time. */
	watchSession(client: SimClient): void {
		this.world.after(SESSION_MS, () => {
			if (client.isOut && this.remove(client)) client.wasExpelled();
		});
	}

	/** The coordinator's view, for whoever looks into a seed. */
	describe(): string {
		const members = [...this.#members.values()].map(
			({ client, owned, pending }) =>
				`${client.process.name} has ${[...owned]}${pending ? `, to answer ${pending.kind} ${pending.partitions}` : ""}`,
		);
		return `members: ${members.join("; ")}`;
	}

	/** `lives`: which of each partition's logs the offsets belong to. */
	commit(client: SimClient, epoch: number, lives: ReadonlyMap<number, number>, offsets: readonly TopicPartitionOffset[]): void {
		const member = this.#members.get(client);
		if (!member) throw new KafkaError("unknown member", kafkaErrors.unknownMember);
		if (member.epoch !== epoch) throw new KafkaError("illegal generation", kafkaErrors.illegalGeneration);
		if (offsets.some(({ partition }) => lives.get(partition) !== this.logs[partition]?.life)) {
			throw new KafkaError("unknown topic or partition", kafkaErrors.unknownTopicOrPartition);
		}
		for (const { partition, offset } of offsets) {
			this.committed.set(partition, offset);
			this.#observer.committed(partition, offset);
		}
	}

	/** Gives every member one callback at a time until all have what they are to have. */
	#reconcile(): void {
		const targets = this.#targets();
		for (const member of this.#members.values()) {
			if (member.pending) continue;
			const target = targets.get(member) as Set<number>;
			const revoked = [...member.owned].filter((partition) => !target.has(partition));
			const granted = [...target].filter((partition) => !this.#owners.has(partition));
			if (revoked.length > 0) {
				member.pending = { kind: "revoke", partitions: revoked };
				member.client.rebalanced(kafkaErrors.revokePartitions, revoked);
			} else if (granted.length > 0 || member.generation < this.#generation) {
				member.generation = this.#generation;
				for (const partition of granted) {
					this.#owners.set(partition, member);
					member.owned.add(partition);
				}
				member.pending = { kind: "assign", partitions: granted };
				member.client.rebalanced(kafkaErrors.assignPartitions, granted);
			}
		}
	}

	/** Sticky: who has a partition keeps it while nobody has too many, unless chance wished otherwise. */
	#targets(): Map<Member, Set<number>> {
		const members = [...this.#members.values()];
		const targets = new Map(members.map((member) => [member, new Set<number>()]));
		if (members.length === 0) return targets;
		const most = Math.ceil(this.logs.length / members.length);
		const homeless: number[] = [];
		for (let partition = 0; partition < this.logs.length; partition++) {
			const wished = this.#wishes.get(partition);
			const member = (wished && this.#members.get(wished)) ?? this.#owners.get(partition);
			const target = member && targets.get(member);
			if (target && (wished || target.size < most)) target.add(partition);
			else homeless.push(partition);
		}
		for (const partition of homeless) {
			const [least] = [...targets.values()].sort((left, right) => left.size - right.size);
			least?.add(partition);
		}
		return targets;
	}
}

/** A consumer of a simulated process. */
export class SimClient extends EventEmitter<GroupClientEvents> implements GroupClient {
	readonly #kafka: SimKafka;
	readonly process: SimProcess;
	readonly #positions = new Map<number, number>();
	readonly #paused = new Set<number>();
	readonly #toldEnds = new Map<number, number>();
	/** Which of each partition's logs the daemon's offsets belong to, and what the client has fetched from since. */
	readonly #lives = new Map<number, number>();
	readonly #fetchedLives = new Map<number, number>();
	readonly #highWatermarks = new Map<number, number>();
	readonly #callbacks: (() => void)[] = [];
	#unanswered: "assign" | "revoke" | null = null;
	/** What the group has given to it, also what it does not fetch yet; and what of it is being revoked. */
	readonly #granted = new Set<number>();
	#revoking: readonly number[] = [];
	/** What comes behind the callback that is to be answered. */
	readonly #behind: (() => void)[] = [];
	#error: KafkaError | null = null;
	#subscribed = false;
	/** It was given up, and is to be told. */
	#expelled = false;
	/** Revoking what it had lost; it joins anew when that is answered. */
	#rejoins = false;
	#leaving: (() => void) | null = null;
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

	subscribe(): void {
		if (this.#closed) return;
		this.#subscribed = true;
		if (!this.#leaving && !this.#kafka.isMember(this)) this.#kafka.join(this);
	}

	unsubscribe(): void {
		this.#subscribed = false;
		this.#leave(() => {});
	}

	consume(count: number, timeoutMs: number): Promise<ReceivedMessage[]> {
		const deadline = this.#kafka.world.now + timeoutMs;
		let isFirstLook = true;
		return new Promise((resolve, reject) => {
			const look = (delayMs: number) =>
				this.#kafka.world.after(delayMs, () =>
					this.process.enter(() => {
						const error = this.#error;
						this.#error = null;
						if (error) return reject(error);
						this.#noticeExpulsion();
						for (const callback of this.#callbacks.splice(0)) callback();
						const messages = this.#fetch(count, isFirstLook);
						isFirstLook = false;
						const leftMs = deadline - this.#kafka.world.now;
						if (messages.length > 0 || leftMs <= 0) {
							this.#learnLives();
							resolve(messages);
						} else look(Math.min(leftMs, 50));
					}),
				);
			look(this.#kafka.world.between(0, 5));
		});
	}

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
			this.#fetchedLives.delete(partition);
			if (!this.#lives.has(partition)) this.#lives.set(partition, this.#kafka.logs[partition]?.life ?? 0);
			this.#paused.delete(partition);
			this.#toldEnds.delete(partition);
			this.#kafka.observer.assigned(this, partition, offset);
		}
		if (this.#unanswered === "assign") this.#answer();
	}

	/** Answers a revocation, or takes from an assignment; like the real one it gives away only what it has. */
	unassign(partitions: readonly TopicPartition[]): void {
		for (const { partition } of partitions) {
			if (!this.#positions.has(partition)) throw new KafkaError("not in the current assignment", INVALID_ARGUMENT);
		}
		for (const { partition } of partitions) {
			this.#positions.delete(partition);
			this.#kafka.observer.released(this, partition, this.#rejoins);
		}
		// A closing client takes every answer for that of its revocation.
		if (this.#unanswered === null || (this.#unanswered === "assign" && !this.#closed)) return;
		for (const partition of this.#revoking) this.#granted.delete(partition);
		this.#answer();
	}

	pause(partitions: readonly TopicPartition[]): void {
		for (const { partition } of partitions) this.#paused.add(partition);
	}

	resume(partitions: readonly TopicPartition[]): void {
		for (const { partition } of partitions) this.#paused.delete(partition);
	}

	commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		const lives = new Map(this.#lives);
		const commit = this.#lastCommit.then(() => {
			const epoch = this.#kafka.epochOf(this);
			return this.#ask(() => {
				this.#kafka.commit(this, epoch, lives, offsets);
				if (this.#kafka.world.chance(this.#kafka.faults.answerLost)) throw new KafkaError("no answer to the commit", -1);
			});
		});
		this.#lastCommit = commit.catch(() => {});
		return commit;
	}

	committed(partitions: readonly TopicPartition[]): Promise<StoredOffset[]> {
		return this.#ask(() =>
			partitions.map(({ topic, partition }) => {
				// Who asks for what it is fetching learns of no other log.
				if (!this.#positions.has(partition)) this.#lives.set(partition, this.#kafka.logs[partition]?.life ?? 0);
				return { topic, partition, offset: this.#kafka.committed.get(partition) ?? null };
			}),
		);
	}

	watermarks({ partition }: TopicPartition): Promise<{ low: number; high: number }> {
		return this.#ask(() => ({ low: 0, high: this.#kafka.logs[partition]?.end ?? 0 }));
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
			this.#expelled = false;
			this.#kafka.remove(this);
			if (this.#subscribed) this.#kafka.join(this);
			left();
			return;
		}
		if (this.#rejoins) {
			this.#rejoins = false;
			if (this.#subscribed && !this.#kafka.isMember(this)) this.#kafka.join(this);
			return;
		}
		this.#kafka.answered(this);
	}

	/** `mayReset`: a position outside the log takes a query to reset, which no poll lives to see that told the old log's end. */
	#fetch(count: number, mayReset: boolean): ReceivedMessage[] {
		if (this.#unanswered || this.#cutOff || this.#closed) return [];
		const { world, logs } = this.#kafka;
		const messages: ReceivedMessage[] = [];
		const partitions = [...this.#positions.keys()];
		const first = world.between(0, partitions.length);
		for (let i = 0; i < partitions.length && messages.length < count; i++) {
			const partition = partitions[(first + i) % partitions.length] as number;
			if (this.#paused.has(partition)) continue;
			const log = logs[partition] as SimLog;
			this.#highWatermarks.set(partition, log.end);
			let position = this.#positions.get(partition) as number;
			// The log was made again: the position is out of range, and auto.offset.reset is earliest.
			const life = this.#fetchedLives.get(partition) ?? this.#lives.get(partition);
			if (life !== log.life || position > log.end) {
				if (!mayReset) continue;
				position = 0;
				this.#fetchedLives.set(partition, log.life);
				this.#toldEnds.delete(partition);
			}
			const wanted = world.between(1, Math.min(40, count - messages.length) + 1);
			const found = log.from(position, wanted);
			for (const record of found) messages.push(messageOf(partition, record));
			position = found.length > 0 ? (found.at(-1) as LogRecord).offset + 1 : log.end;
			this.#positions.set(partition, position);
			if (position === log.end && this.#toldEnds.get(partition) !== position) {
				this.#toldEnds.set(partition, position);
				this.emit("endOfPartition", { topic: TOPIC, partition, offset: position });
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
