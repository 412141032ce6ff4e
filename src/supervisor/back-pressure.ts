/**
 * How much each partition may have in hand: a fair share of the daemon's queues. Above its share a partition is paused, below half of it
 * resumed. When all are half full, polls should slow down. Knows only the children's queues.
 *
 * Step 2 of a message's way (docs/architecture.md).
 */
import { partitionName } from "../core/messages/message.ts";
import type { Child, Offsets, QueueLimits, Supervised, Valve } from "./supervisor-parts.ts";

/** What it needs. `children`: the living children by partition name. */
export interface BackPressureParts<AChild> {
	readonly children: ReadonlyMap<string, Supervised<AChild>>;
	readonly offsets: Pick<Offsets, "of">;
	readonly valve: Valve;
	readonly limits: QueueLimits;
}

/**
 * Share of the partitions' limits at which messages should arrive more slowly. librdkafka delivers a whole fetch of one partition before
 * the next one's: one partition may be far above the others before they reach the point where polls slow down.
 */
const CROWDED = 0.5;
/** Share below which a paused partition is resumed, so that it doesn't flap (River's completer does the same). */
const RESUMED_BELOW = 0.5;

/** Pauses partitions whose queue is full, and resumes them below half of their share. */
export class BackPressure<AChild extends Pick<Child, "queue">> {
	readonly #parts: BackPressureParts<AChild>;

	constructor(parts: BackPressureParts<AChild>) {
		this.#parts = parts;
	}

	/**
	 * True while every partition that isn't paused has at least half of its share in hand. In an even backlog polls slow down before any
	 * partition is paused. A partition that stands still holds up nobody: the others fall below half, and it fills up and is paused. False if
	 * nothing in hand makes room by itself (the handler keeps all messages, by `finishedTo`): waiting would be useless. False during a drain:
	 * its results arrive by polls.
	 */
	get isCrowded(): boolean {
		let isFlowing = false;
		for (const supervised of this.#parts.children.values()) {
			if (supervised.draining) return false;
			if (isShut(supervised)) continue;
			const { queued, underway } = supervised.child.queue;
			if (queued + underway === 0 || this.#load(supervised) < CROWDED) return false;
			isFlowing = true;
		}
		return isFlowing;
	}

	/** A partition received more messages. A full one that goes on receiving is paused again: the client may have lost the pause. */
	received(supervised: Supervised<AChild>): void {
		if (this.#load(supervised) < 1) return;
		supervised.paused = true;
		this.#parts.valve.pause([supervised]);
	}

	/** A message is finished. Thousands may finish in one turn, so the load is checked once, after them. */
	finished(supervised: Supervised<AChild>): void {
		if (!supervised.paused || supervised.resuming) return;
		supervised.resuming = true;
		queueMicrotask(() => {
			supervised.resuming = false;
			const isCurrent = this.#parts.children.get(partitionName(supervised)) === supervised;
			if (isCurrent && supervised.paused) this.#resumeWhenDrained(supervised);
		});
	}

	/**
	 * For a child that waits for more messages, so that its queue does not empty by itself: resumes the partition as soon as there is any
	 * room.
	 */
	isFull(supervised: Supervised<AChild>): boolean {
		if (supervised.paused && this.#load(supervised) < 1) this.#resume(supervised);
		return supervised.paused;
	}

	#resumeWhenDrained(supervised: Supervised<AChild>): void {
		if (!supervised.draining && this.#load(supervised) < RESUMED_BELOW) this.#resume(supervised);
	}

	#resume(supervised: Supervised<AChild>): void {
		supervised.paused = false;
		if (!isShut(supervised)) this.#parts.valve.resume([supervised]);
	}

	#load(supervised: Supervised<AChild>): number {
		const { maxQueuedMessages, maxQueuedBytes } = this.#parts.limits;
		const unfinished = this.#parts.offsets.of(supervised)?.unfinished ?? 0;
		return Math.max(unfinished / this.#share(maxQueuedMessages), supervised.child.queue.bytes / this.#share(maxQueuedBytes));
	}

	#share(limit: number): number {
		return Math.max(1, Math.floor(limit / Math.max(1, this.#parts.children.size)));
	}
}

/** True if nothing of the partition should be fetched. */
export function isShut({ paused, pausedByHand, parked }: Pick<Supervised<unknown>, "paused" | "pausedByHand" | "parked">): boolean {
	return paused || pausedByHand || parked !== null;
}
