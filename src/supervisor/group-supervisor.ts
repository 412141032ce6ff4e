/**
 * The supervisor of one member of the group, modelled on brod_group_subscriber_v2: one child per assigned partition, started on assignment,
 * drained and ended on revocation. One-for-one: brod stops the whole subscriber when a worker exits; here a child restarts its own thread
 * and the others don't notice.
 *
 *    group supervisor -> partition worker (one per assigned partition) -> its worker thread
 *
 * Owns the children and the drain. Knows neither Kafka nor Postgres: supervisor-parts.ts declares what it needs from them.
 *
 * Step 2 of a message's way (docs/architecture.md).
 */

import { messageOf } from "../core/errors.ts";
import { partitionName, type TopicPartition } from "../core/messages/message.ts";
import { sliceBatch } from "../core/messages/message-codec.ts";
import type { PackedBatch } from "../core/messages/packed-batch.ts";
import type { SkipAnswer } from "../core/messages/skip-outcome.ts";
import { BackPressure, isShut } from "./back-pressure.ts";
import type { Assigned, Child, ParkedPosition, Supervised, SupervisorParts } from "./supervisor-parts.ts";

const NOT_TAKEN = "not_taken";
/** Delay before messages that could not be taken are fetched again: the cause may pass, and this must not become a busy loop. */
const TAKE_AGAIN_MS = 10_000;
/** Minimum time for the commit after a drain that took all its time; still within a container's ten seconds. */
export const LEAST_COMMIT_MS = 1_000;

/**
 * Starts, drains and ends one child per assigned partition. It is the group consumer's member: the `assignments…`, `messages…` and
 * `endOfPartition` calls come from there.
 */
export class GroupSupervisor<AChild extends Child> {
	readonly #parts: SupervisorParts<AChild>;
	readonly #children = new Map<string, Supervised<AChild>>();
	readonly #pressure: BackPressure<AChild>;
	/** Names of partitions that were given away while a person had paused them, until the group's next assignment. */
	#pausedBefore = new Set<string>();
	/** This member leaves and joins again by itself: the next assignment with partitions ends no pause of those that come back. */
	#isRejoining = false;
	#stopping = false;

	constructor(parts: SupervisorParts<AChild>) {
		this.#parts = parts;
		this.#pressure = new BackPressure({ ...parts, children: this.#children });
	}

	/** The living children, with their epoch and whether their partition is paused. */
	get children(): ReadonlyMap<string, Readonly<Supervised<AChild>>> {
		return this.#children;
	}

	/** True if messages should arrive more slowly. */
	get isCrowded(): boolean {
		return !this.#stopping && this.#pressure.isCrowded;
	}

	/**
	 * An assignment begins. An eager one takes all and gives most back at once: that ends no pause, nor does one behind `rejoins`. The pause of
	 * others is over: they have another owner, or had one.
	 */
	partitionsGivenBack(partitions: readonly TopicPartition[], isIncremental: boolean): void {
		if (this.#isRejoining && partitions.length === 0) return;
		const givenBack = isIncremental && !this.#isRejoining ? [] : partitions;
		this.#isRejoining = false;
		this.#pausedBefore = new Set(givenBack.map(partitionName).filter((name) => this.#pausedBefore.has(name)));
	}

	/** This member is about to leave and to join again by itself. What a person paused stays paused if it comes back with the next assignment. */
	rejoins(): void {
		this.#isRejoining = true;
		for (const each of this.#children.values()) if (each.pausedByHand) this.#pausedBefore.add(partitionName(each));
	}

	/** Starts a child for each partition; pauses are applied again, because an assignment resumes everything. */
	assignmentsReceived(partitions: readonly Assigned[]): void {
		if (this.#stopping) return;
		for (const assigned of partitions) {
			const supervised = this.#startChild(assigned);
			if (this.#pausedBefore.delete(partitionName(assigned))) this.#pauseByHand(supervised);
			if (assigned.parked) this.#park(supervised, assigned.parked);
		}
		const paused = [...this.#children.values()].filter(isShut);
		if (paused.length > 0) this.#parts.valve.pause(paused);
	}

	/**
	 * Drains, commits and ends the children of these partitions. Resolves when they may be given away, at the latest a second after the
	 * deadline. False if the deadline passed before they were drained, or finished offsets could not be committed.
	 */
	async assignmentsRevoked(partitions: readonly TopicPartition[], reason: "shutdown" | "revoked" = "revoked"): Promise<boolean> {
		const named = partitions.flatMap((partition) => this.#children.get(partitionName(partition)) ?? []);
		const released = named.filter(({ draining }) => draining === null);
		const draining = this.#release(released, reason);
		for (const supervised of released) supervised.draining = draining;
		// A stop and a revocation may overlap: no child is drained twice.
		const results = await Promise.all(named.map((supervised) => supervised.draining));
		return results.every((isDrained) => isDrained !== false);
	}

	async #release(released: readonly Supervised<AChild>[], reason: "shutdown" | "revoked"): Promise<boolean> {
		if (released.length === 0) return true;
		const { clock, limits, listener } = this.#parts;
		const startedAt = clock.monotonic();
		const { timedOut, haveEnded } = await this.#drain(released, reason);
		const unfinished = released.reduce((sum, { child }) => sum + child.queue.handed, 0);
		const leftMs = limits.drainTimeoutMs - (clock.monotonic() - startedAt);
		const committed = await this.#parts.commit(released, Math.max(LEAST_COMMIT_MS, leftMs));
		for (const each of released) if (each.pausedByHand) this.#pausedBefore.add(partitionName(each));
		this.#forget(released);
		if (!haveEnded) for (const { child } of released) void child.kill();
		const names = released.map(({ topic, partition }) => ({ topic, partition }));
		listener.drained({ partitions: names, durationMs: clock.monotonic() - startedAt, timedOut, committed, unfinished });
		return !timedOut && committed;
	}

	/** The partitions already belong to somebody else: their children end at once and nothing is committed. */
	assignmentsLost(partitions: readonly TopicPartition[]): void {
		const lost = partitions.flatMap((partition) => this.#children.get(partitionName(partition)) ?? []);
		this.#forget(lost);
		for (const { child } of lost) void child.kill();
	}

	/**
	 * Takes the messages that the consumer received for one partition. Never throws: if they can't be taken, only this partition begins anew.
	 */
	messagesReceived(partition: TopicPartition, batch: PackedBatch): void {
		try {
			this.#take(partition, batch);
		} catch (error) {
			this.#takeAgain(partition, `messages from offset ${batch.offsets[0]} on can't be taken in: ${messageOf(error)}`);
		}
	}

	/**
	 * Messages of this partition arrived and were lost. A parked partition takes no messages anyway; where it goes on is decided when it is
	 * unparked.
	 */
	messagesNotTaken(partition: TopicPartition, reason: string): void {
		if (!this.#children.get(partitionName(partition))?.parked) this.#takeAgain(partition, reason);
	}

	#take(partition: TopicPartition, batch: PackedBatch): void {
		const { length, offsets, timestamps, bytes } = batch;
		if (length === 0) return;
		if (this.#children.get(partitionName(partition))?.parked) return;
		this.#beginAnewIfRewound(partition, offsets[0] as number);
		const supervised = this.#children.get(partitionName(partition));
		if (!supervised || supervised.draining || supervised.parked) return;
		const back = wentBackAt(offsets);
		if (back > 0) {
			this.#take(partition, sliceBatch(batch, 0, back));
			this.#take(partition, sliceBatch(batch, back, length));
			return;
		}
		this.#parts.offsets.received(partition, supervised.epoch, offsets, timestamps[length - 1] as number);
		supervised.child.deliver(batch);
		const { regressions: timestampRegressions, newest } = regressionsIn(timestamps, supervised.lastTimestamp);
		supervised.lastTimestamp = newest;
		const nextOffset = (offsets[length - 1] as number) + 1;
		const size = { count: length, bytes: bytes.byteLength };
		this.#parts.listener.received({ ...partition, ...size, timestampRegressions, nextOffset, firstTimestamp: timestamps[0] as number });
		this.#pressure.received(supervised);
	}

	/**
	 * Messages could not be taken: no memory, a bug of ours, or some came twice. Nobody knows how many of them were noted, and taking later
	 * messages would skip the rest. So the partition stops, and is fetched again from its first unfinished message.
	 */
	#takeAgain(partition: TopicPartition, reason: string): void {
		const former = this.#children.get(partitionName(partition));
		const offsets = this.#parts.offsets.of(partition);
		if (!former || former.draining || !offsets) return;
		const { logId, committable } = offsets;
		const supervised = this.#startChild({ ...partition, offset: committable, committed: null, logId, suspicion: former.suspicion });
		supervised.pausedByHand = former.pausedByHand;
		this.#park(supervised, { code: NOT_TAKEN, message: `${reason}; they are fetched again in ${TAKE_AGAIN_MS} ms` });
		this.#parts.valve.pause([supervised]);
		this.#untilFetched(supervised);
	}

	/**
	 * Decides again every TAKE_AGAIN_MS while the partition is parked for this reason: the broker may be away. If its position turns out to
	 * be outside the log, the partition waits for a person.
	 */
	#untilFetched(supervised: Supervised<AChild>): void {
		this.#parts.clock.after(TAKE_AGAIN_MS, () => {
			if (this.#children.get(partitionName(supervised)) !== supervised || supervised.parked?.code !== NOT_TAKEN) return;
			this.#parts.decideAgain(supervised);
			this.#untilFetched(supervised);
		});
	}

	/**
	 * The consumer has read a partition to its end; `offset` is the next one that will be written. If that is below what was received, the
	 * log went back.
	 */
	endOfPartition(partition: TopicPartition, offset: number): void {
		if (this.#children.get(partitionName(partition))?.parked) return;
		if (this.#beginAnewIfRewound(partition, offset)) return;
		const supervised = this.#children.get(partitionName(partition));
		if (!supervised || supervised.draining) return;
		this.#parts.offsets.endOfPartition(partition, offset);
		supervised.child.readToEnd(offset);
	}

	/** The handler's file changed. */
	handlerChanged(): void {
		for (const { child } of this.#children.values()) child.handlerChanged();
	}

	/** A person pauses, resumes or restarts a partition. False if it isn't assigned here. */
	control(partition: TopicPartition, action: "pause" | "resume" | "restart"): boolean {
		const supervised = this.#children.get(partitionName(partition));
		if (action === "resume") this.#forgetPause(partition);
		if (!supervised || supervised.draining) return false;
		switch (action) {
			case "pause":
				this.#pauseByHand(supervised);
				this.#parts.valve.pause([supervised]);
				return true;
			case "resume":
				supervised.child.resume();
				if (!isShut(supervised)) this.#parts.valve.resume([supervised]);
				return true;
			case "restart":
				supervised.child.restart();
				return true;
		}
	}

	/** A person wants a received message skipped. Null if the partition isn't assigned here. */
	skip(partition: TopicPartition, offset: number, why: string): Promise<SkipAnswer> | null {
		const supervised = this.#children.get(partitionName(partition));
		return !supervised || supervised.draining ? null : supervised.child.skip(offset, why);
	}

	/** Parks a partition at its position: what it has in hand is finished, nothing more is taken. False if the epoch is over. */
	park(position: TopicPartition & { readonly epoch: number }, parked: ParkedPosition): boolean {
		const supervised = this.#current(position);
		if (!supervised) return false;
		this.#park(supervised, parked);
		this.#parts.valve.pause([supervised]);
		return true;
	}

	/**
	 * Moves a partition to another offset of its log, parked or not; returns the offset to fetch from. Forward, messages received before are
	 * finished as usual. Back, it begins anew at its first unfinished message, if that is lower. Null if the epoch is over.
	 */
	goOn(position: TopicPartition & { readonly epoch: number }, offset: number): number | null {
		const supervised = this.#current(position);
		const offsets = this.#parts.offsets.of(position);
		if (!supervised || !offsets) return null;
		const { topic, partition } = position;
		const isAhead = offset >= offsets.position;
		const from = isAhead ? offset : Math.min(offset, offsets.committable);
		if (supervised.parked) this.#parts.listener.positionUnparked?.({ topic, partition, offset: from });
		supervised.parked = null;
		if (isAhead) {
			this.#parts.offsets.endOfPartition(position, offset);
			return offset;
		}
		const { pausedByHand, suspicion } = supervised;
		this.#startChild({ topic, partition, offset: from, committed: null, logId: offsets.logId, suspicion }).pausedByHand = pausedByHand;
		return from;
	}

	/** The client fetches these partitions again: pauses exactly those that have to be paused. */
	refetched(partitions: readonly TopicPartition[]): void {
		for (const supervised of partitions.flatMap((each) => this.#children.get(partitionName(each)) ?? [])) {
			if (isShut(supervised)) this.#parts.valve.pause([supervised]);
			else this.#parts.valve.resume([supervised]);
		}
	}

	/** Drains and ends all children (shutdown). False as for `assignmentsRevoked`. */
	shutdown(): Promise<boolean> {
		this.#stopping = true;
		return this.assignmentsRevoked([...this.#children.values()], "shutdown");
	}

	/** Something that a drain may wait for changed: rows were written, or the database became blocked. */
	nudge(): void {
		for (const { child, draining } of this.#children.values()) if (draining) child.nudge();
	}

	/** Also while the partition is drained or between two assignments: it must not come back paused. */
	#forgetPause(partition: TopicPartition): void {
		this.#pausedBefore.delete(partitionName(partition));
		const supervised = this.#children.get(partitionName(partition));
		if (supervised) supervised.pausedByHand = false;
	}

	#pauseByHand(supervised: Supervised<AChild>): void {
		supervised.pausedByHand = true;
		supervised.child.pause();
	}

	#current(position: TopicPartition & { readonly epoch: number }): Supervised<AChild> | null {
		const supervised = this.#children.get(partitionName(position));
		return supervised && supervised.epoch === position.epoch && !supervised.draining ? supervised : null;
	}

	#park(supervised: Supervised<AChild>, parked: ParkedPosition): void {
		supervised.parked = { ...parked, sinceMs: supervised.parked?.sinceMs ?? this.#parts.clock.now() };
		this.#parts.listener.positionParked({ topic: supervised.topic, partition: supervised.partition, ...parked });
	}

	#startChild({ topic, partition: number, offset, committed, logId = null, suspicion = null }: Assigned): Supervised<AChild> {
		const partition = { topic, partition: number };
		const name = partitionName(partition);
		const former = this.#children.get(name);
		if (former) {
			this.#forget([former]);
			void former.child.kill();
		}
		const epoch = this.#parts.offsets.assign(partition, offset, committed, logId);
		const acknowledge = this.#parts.offsets.acknowledger(partition, epoch);
		const finished = (finishedOffset: number) => {
			acknowledge(finishedOffset);
			this.#pressure.finished(supervised);
		};
		const isFull = () => this.#pressure.isFull(supervised);
		const child = this.#parts.createChild({ partition, logId, epoch, suspicion, finished, isFull });
		const supervised: Supervised<AChild> = {
			...partition,
			child,
			epoch,
			suspicion,
			paused: false,
			pausedByHand: false,
			parked: null,
			resuming: false,
			draining: null,
			lastTimestamp: -1,
		};
		this.#children.set(name, supervised);
		return supervised;
	}

	/**
	 * `timedOut`: the deadline passed before all were drained. `haveEnded`: their threads are done, too. A handler's `terminate` that the
	 * deadline cuts off leaves no message unfinished.
	 */
	async #drain(
		released: readonly Supervised<AChild>[],
		reason: "shutdown" | "revoked",
	): Promise<{ timedOut: boolean; haveEnded: boolean }> {
		let drained = 0;
		const ended = Promise.all(
			released.map(async ({ child, topic, partition }) => {
				await child.drain(reason, () => this.#parts.rowsBlocked({ topic, partition }));
				drained++;
				// The caller commits what is durable by now. The handler's own terminate runs before the partition is given away.
				await child.stop(reason);
			}),
		);
		return new Promise((resolve, reject) => {
			const late = () => resolve({ timedOut: drained < released.length, haveEnded: false });
			const timer = this.#parts.clock.after(this.#parts.limits.drainTimeoutMs, late);
			ended.then(() => resolve({ timedOut: false, haveEnded: true }), reject).finally(() => timer.cancel());
		});
	}

	#forget(released: readonly Supervised<AChild>[]): void {
		for (const supervised of released) {
			const name = partitionName(supervised);
			if (this.#children.get(name) !== supervised) continue;
			this.#parts.offsets.release(supervised);
			this.#children.delete(name);
		}
	}

	/**
	 * Handles offsets below those received: the log itself went back (the topic was created again, or the out-of-range policy is `earliest`),
	 * and the client goes on from there. A pause causes no repeats (100,000 messages under constant pauses: none).
	 *
	 * The partition begins anew with a new epoch, so that acknowledgements of the old log can't count for the new one: at the client's offset
	 * if everything before is finished, else at the first unfinished message, because it may be the same log. A partition that is being
	 * drained is only dropped: its offsets must not be committed for the new log. True if the log went back.
	 */
	#beginAnewIfRewound(partition: TopicPartition, offset: number): boolean {
		const offsets = this.#parts.offsets.of(partition);
		if (offsets === undefined || offset >= offsets.position) return false;
		const { position, committable, logId } = offsets;
		const supervised = this.#children.get(partitionName(partition));
		if (supervised?.draining) this.#forget([supervised]);
		else if (committable < offset)
			this.#takeAgain(partition, `offset ${offset} came again, and messages from ${committable} on are not finished`);
		else this.#startChild({ ...partition, offset, committed: null, logId }).pausedByHand = supervised?.pausedByHand ?? false;
		this.#parts.listener.rewound({ ...partition, offset, from: position });
		return true;
	}
}

/** How many timestamps are below the newest before them, and the newest of all. */
function regressionsIn(timestamps: ArrayLike<number>, newest: number): { regressions: number; newest: number } {
	let regressions = 0;
	for (let i = 0; i < timestamps.length; i++) {
		const timestamp = timestamps[i] as number;
		if (timestamp < newest) regressions++;
		else newest = timestamp;
	}
	return { regressions, newest };
}

/** The first index whose offset is not above the one before; 0 if all ascend. A log that was created again may begin within a poll. */
function wentBackAt(offsets: ArrayLike<number>): number {
	for (let i = 1; i < offsets.length; i++) if ((offsets[i] as number) <= (offsets[i - 1] as number)) return i;
	return 0;
}
