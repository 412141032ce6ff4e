/**
 * How much each partition may have in hand: a fair share of the daemon's queues. Above its share a partition is paused, below half of it
 * resumed. When all are half full, polls should slow down. Knows only the children's queues.
 *
 * Step 2 of a message's way (docs/architecture.md).
 */
import { partitionName } from "../core/messages/message.ts";
import type { Child, Offsets, QueueLimits, Supervised, Valve } from "./supervisor-parts.ts";

/** What it needs; `children` are those that are alive, by partition name. */
export interface BackPressureParts<AChild> {
	readonly children: ReadonlyMap<string, Supervised<AChild>>;
	readonly offsets: Pick<Offsets, "of">;
	readonly valve: Valve;
	readonly limits: QueueLimits;
}

/**
 * Share of what partitions may have in hand at which more should come slowly. librdkafka hands over a whole fetch of one partition before
 * it comes to the next: one may get far above the others before they are where polls slow down.
 */
const CROWDED = 0.5;

/** Pauses partitions whose queue is full, and resumes them below half of their share. */
export class BackPressure<AChild extends Pick<Child, "queue">> {
	readonly #parts: BackPressureParts<AChild>;

	constructor(parts: BackPressureParts<AChild>) {
		this.#parts = parts;
	}

	/**
	 * True while each partition that isn't paused has half of what it may have in hand, or more. Each is paused at its own share, but of a
	 * backlog that is the same everywhere this comes first. One that stands still holds up nobody: the others fall below half, it goes on to
	 * its share and is paused. Where nothing in hand makes room by itself (a handler that keeps all, by `finishedTo`) waiting is in vain; a
	 * drain waits for results that come by polls.
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

	/** More came. */
	received(supervised: Supervised<AChild>): void {
		if (supervised.paused || this.#load(supervised) < 1) return;
		supervised.paused = true;
		this.#parts.valve.pause([supervised]);
	}

	/** A message is finished. They do so by the thousand in one turn: the load is looked at once behind them. */
	finished(supervised: Supervised<AChild>): void {
		if (!supervised.paused || supervised.resuming) return;
		supervised.resuming = true;
		queueMicrotask(() => {
			supervised.resuming = false;
			const isCurrent = this.#parts.children.get(partitionName(supervised)) === supervised;
			if (isCurrent && supervised.paused) this.#resumeWhenDrained(supervised);
		});
	}

	/** The hysteresis is for a queue that empties; where nothing is in hand any room is room. */
	isFull(supervised: Supervised<AChild>): boolean {
		if (supervised.paused && this.#load(supervised) < 1) this.#resume(supervised);
		return supervised.paused;
	}

	/** Hysteresis: resumed below half of the share, so that a partition doesn't flap (River's completer does the same). */
	#resumeWhenDrained(supervised: Supervised<AChild>): void {
		if (!supervised.draining && this.#load(supervised) < 0.5) this.#resume(supervised);
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

/** Nothing of it is to be fetched. */
export function isShut({ paused, held, parked }: Pick<Supervised<unknown>, "paused" | "held" | "parked">): boolean {
	return paused || held || parked !== null;
}
