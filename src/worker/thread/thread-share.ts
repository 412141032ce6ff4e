/**
 * A partition's share of a thread, from a start to its end. This is all that the partition's worker sees of the thread: only the wait for
 * its turn shows that others use it.
 *
 * Step 4 of a message's way (docs/architecture.md).
 */
import type { TopicPartition } from "../../core/messages/message.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import {
	type BatchOutcome,
	type ExitReason,
	type HandlerFailure,
	type HandlerThread,
	type RunReply,
	type StartReply,
	type StateRule,
	type ThreadDeath,
	ThreadDiedError,
	type ThreadProgress,
} from "./handler-thread.ts";
import type { Share, SharedThread, ThreadHost } from "./shared-thread.ts";

/** Number of shares created so far: gives each a number. */
let shares = 0;

/** One partition's view of the thread it uses. */
export class ThreadShare implements HandlerThread, Share {
	readonly number = ++shares;
	readonly partition: TopicPartition;
	readonly #thread: SharedThread;
	#death: ThreadDeath | null = null;
	#progress: ThreadProgress = { calls: 0, phase: "idle", message: -1, running: 0 };
	#idleDeath: (death: ThreadDeath) => void = () => {};
	/** Batch index of the last run's first message. */
	#from = 0;

	constructor(thread: SharedThread, partition: TopicPartition) {
		this.#thread = thread;
		this.partition = partition;
		thread.join(this);
	}

	get id(): number | null {
		return this.#thread.id;
	}

	async start(): Promise<StartReply> {
		return this.#ask("start", (host) => host.start(this.number, this.partition));
	}

	async run(batch: PackedBatch, from: number, to: number, state: StateRule, handled: (part: BatchOutcome) => void): Promise<RunReply> {
		this.#from = from;
		this.#progress = { ...this.#progress, message: -1 };
		const told = (part: BatchOutcome) => {
			if (!this.#death) handled(part);
		};
		return this.#ask("run", (host) => host.run(this.number, batch, from, to, state, told));
	}

	async terminate(reason: ExitReason): Promise<HandlerFailure | null> {
		return this.#ask("terminate", (host) => host.terminate(this.number, reason));
	}

	progress(): ThreadProgress {
		return this.#thread.progressOf(this) ?? this.#progress;
	}

	get waits(): boolean {
		return this.#thread.progressOf(this) === null;
	}

	get hadOthers(): boolean {
		return this.#thread.hadOthers(this);
	}

	cutShort(): void {
		this.#thread.cutShort(this, { ok: true, outcome: nothingHandled(this.#from) });
	}

	abandon(): void {
		this.#thread.abandon(this);
	}

	kill(death?: ThreadDeath): Promise<void> {
		return this.#thread.leave(this, death ?? null);
	}

	rest(): Promise<void> {
		return this.#thread.rest(this);
	}

	onIdleDeath(listener: (death: ThreadDeath) => void): void {
		this.#idleDeath = listener;
	}

	stoodAt(progress: ThreadProgress): void {
		this.#progress = progress;
	}

	died(death: ThreadDeath, isIdle: boolean): void {
		if (this.#death) return;
		this.#death = death;
		if (isIdle) this.#idleDeath(death);
	}

	#ask<T>(type: "start" | "run" | "terminate", call: (host: ThreadHost) => Promise<T>): Promise<T> {
		if (this.#death) return Promise.reject(new ThreadDiedError(this.#death));
		return this.#thread.ask(this, type, call);
	}
}

function nothingHandled(from: number): RunReply["outcome"] {
	const counts = { row: 0, delete: 0, none: 0, rejected: 0 };
	return { from, to: from, blocks: [], rows: 0, faults: [], rejected: [], counts, durationsMs: new Float64Array(0), warnings: [] };
}
