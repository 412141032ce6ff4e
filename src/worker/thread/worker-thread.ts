/**
 * A real thread: a one-thread piscina pool that lives as long as the thread. A death ends the pool, because piscina would start another
 * thread by itself, and because a pool whose thread failed while starting never answers again. The only home of piscina.
 *
 * Step 4 of a message's way (docs/architecture.md).
 */
import { fileURLToPath } from "node:url";
import { Piscina } from "piscina";
import type { TopicPartition } from "../../core/messages/message.ts";
import { sliceBatch } from "../../core/messages/message-codec.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import { packageRoot } from "../../core/package.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import { explainLoadFailure } from "../inside/handler-loader.ts";
import { contradictionIn } from "../outcomes/answer-check.ts";
import { listenToOutput } from "./handler-output.ts";
import {
	type BatchOutcome,
	countHandled,
	type ExitReason,
	type HandlerFailure,
	type HandlerThreads,
	type RunReply,
	type StartReply,
	type StateRule,
	type ThreadDeath,
	ThreadDiedError,
	type ThreadProgress,
} from "./handler-thread.ts";
import { livingThreads } from "./living-threads.ts";
import type { Printed } from "./output-quota.ts";
import type { ThreadHost } from "./shared-thread.ts";
import { SharedThreads, type SharedThreadsParts } from "./shared-threads.ts";
import { type EndedThread, StuckThreads } from "./stuck-threads.ts";
import { type PartReply, SharedProgress, type ThreadData, type ThreadReply, type ThreadRequest } from "./thread-protocol.ts";

/** Options of all threads of a daemon. */
export interface WorkerThreadOptions {
	readonly handler: {
		readonly module: string;
		readonly options: unknown;
		readonly maxOutcomeBytes: number;
		readonly produces?: readonly string[];
		readonly concurrency: number;
	};
	readonly tables: readonly TableLayout[];
	/** Number of the writer's lanes, by which rows are separated; default 1. */
	readonly lanes?: number;
	/** Heap of a thread in MiB. */
	readonly maxHeapMb: number;
	/** The purpose that init gets; default `run`. */
	readonly purpose?: "run" | "verify" | "reprocess";
	/**
	 * Gets the lines that a handler prints; without it they go to the process's own output. Not used for `pockaffe:log`, whose output is
	 * meant to be read there.
	 */
	readonly printed?: (printed: Printed) => void;
	/** Keeps the threads that can't be ended. */
	readonly stuck?: StuckThreads;
}

/** Creates real threads: at most `maxThreads` at a time, or one per partition (0). */
export function createHandlerThreads(
	options: WorkerThreadOptions & Partial<Pick<SharedThreadsParts, "maxThreads" | "endedForOthers" | "keepsRevoked" | "clock">>,
): HandlerThreads {
	return new SharedThreads({ maxThreads: 0, ...options, createHost: () => new WorkerThread(options) });
}

/** The built entry file, even if this file runs from source: a thread can't load source files. */
const entryFile = fileURLToPath(new URL("dist/worker/inside/thread-bridge.cjs", packageRoot));

/**
 * Most objects of a thread live no longer than their run, so a small young generation is collected as cheaply as a large one. A daemon with
 * a full pipeline on four threads had an RSS of 472 MiB with Node's default, 391 with 12, and 20 less with 6, at no more CPU.
 */
const YOUNG_GENERATION_MB = 6;

/** Number of threads created so far: gives each an output channel of its own. */
let threads = 0;
class WorkerThread implements ThreadHost {
	readonly #pool: Piscina;
	readonly #progress: SharedProgress;
	readonly #module: string;
	readonly #stuck: StuckThreads;
	/** Resolves when the thread is gone. */
	readonly gone: Promise<void>;
	#resolveGone: () => void = () => {};
	/** Offsets of the last run's messages. */
	#offsets: PackedBatch["offsets"] | null = null;
	#id: number | null = null;
	#death: ThreadDeath | null = null;
	#busy = false;
	#isLoaded = false;
	#idleDeath: (death: ThreadDeath) => void = () => {};
	#ending: Promise<void> | null = null;
	#stopListening: () => void = () => {};

	constructor({ handler, tables, lanes = 1, maxHeapMb, purpose = "run", printed, stuck }: WorkerThreadOptions) {
		this.#module = handler.module;
		this.#stuck = stuck ?? new StuckThreads();
		this.gone = new Promise((resolve) => {
			this.#resolveGone = resolve;
		});
		livingThreads.add(this);
		this.#progress = SharedProgress.forCalls(handler.concurrency);
		const output = printed && handler.module !== "pockaffe:log" ? `pockaffe ${process.pid} ${++threads}` : null;
		if (printed && output) this.#stopListening = listenToOutput(output, printed);
		const workerData: ThreadData = {
			module: handler.module,
			options: handler.options,
			purpose,
			tables,
			lanes,
			maxOutcomeBytes: handler.maxOutcomeBytes,
			produces: handler.produces ?? [],
			maxHeapMb,
			concurrency: handler.concurrency,
			progress: this.#progress.memory,
			output,
		};
		this.#pool = new Piscina({
			filename: entryFile,
			// The first task starts the thread. With a minimum of one, piscina would start another thread when the dead one's exit arrives after
			// destroy().
			minThreads: 0,
			maxThreads: 1,
			idleTimeout: Number.POSITIVE_INFINITY,
			// Otherwise the thread's event loop would stand still between tasks, and with it the timers and sockets of handlers.
			atomics: "disabled",
			recordTiming: false,
			resourceLimits: { maxOldGenerationSizeMb: maxHeapMb, maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
			workerData,
		});
		this.#pool.on("error", (error: Error) => {
			if (this.#busy || this.#death) return;
			this.#death = deathBy(error);
			void this.#end();
			this.#idleDeath(this.#death);
		});
	}

	get id(): number | null {
		return this.#id;
	}

	get death(): ThreadDeath | null {
		return this.#death;
	}

	async load(): Promise<HandlerFailure | null> {
		const { loadFailure } = (await this.#ask({ type: "load", share: 0 })) as { loadFailure: HandlerFailure | null };
		this.#isLoaded = loadFailure === null;
		return loadFailure;
	}

	async start(share: number, partition: TopicPartition): Promise<StartReply> {
		try {
			const reply = (await this.#ask({ type: "start", share, partition })) as StartReply;
			this.#isLoaded ||= reply.ok || reply.failure.kind === "init";
			return reply;
		} catch (error) {
			const failure = error instanceof ThreadDiedError ? this.#startFailure(error.death) : null;
			if (!failure) throw error;
			return { ok: false, failure };
		}
	}

	/**
	 * An uncaught error before the handler is ready is a failure of the module or its init. Node sometimes reports a failed import of a
	 * CommonJS module also as an unhandled rejection, which ends the thread before it can answer.
	 */
	#startFailure({ reason, message, stack }: ThreadDeath): HandlerFailure | null {
		if (reason !== "exception") return null;
		const failure = { name: "Error", message, stack };
		if (this.progress().phase === "init") return { ...failure, kind: "init" };
		if (this.#isLoaded) return null;
		return explainLoadFailure(this.#module, { ...failure, kind: "load" });
	}

	async run(
		share: number,
		batch: PackedBatch,
		from: number,
		to: number,
		state: StateRule,
		handled: (part: BatchOutcome) => void,
	): Promise<RunReply> {
		this.#progress.isCutShort = false;
		this.#progress.handedOver();
		this.#offsets = batch.offsets;
		const messages = sliceBatch(batch, from, to);
		let reply = await this.#askRun({ type: "run", share, batch: messages, from, state }, messages);
		while ("goesOn" in reply) {
			if (countHandled(reply.outcome) > 0) handled(reply.outcome);
			const again = reply.wantsMessages ? sliceBatch(batch, from, to) : null;
			reply = await this.#askRun({ type: "more", share, batch: again }, again);
		}
		return reply;
	}

	cutShort(): void {
		this.#progress.isCutShort = true;
	}

	async terminate(share: number, reason: ExitReason): Promise<HandlerFailure | null> {
		const reply = (await this.#ask({ type: "terminate", share, reason })) as { terminated: HandlerFailure | null };
		return reply.terminated;
	}

	async drop(share: number): Promise<void> {
		await this.#ask({ type: "drop", share });
	}

	othersWait(doWait: boolean): void {
		this.#progress.othersWait = doWait;
	}

	progress(): ThreadProgress {
		return this.#progress.read();
	}

	async kill(death?: ThreadDeath, partition: TopicPartition | null = null): Promise<void> {
		this.#death ??= death ?? { reason: "exit", message: "the thread was ended", stack: null };
		await this.#end(partition);
	}

	onIdleDeath(listener: (death: ThreadDeath) => void): void {
		this.#idleDeath = listener;
	}

	/** Discards an answer that doesn't add up, and the thread with it. */
	async #askRun(request: ThreadRequest, messages: PackedBatch | null): Promise<RunReply | PartReply> {
		const reply = (await this.#ask(request, messages ? [messages.bytes.buffer] : [])) as RunReply | PartReply;
		const contradiction = contradictionIn(reply.outcome);
		if (contradiction === null) return reply;
		const message = `the thread's answer does not add up: ${contradiction}; does the handler change built-in objects (Array.prototype, Map, …)?`;
		this.#death ??= { reason: "exception", message, stack: null };
		void this.#end();
		throw new ThreadDiedError(this.#death);
	}

	async #ask(request: ThreadRequest, transferList: ArrayBuffer[] = []): Promise<ThreadReply> {
		if (this.#death) throw new ThreadDiedError(this.#death);
		this.#busy = true;
		try {
			const answered = this.#pool.run(request, { transferList });
			this.#id ??= this.#pool.threads[0]?.threadId ?? null;
			return (await answered) as ThreadReply;
		} catch (error) {
			this.#death ??= deathBy(error);
			void this.#end();
			throw new ThreadDiedError(this.#death);
		} finally {
			this.#busy = false;
		}
	}

	/** Resolves when the thread is gone, or left behind because it can't be ended. */
	#end(partition: TopicPartition | null = null): Promise<void> {
		this.#ending ??= this.#stuck.leave(this.#standsAt(partition), this.#destroy());
		return this.#ending;
	}

	async #destroy(): Promise<void> {
		await this.#pool.destroy().catch(() => {});
		livingThreads.delete(this);
		this.#resolveGone();
		// One turn later: the thread's last lines are still on their way.
		setImmediate(this.#stopListening);
	}

	#standsAt(partition: TopicPartition | null): EndedThread {
		const { phase, message, running } = this.progress();
		const offset = phase === "handle" && running > 0 ? (this.#offsets?.[message] ?? null) : null;
		return { id: this.#id, module: this.#module, phase, partition, offset, why: this.#death?.message ?? "" };
	}
}

function deathBy(error: unknown): ThreadDeath {
	const { code, message, stack } = error as { code?: string; message?: string; stack?: string };
	if (code === "ERR_WORKER_OUT_OF_MEMORY") {
		return { reason: "out_of_memory", message: "the thread ran out of memory (workers.maxHeapMb)", stack: null };
	}
	const exit = /exited with code:? (\d+)/.exec(message ?? "");
	if (exit) return { reason: "exit", message: `the handler ended its thread: process.exit(${exit[1]})`, stack: null };
	return { reason: "exception", message: `uncaught in the thread: ${message ?? String(error)}`, stack: stack ?? null };
}
