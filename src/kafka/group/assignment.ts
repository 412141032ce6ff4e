/**
 * The partitions that the group assigned to this member: each assignment is answered, each partition is resolved to a start, fetched, and
 * given away again.
 *
 *    resolving (its start is looked up and stored) -> fetching -> leaving
 *         <- a person sets its offset: it is drained, and begins there -┘
 *
 * librdkafka fetches nothing while a change is unanswered, and under KIP-848 the whole group waits. So an assignment is answered at once,
 * and each partition is added when its own start is stored: one that can't be resolved (no leader, no right, topic deleted) holds up no
 * other. Eager groups assign as a whole: partitions that could not be resolved by then come with a rebalance of their own.
 *
 * Every change is answered, in the order of arrival: librdkafka may put a revocation on top of an unanswered assignment (a topic was
 * deleted), and a member with an unanswered difference stands still.
 */

import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { exponentialBackOff, KAFKA_RETRY } from "../../core/exponential-back-off.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { OffsetSet, WantedOffset } from "../../core/offsets/set-offset.ts";
import { eitherSignal } from "../../core/waiting/either-signal.ts";
import { unlessAborted, unlessAbortedFor } from "../../core/waiting/unless-aborted.ts";
import type { GroupClient } from "../client/group-client.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import type { OffsetStore } from "../offsets/offset-store.ts";
import type { PositionNotes } from "../offsets/position-notes.ts";
import type { FirstStart } from "../starts/first-start.ts";
import { type OutOfRangePolicy, outOfRangeWords } from "../starts/start-decision.ts";
import { resolveStartPositions, type SetCounts, type StartFailure, type StartFrom, type StartPosition } from "../starts/start-position.ts";
import { storeStarts } from "../starts/stored-starts.ts";
import type { BegunPartition, GroupMember } from "./group-member.ts";

/** A partition whose start can't be resolved yet. */
export interface StartFailedFact extends TopicPartition {
	readonly message: string;
	readonly failures: number;
	readonly retryInMs: number;
}

/** Events of the assignment. */
export interface AssignmentListener {
	rebalanced(kind: "assign" | "revoke" | "lost", partitions: readonly TopicPartition[]): void;
	/** An assignment was answered: the member has `partitions` partitions. */
	joined(partitions: number): void;
	startResolved(start: StartPosition): void;
	startFailed(fact: StartFailedFact): void;
	/** An offset that a person set is stored. */
	offsetSet(fact: OffsetSet): void;
	/** A revocation was answered. */
	unassigned(partitions: readonly TopicPartition[]): void;
	/** The client refused an answer: only joining again helps. */
	answerRefused(message: string): void;
	/** A partition that an eager assignment had to leave out can start now. */
	assignmentOutdated(): void;
}

/** What the assignment needs. */
export interface AssignmentParts {
	readonly client: GroupClient;
	readonly member: GroupMember;
	readonly offsets: Pick<OffsetStore, "claim" | "begin" | "goOn" | "elsewhere" | "keptIn">;
	readonly notes: Pick<PositionNotes, "read" | "begin" | "owner">;
	readonly firstStart: FirstStart;
	readonly startFrom: StartFrom;
	readonly onOffsetOutOfRange: OutOfRangePolicy;
	/** True if assignments come as differences (cooperative, KIP-848). */
	readonly incremental: boolean;
	/**
	 * Calls `act` while no poll is under way. A poll may bring messages of an old assignment and then of the new one. The new one's messages
	 * must come from a poll that began after it, or nobody could tell the two apart.
	 */
	readonly betweenPolls: <T>(act: () => T) => Promise<T>;
	/** True if the group gave this member up: the partitions it is told to give away already belong to somebody else. */
	readonly isLost: () => boolean;
	readonly clock: Clock;
	readonly stopped: AbortSignal;
	readonly listener: AssignmentListener;
}

interface Assigned extends TopicPartition {
	state: "resolving" | "fetching" | "leaving";
	/** True if the client fetches it. */
	isFetched: boolean;
	/**
	 * Pending while its start is claimed and stored. Until then it can't be given away: a late claim would fence its next owner, and a late
	 * start would overwrite that owner's commits.
	 */
	storing: Promise<unknown> | null;
	/** The offset that a person wants; `done` is set when that is stored. */
	set: { readonly to: number; done: OffsetSet | null } | null;
}

const GONE: readonly number[] = [kafkaErrors.unknownTopicOrPartition, kafkaErrors.unknownPartition];
/** How long a stop waits for a start that is being stored: a store that doesn't answer must not hold it up. */
const LAST_STORE_MS = 1_000;

/** The partitions assigned to this member. */
export class Assignment {
	readonly #parts: AssignmentParts;
	readonly #assigned = new Map<string, Assigned>();
	#changes: Promise<void> = Promise.resolve();
	#isAbandoned = false;
	/** Aborted by the next change of the assignment. */
	#newest = new AbortController();

	constructor(parts: AssignmentParts) {
		this.#parts = parts;
	}

	/** The partitions of this member, including those whose start is not resolved yet. */
	get partitions(): readonly TopicPartition[] {
		return this.#isAbandoned ? [] : namesOf(this.#assigned.values());
	}

	/** Those that are read. */
	get fetched(): readonly TopicPartition[] {
		return this.#isAbandoned ? [] : namesOf([...this.#assigned.values()].filter(({ state }) => state === "fetching"));
	}

	/**
	 * The client was given up: its partitions belong to another member. Its last callbacks are only answered, because otherwise it never
	 * closes.
	 */
	abandon(): void {
		if (this.#isAbandoned) return;
		const gone = namesOf(this.#assigned.values());
		this.#isAbandoned = true;
		for (const each of this.#assigned.values()) each.state = "leaving";
		if (gone.length > 0) this.#parts.listener.rebalanced("lost", gone);
		this.#parts.member.assignmentsLost(gone);
	}

	/** The client's callback. */
	rebalanced(code: number, partitions: readonly TopicPartition[]): void {
		this.#newest.abort();
		this.#newest = new AbortController();
		const { signal } = this.#newest;
		this.#changes = this.#changes
			.then(() => (code === kafkaErrors.assignPartitions ? this.#assign(partitions, signal) : this.#revoke(partitions)))
			.catch((error) => this.#parts.listener.answerRefused(messageOf(error)));
	}

	async #assign(partitions: readonly TopicPartition[], superseded: AbortSignal): Promise<void> {
		const { client, incremental, listener, stopped } = this.#parts;
		if (this.#isAbandoned) return client.assign([], incremental);
		const assigned = partitions.map(
			({ topic, partition }): Assigned => ({ topic, partition, state: "resolving", isFetched: false, storing: null, set: null }),
		);
		for (const each of assigned) this.#assigned.set(partitionName(each), each);
		listener.rebalanced("assign", partitions);
		if (!incremental) return await this.#assignWhole(assigned, superseded);
		try {
			client.assign([], true);
		} catch (error) {
			// A closing client accepts every answer except this one.
			if (!stopped.aborted) throw error;
			client.unassign([], true);
		}
		listener.joined(this.#assigned.size);
		void this.#resolve(assigned);
	}

	/** Assigns what is resolved at the first attempt; retries the rest, which needs another assignment. */
	async #assignWhole(assigned: readonly Assigned[], superseded: AbortSignal): Promise<void> {
		const { client, listener, stopped } = this.#parts;
		using either = eitherSignal(stopped, superseded);
		const starts = await unlessAborted(this.#attempt(assigned, 1), either.signal).catch(() => []);
		const isAnswered = await this.#parts.betweenPolls(() => {
			if (stopped.aborted || this.#isAbandoned) return false;
			client.assign(starts, false);
			listener.joined(this.#assigned.size);
			this.#begin(starts);
			return true;
		});
		if (!isAnswered) {
			await this.#storesEnd(assigned);
			return client.unassign(assigned, false);
		}
		if (starts.length < assigned.length && !superseded.aborted) {
			void this.#resolve(assigned, { failures: 2 }).then(() => {
				if (!superseded.aborted && !stopped.aborted) listener.assignmentOutdated();
			});
		}
	}

	/** Retries until each partition has its start or was given away. */
	async #resolve(assigned: readonly Assigned[], { failures = 1 } = {}): Promise<void> {
		const { clock, incremental, listener, stopped } = this.#parts;
		for (let tries = failures; !stopped.aborted; tries++) {
			const open = assigned.filter(isResolving);
			if (open.length === 0) return;
			if (tries > 1) await clock.sleep(exponentialBackOff(tries - 1, KAFKA_RETRY), stopped).catch(() => {});
			const starts = await unlessAborted(this.#attempt(open.filter(isResolving), tries), stopped).catch(() => []);
			if (!incremental) {
				if (starts.length === open.length) return;
				continue;
			}
			if (starts.length === 0) continue;
			try {
				await this.#begun(starts, open);
			} catch (error) {
				return listener.answerRefused(messageOf(error));
			}
		}
	}

	/**
	 * Looks up and stores the starts of these partitions, unless they are given away meanwhile. Reports those that can't be resolved yet.
	 * Never rejects.
	 */
	#attempt(assigned: readonly Assigned[], tries: number): Promise<StartPosition[]> {
		const attempt = this.#resolveAndStore(assigned, tries);
		for (const each of assigned) each.storing = attempt;
		return attempt;
	}

	async #resolveAndStore(assigned: readonly Assigned[], tries: number): Promise<StartPosition[]> {
		const { client: queries, offsets: store, notes, startFrom, onOffsetOutOfRange, firstStart } = this.#parts;
		if (assigned.length === 0) return [];
		try {
			const set = new Map(assigned.flatMap((each) => (each.set ? [[partitionName(each), each.set.to]] : [])));
			const resolution = { startFrom, onOffsetOutOfRange, firstStart, queries, store, notes, set };
			const { starts, failed } = await resolveStartPositions(assigned, resolution);
			// A partition given away meanwhile may be back already, but then it is resolved again.
			const open = new Map(assigned.filter(isResolving).map((each) => [partitionName(each), each]));
			this.#tellFailures(
				failed.filter(({ partition }) => open.has(partitionName(partition))),
				tries,
			);
			const wanted = starts.filter((start) => open.has(partitionName(start)));
			const stored = await storeStarts(wanted, this.#parts);
			for (const { counts, ...start } of stored)
				if (counts) this.#noteSet(open.get(partitionName(start)) as Assigned, { ...start, ...counts });
			return stored.filter((start) => isResolving(open.get(partitionName(start)) as Assigned));
		} catch (error) {
			const open = assigned.filter(isResolving);
			this.#tellFailures(
				open.map((partition) => ({ partition, error })),
				tries,
			);
			return [];
		}
	}

	/**
	 * Moves a fetched partition to the offset that `from` returns, which is called when no more messages of the old fetch can come; null:
	 * leave it. Done between two changes of the assignment: during a change the client would take the move for its answer. Eager groups
	 * assign as a whole, so they join again.
	 */
	refetch({ topic, partition }: TopicPartition, from: () => number | null): Promise<void> {
		const { client, member, incremental, listener, stopped } = this.#parts;
		const seek = () => {
			const assigned = this.#assigned.get(partitionName({ topic, partition }));
			if (this.#isAbandoned || stopped.aborted || assigned?.state !== "fetching") return;
			const offset = from();
			if (offset === null) return;
			if (!incremental) return listener.assignmentOutdated();
			client.seek({ topic, partition, offset });
			member.refetched([{ topic, partition }]);
		};
		const refetched = this.#changes.then(() => this.#parts.betweenPolls(seek));
		this.#changes = refetched.catch((error) => listener.answerRefused(messageOf(error)));
		return this.#changes;
	}

	/**
	 * Moves partitions to offsets that a person wants, all or none. What is in hand is finished and committed as for a revocation, the new
	 * position is stored like any start, and fetching begins there; eager groups join again for that. Partitions given away meanwhile are left
	 * out and begin where they were. Null if one of them is not fetched.
	 */
	async move(wanted: readonly WantedOffset[]): Promise<readonly OffsetSet[] | null> {
		const moving = this.#changes.then(() => this.#takeBack(wanted));
		this.#changes = moving.then(
			() => {},
			(error) => this.#parts.listener.answerRefused(messageOf(error)),
		);
		const assigned = await moving;
		if (!assigned) return null;
		await this.#resolve(assigned);
		if (!this.#parts.incremental && assigned.some(isResolving) && !this.#parts.stopped.aborted) this.#parts.listener.assignmentOutdated();
		return assigned.flatMap(({ set }) => set?.done ?? []);
	}

	async #takeBack(wanted: readonly WantedOffset[]): Promise<Assigned[] | null> {
		const { client, member, stopped } = this.#parts;
		const assigned = wanted.flatMap((each) => this.#assigned.get(partitionName(each)) ?? []);
		const isFetching = () => !this.#isAbandoned && !stopped.aborted && assigned.every(({ state }) => state === "fetching");
		if (assigned.length < wanted.length || !isFetching()) return null;
		client.pause(namesOf(assigned));
		await member.assignmentsRevoked(namesOf(assigned));
		if (!isFetching()) return null;
		assigned.forEach((each, index) => {
			each.state = "resolving";
			each.set = { to: (wanted[index] as WantedOffset).to, done: null };
		});
		return assigned;
	}

	#noteSet(assigned: Assigned, { topic, partition, offset, kept, again, passedOver }: StartPosition & SetCounts): void {
		if (!assigned.set || assigned.set.done) return;
		assigned.set.done = { topic, partition, to: offset, committed: kept ?? offset, again, passedOver };
		this.#parts.listener.offsetSet(assigned.set.done);
	}

	/**
	 * Tells the client about these starts. A partition that it already has is moved between two changes of the assignment: during a change
	 * the client would take the move for its answer.
	 */
	async #begun(starts: readonly StartPosition[], open: readonly Assigned[]): Promise<void> {
		const take = () => this.#parts.betweenPolls(() => this.#take(starts, open));
		if (!open.some(({ isFetched }) => isFetched)) return await take();
		const taken = this.#changes.then(take);
		this.#changes = taken.catch(() => {});
		await taken;
	}

	/** Assigns those that were not given away while waiting for a poll. */
	#take(starts: readonly StartPosition[], open: readonly Assigned[]): void {
		const names = new Set(open.filter(isResolving).map(partitionName));
		const wanted = starts.filter((start) => names.has(partitionName(start)));
		if (wanted.length === 0 || this.#parts.stopped.aborted) return;
		const { client, member } = this.#parts;
		const isFetched = (start: StartPosition) => this.#assigned.get(partitionName(start))?.isFetched === true;
		const [known, fresh] = [wanted.filter(isFetched), wanted.filter((start) => !isFetched(start))];
		if (fresh.length > 0) client.assign(fresh, true);
		for (const { topic, partition, offset } of known) client.seek({ topic, partition, offset });
		this.#begin(wanted);
		if (known.length > 0) member.refetched(namesOf(known));
	}

	/** Begins to fetch these. */
	#begin(starts: readonly StartPosition[]): void {
		if (starts.length === 0) return;
		for (const start of starts) {
			Object.assign(this.#assigned.get(partitionName(start)) as Assigned, { state: "fetching", isFetched: true });
			this.#parts.listener.startResolved(start);
		}
		this.#parts.member.assignmentsReceived(starts.map((start) => ({ ...start, parked: parkedAt(start) })));
	}

	async #revoke(partitions: readonly TopicPartition[]): Promise<void> {
		const { member, incremental, isLost, listener } = this.#parts;
		const gone = (
			incremental ? partitions.flatMap((each) => this.#assigned.get(partitionName(each)) ?? []) : [...this.#assigned.values()]
		) as Assigned[];
		for (const each of gone) each.state = "leaving";
		await this.#storesEnd(gone);
		if (this.#isAbandoned) return this.#giveAway(gone);
		const lost = isLost();
		const names = namesOf(gone);
		listener.rebalanced(lost ? "lost" : "revoke", names);
		if (lost) member.assignmentsLost(names);
		else await member.assignmentsRevoked(names);
		this.#giveAway(gone);
		listener.unassigned(names);
	}

	/** Waits until no start of these partitions is being stored. */
	async #storesEnd(assigned: readonly Assigned[]): Promise<void> {
		const { clock, stopped } = this.#parts;
		const storing = Promise.all(assigned.map((each) => each.storing));
		await unlessAbortedFor(LAST_STORE_MS, storing, stopped, clock).catch(() => {});
	}

	#giveAway(gone: readonly Assigned[]): void {
		for (const each of gone) this.#assigned.delete(partitionName(each));
		this.#parts.client.unassign(
			gone.filter(({ isFetched }) => isFetched),
			this.#parts.incremental,
		);
	}

	#tellFailures(failed: readonly StartFailure[], failures: number): void {
		const retryInMs = exponentialBackOff(failures, KAFKA_RETRY);
		for (const { partition, error } of failed) {
			const isGone = error instanceof KafkaError && GONE.includes(error.kafkaCode);
			const message = isGone ? `${messageOf(error)} (it was deleted?)` : messageOf(error);
			this.#parts.listener.startFailed({ topic: partition.topic, partition: partition.partition, message, failures, retryInMs });
		}
	}
}

/** Why a start has to wait until somebody decides. */
function parkedAt({ topic, partition, outOfRange }: StartPosition): BegunPartition["parked"] {
	if (outOfRange?.kind !== "park") return null;
	return { code: "out_of_range", message: outOfRangeWords({ topic, partition, position: outOfRange.position }, outOfRange.log) };
}

function namesOf(assigned: Iterable<TopicPartition>): TopicPartition[] {
	return Array.from(assigned, ({ topic, partition }) => ({ topic, partition }));
}

function isResolving({ state }: Assigned): boolean {
	return state === "resolving";
}
