/**
 * Kafka, simulated: logs with gaps, a group coordinator that gives partitions to members and takes them away, members that outlive their
 * session, commits that are refused, lost or answered late, and that name the topic alone: whichever log has its name takes them.
 */
import type { TopicPartition, TopicPartitionOffset } from "../../src/core/messages/message.ts";
import { KafkaError, kafkaErrors } from "../../src/kafka/client/kafka-error.ts";
import type { SimClient } from "./client.ts";
import { type LogRecord, SimLog } from "./log.ts";
import type { World } from "./world.ts";

export const TOPIC = "orders";

/** Chances of failures, changed by the scenario. */
export interface KafkaFaults {
	/** Longest time a request or its answer takes, ms. */
	latencyMs: number;
	/** A query or commit fails without effect. */
	fails: number;
	/** A commit takes effect, and its answer is an error. */
	answerLost: number;
	/** A fetch goes back to what came before. */
	repeats: number;
}

/** What is told of commits and assignments, for the invariants. */
export interface KafkaObserver {
	committed(partition: number, offset: number): void;
	/** A client was told to fetch a partition from here. */
	assigned(client: SimClient, partition: number, offset: number): void;
	/** A client goes on at this offset with a partition that it has. */
	sought(client: SimClient, partition: number, offset: number): void;
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

/** What this Kafka is like. */
export interface KafkaTraits {
	/**
	 * Kinder than the real one: it refuses a commit for a log that is gone though the topic's name is there again, and its client begins a
	 * log that was made again at 0 by itself.
	 */
	readonly forgives: boolean;
	/** Topics have ids, and the client can ask for them. */
	readonly hasIds: boolean;
	/** Members give up all that they have before each assignment, and are assigned anew together. */
	readonly isEager: boolean;
}

/** One topic and one group. */
export class SimKafka {
	readonly world: World;
	readonly faults: KafkaFaults;
	readonly topic = TOPIC;
	readonly logs: SimLog[];
	readonly committed = new Map<number, number>();
	/** By partition: the last offset whose commit was asked for in one session of its client and taken in the next. */
	readonly carriedOver = new Map<number, number>();
	/** How often the topic was made again. */
	life = 0;
	/** Logs that were deleted, of topics without ids. */
	readonly #former: (readonly SimLog[])[] = [];
	readonly #observer: KafkaObserver;
	readonly #traits: KafkaTraits;
	readonly #members = new Map<SimClient, Member>();
	/** Who has a partition, as the coordinator sees it. */
	readonly #owners = new Map<number, Member>();
	/** Where a partition is to be, where chance moved it. */
	readonly #wishes = new Map<number, SimClient>();
	/** Raised by whatever makes the members join anew; each ends with an assignment for everybody, empty where nothing is added. */
	#generation = 0;

	constructor(
		world: World,
		partitions: number,
		faults: KafkaFaults,
		observer: KafkaObserver,
		traits: KafkaTraits = { forgives: false, hasIds: true, isEager: false },
	) {
		this.world = world;
		this.#traits = traits;
		this.faults = faults;
		this.#observer = observer;
		this.logs = Array.from({ length: partitions }, () => new SimLog(0));
	}

	get observer(): KafkaObserver {
		return this.#observer;
	}

	get forgives(): boolean {
		return this.#traits.forgives;
	}

	get isEager(): boolean {
		return this.#traits.isEager;
	}

	/** The topic's id; null where it can't be known. */
	get topicId(): string | null {
		return this.#traits.hasIds ? `topic-id-${this.life}` : null;
	}

	/**
	 * Appends a record, behind a gap of some offsets. No two logs have a record of one time at one offset, or nothing would tell them
	 * apart.
	 */
	produce(partition: number, record: Omit<LogRecord, "offset">, gap = 0): LogRecord {
		const log = this.logs[partition] as SimLog;
		const isTaken = (at: number) => this.#former.some((logs) => logs[partition]?.at(log.end + gap)?.timestamp === at);
		let { timestamp } = record;
		while (isTaken(timestamp)) timestamp++;
		return log.append({ ...record, timestamp }, gap);
	}

	/** Offsets without a message at the log's end, as a transaction's mark or compaction leaves them; the next offset. */
	leaveGap(partition: number, offsets: number): number {
		const log = this.logs[partition] as SimLog;
		log.end += offsets;
		return log.end;
	}

	/** The topic is deleted and made again: its logs are empty and begin at 0, and nothing is committed. */
	recreate(): void {
		this.life++;
		if (!this.#traits.hasIds) this.#former.push([...this.logs]);
		for (const partition of this.logs.keys()) this.logs[partition] = new SimLog(this.life);
		this.committed.clear();
	}

	/** Retention, or somebody: what lies before the offset is gone. */
	deleteRecords(partition: number, offset: number): void {
		(this.logs[partition] as SimLog).low = offset;
	}

	/** True while nobody is in the group. */
	get isEmpty(): boolean {
		return this.#members.size === 0;
	}

	/** The group's offsets are over, as they are some time after it became empty. */
	forget(): void {
		this.committed.clear();
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

	/** What the client's session is; another one after each join. */
	sessionOf(client: SimClient): object | null {
		return this.#members.get(client) ?? null;
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
			if (!this.isEager) this.#generation++;
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

	/** Taken by the topic's name. `lives`: which of each partition's logs is fetched; `meant`: which the offsets were meant for. */
	commit(
		client: SimClient,
		epoch: number,
		{ lives, meant }: Record<"lives" | "meant", ReadonlyMap<number, number>>,
		offsets: readonly TopicPartitionOffset[],
	): void {
		const member = this.#members.get(client);
		if (!member) throw new KafkaError("unknown member", kafkaErrors.unknownMember);
		if (member.epoch !== epoch) throw new KafkaError("illegal generation", kafkaErrors.illegalGeneration);
		// Without ids nobody can tell a commit that was on its way to the log before from one of this log's: that is not promised.
		const isForgiven = ({ partition }: TopicPartition) => this.forgives || (!this.#traits.hasIds && meant.has(partition));
		if (offsets.some((each) => isForgiven(each) && meant.get(each.partition) !== this.life))
			throw new KafkaError("unknown topic or partition", kafkaErrors.unknownTopicOrPartition);
		for (const { partition, offset } of offsets) {
			this.committed.set(partition, offset);
			// One that was meant for another log is nobody's promise: whoever begins next must not believe it.
			if (lives.get(partition) === this.life) this.#observer.committed(partition, offset);
		}
	}

	#reconcile(): void {
		if (this.isEager) this.#reconcileTogether();
		else this.#reconcileEach();
	}

	/** Takes everything from everybody; who has nothing any more has joined, and when all have, each is assigned its whole share. */
	#reconcileTogether(): void {
		const members = [...this.#members.values()];
		if (members.every(({ generation }) => generation === this.#generation)) return;
		for (const member of members) {
			if (member.pending || member.owned.size === 0 || member.client.isLeaving) continue;
			member.pending = { kind: "revoke", partitions: [...member.owned] };
			member.client.rebalanced(kafkaErrors.revokePartitions, member.pending.partitions);
		}
		if (members.some(({ pending, owned }) => pending || owned.size > 0)) return;
		for (const [member, target] of this.#targets()) {
			for (const partition of target) this.#owners.set(partition, member);
			Object.assign(member, { owned: target, generation: this.#generation, pending: { kind: "assign", partitions: [...target] } });
			member.client.rebalanced(kafkaErrors.assignPartitions, [...target]);
		}
	}

	/** Gives every member one callback at a time until all have what they are to have. */
	#reconcileEach(): void {
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
