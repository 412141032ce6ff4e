/**
 * Threads, simulated: the handler is a function of the message alone, what crosses the boundary is made by the real collector, and calls
 * take their time, throw, hang, or take the thread with them.
 */
import type { TopicPartition } from "../../src/core/message.ts";
import type { PackedBatch } from "../../src/core/packed-batch.ts";
import type { TableLayout } from "../../src/core/rows.ts";
import {
	type HandlerFailure,
	type HandlerThread,
	type RunReply,
	type StartReply,
	type StateRule,
	type ThreadDeath,
	ThreadDiedError,
	type ThreadProgress,
} from "../../src/worker/handler-thread.ts";
import { OutcomeCollector } from "../../src/worker/outcome-collector.ts";
import { messageAt } from "../../src/worker/thread-codec.ts";
import type { SimProcess } from "./world.ts";

/** Chances per call. */
export interface ThreadFaults {
	loadFails: number;
	initFails: number;
	/** A message throws, this time. */
	throws: number;
	/** The thread dies while it handles a message. */
	dies: number;
	/** A call never ends. */
	hangs: number;
	/** It dies while nothing runs. */
	diesIdle: number;
	/** Longest time a message takes, ms. */
	messageMs: number;
}

/** What the handler makes of a message; throws for poison. */
export function handle(key: string, value: string | null): unknown {
	if (value === null) return { id: key, delete: true };
	const { way, ...fields } = JSON.parse(value) as { way?: string; n?: string };
	if (way === "poison") throw new Error("poison");
	if (way === "reject") return { reject: "no good" };
	if (way === "none") return null;
	return { id: key, fields };
}

/** What threads are made with. `handed` is told each message that reaches the handler. */
export interface SimThreadParts {
	readonly process: SimProcess;
	readonly faults: ThreadFaults;
	readonly tables: readonly TableLayout[];
	readonly handed: (partition: number, offset: number) => void;
}

const START_MS = 20;

/** See the file's header. */
export class SimThread implements HandlerThread {
	readonly id = 1;
	readonly #parts: SimThreadParts;
	readonly #partition: TopicPartition;
	readonly #collector: OutcomeCollector;
	#progress: ThreadProgress = { calls: 0, phase: "idle", message: 0, running: 0 };
	#death: ThreadDeath | null = null;
	#reject: ((error: Error) => void) | null = null;
	#idleDeath: (death: ThreadDeath) => void = () => {};

	constructor(parts: SimThreadParts, partition: TopicPartition) {
		this.#parts = parts;
		this.#partition = partition;
		this.#collector = new OutcomeCollector({ tables: parts.tables, maxOutcomeBytes: 1e9, lenient: false });
	}

	async start(): Promise<StartReply> {
		const { process, faults } = this.#parts;
		const { world } = process;
		this.#enter("load");
		await this.#pass(world.random() * START_MS);
		if (world.chance(faults.loadFails)) return this.#answer({ ok: false, failure: failureOf("load") });
		this.#enter("init");
		await this.#pass(world.random() * START_MS);
		if (world.chance(faults.initFails)) return this.#answer({ ok: false, failure: failureOf("init") });
		return this.#answer({ ok: true, handles: "message" });
	}

	async run(batch: PackedBatch, from: number, to: number, state: StateRule): Promise<RunReply> {
		const { process, faults, handed } = this.#parts;
		const { world } = process;
		this.#collector.begin(from);
		if (state === "renew") {
			this.#enter("init");
			await this.#pass(world.random() * START_MS);
			if (world.chance(faults.initFails)) {
				const outcome = this.#collector.finish(from);
				return this.#answer({ ok: false, outcome, failed: from, failure: failureOf("init"), batched: false });
			}
		}
		for (let index = from; index < to; index++) {
			const { offset, key, value } = messageAt(batch, index);
			this.#enter("handle", index, 1);
			handed(this.#partition.partition, offset);
			if (world.chance(faults.hangs)) await this.#pass(Number.POSITIVE_INFINITY);
			// Time passes now and then: a batch is handled in a breath, or is caught in the middle.
			if (world.chance(0.2)) await this.#pass(world.random() * faults.messageMs);
			if (world.chance(faults.dies)) await this.kill({ reason: "exception", message: "by chance", stack: null });
			if (this.#death) throw new ThreadDiedError(this.#death);
			try {
				if (world.chance(faults.throws)) throw new Error("by chance");
				this.#collector.add(index, handle(key?.toString() ?? "", value?.toString() ?? null));
			} catch (error) {
				const failure: HandlerFailure = { kind: "exception", name: "Error", message: (error as Error).message, stack: null };
				return this.#answer({ ok: false, outcome: this.#collector.finish(index), failed: index, failure, batched: false });
			}
		}
		if (world.chance(faults.diesIdle)) world.after(world.random() * 100, () => process.enter(() => this.#dieIdle()));
		return this.#answer({ ok: true, outcome: this.#collector.finish(to) });
	}

	async terminate(): Promise<HandlerFailure | null> {
		this.#enter("terminate");
		await this.#pass(this.#parts.process.world.random() * START_MS);
		return this.#answer(null);
	}

	progress(): ThreadProgress {
		return this.#progress;
	}

	async kill(death: ThreadDeath = { reason: "exit", message: "the thread was ended", stack: null }): Promise<void> {
		this.#death ??= death;
		this.#reject?.(new ThreadDiedError(this.#death));
	}

	onIdleDeath(listener: (death: ThreadDeath) => void): void {
		this.#idleDeath = listener;
	}

	#dieIdle(): void {
		if (this.#death || this.#reject || this.#progress.phase !== "idle") return;
		this.#death = { reason: "exception", message: "between two runs", stack: null };
		this.#idleDeath(this.#death);
	}

	#enter(phase: ThreadProgress["phase"], message = 0, running = 0): void {
		this.#progress = { calls: this.#progress.calls + 1, phase, message, running };
	}

	#answer<T>(reply: T): T {
		if (this.#death) throw new ThreadDiedError(this.#death);
		this.#progress = { calls: this.#progress.calls + 1, phase: "idle", message: 0, running: 0 };
		return reply;
	}

	/** Time in the thread; ends early, by throwing, where the thread dies. */
	#pass(ms: number): Promise<void> {
		if (this.#death) return Promise.reject(new ThreadDiedError(this.#death));
		return new Promise((resolve, reject) => {
			const settled = (settle: () => void) => {
				this.#reject = null;
				settle();
			};
			this.#reject = (error) => settled(() => reject(error));
			if (Number.isFinite(ms)) this.#parts.process.after(ms, () => settled(resolve));
		});
	}
}

function failureOf(kind: "load" | "init"): HandlerFailure {
	return { kind, name: "Error", message: `${kind} failed by chance`, stack: null };
}
