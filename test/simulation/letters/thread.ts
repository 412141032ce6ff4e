/** A handler's thread whose messages fail as the day's mood is: what can't be handled now may be handled later. */
import type { TopicPartition } from "../../../src/core/messages/message.ts";
import { messageAt } from "../../../src/core/messages/message-codec.ts";
import type { PackedBatch } from "../../../src/core/messages/packed-batch.ts";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import { OutcomeCollector } from "../../../src/worker/inside/outcome-collector.ts";
import {
	type HandlerThread,
	type RunReply,
	type StartReply,
	type ThreadDeath,
	ThreadDiedError,
	type ThreadLease,
	type ThreadProgress,
} from "../../../src/worker/thread/handler-thread.ts";
import type { SimProcess } from "../world.ts";

/** What the handler makes of a message at the moment; throws where it can't. */
export type Mood = (partition: number, offset: number) => unknown;

const MESSAGE_MS = 5;

/** Threads of a partition in a process. */
export function moodyThreads(process: SimProcess, tables: readonly TableLayout[], mood: Mood): (partition: TopicPartition) => ThreadLease {
	return ({ partition }) => ({ open: () => new MoodyThread(process, tables, partition, mood), expire() {}, release() {} });
}

class MoodyThread implements HandlerThread {
	readonly id = 1;
	readonly waits = false;
	readonly hadOthers = false;
	readonly #process: SimProcess;
	readonly #collector: OutcomeCollector;
	readonly #partition: number;
	readonly #mood: Mood;
	#isCutShort = false;
	#progress: ThreadProgress = { calls: 0, phase: "idle", message: -1, running: 0 };
	#reject: (error: Error) => void = () => {};
	readonly #dead = new Promise<never>((_, reject) => (this.#reject = reject));

	constructor(process: SimProcess, tables: readonly TableLayout[], partition: number, mood: Mood) {
		this.#process = process;
		this.#collector = new OutcomeCollector({ tables, maxOutcomeBytes: 1e9, lenient: false, lanes: 1 });
		this.#partition = partition;
		this.#mood = mood;
		this.#dead.catch(() => {});
	}

	async start(): Promise<StartReply> {
		await this.#pass();
		return { ok: true, handles: "message" };
	}

	async run(batch: PackedBatch, from: number, to: number): Promise<RunReply> {
		this.#isCutShort = false;
		this.#collector.begin({ from, offsets: batch.offsets.subarray(from), timestamps: batch.timestamps.subarray(from) });
		let at = from;
		for (; at < to && !this.#isCutShort; at++) {
			this.#enter("handle", at, 1);
			await this.#pass();
			try {
				this.#collector.add(at, this.#mood(this.#partition, messageAt(batch, at).offset));
				this.#collector.timed(1);
			} catch (error) {
				const failure = {
					kind: "exception",
					name: "Error",
					message: (error as Error).message,
					stack: (error as Error).stack ?? null,
				} as const;
				this.#enter("idle");
				return { ok: false, outcome: this.#collector.take(at), failed: at, failure, batched: false };
			}
		}
		this.#enter("idle");
		return { ok: true, outcome: this.#collector.take(at) };
	}

	async terminate(): Promise<null> {
		return null;
	}

	progress(): ThreadProgress {
		return this.#progress;
	}

	cutShort(): void {
		this.#isCutShort = true;
	}

	abandon(): void {
		void this.kill();
	}

	rest(): Promise<void> {
		return this.kill();
	}

	async kill(death: ThreadDeath = { reason: "exit", message: "the thread was ended", stack: null }): Promise<void> {
		this.#reject(new ThreadDiedError(death));
	}

	onIdleDeath(): void {}

	#enter(phase: ThreadProgress["phase"], message = -1, running = 0): void {
		this.#progress = { calls: this.#progress.calls + 1, phase, message, running };
	}

	#pass(): Promise<void> {
		const { world } = this.#process;
		const passed = new Promise<void>((resolve) => this.#process.after(world.random() * MESSAGE_MS, resolve));
		return Promise.race([passed, this.#dead]);
	}
}
