/**
 * What a partition worker is doing, and its waits: back-off, parked, until somebody asks it to begin anew. A stop ends every wait. Decides
 * nothing; the worker does.
 *
 *    starting -> running <-> backing-off        parked: goes on only by a changed file, a person, or a rare retry
 *         any -> draining -> stopped            waiting: nothing to do yet, the thread starts with the first message
 *
 * Step 4 of a message's way (docs/architecture.md).
 */
import type { Clock } from "../core/clock.ts";
import type { TopicPartition } from "../core/messages/message.ts";
import { WakeUp } from "../core/waiting/wake-up.ts";
import type { ExitReason, ThreadDeath } from "./thread/handler-thread.ts";
import type { ParkReason, WorkerListener, WorkerState } from "./worker-parts.ts";

/** Why a worker should begin anew. */
export type AnewReason = "file_changed" | "admin" | "out_of_memory" | "resumed" | "skip";

/** A worker's state, the requests to begin anew or stop, and the waits that those end. One per partition worker. */
export class WorkerWaits {
	state: WorkerState = { name: "waiting" };
	/** Why the worker stops; null while it doesn't. */
	stopReason: ExitReason | null = null;
	/** Requests to begin anew as soon as the worker can. They add up: none cancels another. */
	readonly anew = new Set<AnewReason>();
	/** A person paused the partition. */
	isPaused = false;
	/** The thread died between two runs, and nobody judged that yet. */
	idleDeath: ThreadDeath | null = null;
	readonly #clock: Clock;
	readonly #partition: TopicPartition;
	readonly #listener: Pick<WorkerListener, "parked" | "resumed" | "stopRequested">;
	readonly #wake = new WakeUp();

	constructor(parts: {
		readonly clock: Clock;
		readonly partition: TopicPartition;
		readonly listener: Pick<WorkerListener, "parked" | "resumed" | "stopRequested">;
	}) {
		this.#clock = parts.clock;
		this.#partition = parts.partition;
		this.#listener = parts.listener;
	}

	/** True if something else goes before the next message. */
	get isInterrupted(): boolean {
		return this.stopReason !== null || this.isPaused || this.anew.size > 0 || this.idleDeath !== null;
	}

	/** Something changed: whoever waits checks again. */
	wake(): void {
		this.#wake.wake();
	}

	/** Resolves at the next `wake`. */
	next(): Promise<void> {
		return this.#wake.next();
	}

	/** Waits before the next attempt, `delayMs` at most. */
	async backOff(delayMs: number): Promise<void> {
		if (delayMs <= 0) return;
		await this.#unlessChanged(delayMs, { name: "backing-off", untilMs: this.#clock.now() + delayMs });
	}

	/** Parks the partition. `retryAfterMs` null: no timer tries again, because the failure takes the whole process down. */
	async park(reason: ParkReason, retryAfterMs: number | null): Promise<void> {
		this.#listener.parked(this.#partition, reason);
		if (retryAfterMs === null) await this.untilAnew(reason);
		else await this.#unlessChanged(retryAfterMs, this.#parked(reason));
		if (!this.stopReason) this.#listener.resumed(this.#partition);
	}

	/** Parked until a changed file or a person ends it, or the worker is stopped. */
	async untilAnew(reason: ParkReason): Promise<void> {
		this.state = this.#parked(reason);
		while (!this.stopReason && this.anew.size === 0) await this.next();
	}

	/** Asks for the daemon's stop, and waits for it. */
	async requestStop(reason: ParkReason): Promise<void> {
		this.#listener.stopRequested(this.#partition, reason);
		this.state = this.#parked(reason);
		while (!this.stopReason) await this.next();
	}

	/** Waits at most `delayMs`. A changed file or a stop ends the wait; new messages do not. */
	async #unlessChanged(delayMs: number, state: WorkerState): Promise<void> {
		if (this.stopReason) return;
		this.state = state;
		let over = false;
		const timer = this.#clock.after(delayMs, () => {
			over = true;
			this.wake();
		});
		while (!over && !this.stopReason && this.anew.size === 0) await this.next();
		timer.cancel();
	}

	#parked({ code, message }: ParkReason): WorkerState {
		return { name: "parked", code, reason: message, sinceMs: this.#clock.now() };
	}
}
