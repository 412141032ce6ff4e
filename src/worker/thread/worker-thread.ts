/**
 * A real thread: a one-thread piscina pool that lives as long as the thread. A death ends the pool: piscina would start another thread by
 * itself, and a pool whose thread failed while starting never answers again. Only home of piscina.
 *
 * Step 4 of a message's way (docs/architecture.md).
 */
import { fileURLToPath } from "node:url";
import { Piscina } from "piscina";
import type { TopicPartition } from "../../core/messages/message.ts";
import { sliceBatch } from "../../core/messages/message-codec.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import { packageRoot } from "../../core/package-root.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import { explainLoadFailure } from "../inside/handler-loader.ts";
import { contradictionIn } from "../outcomes/outcome-check.ts";
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
import type { SharedDeath, ThreadHost } from "./shared-thread.ts";
import { SharedThreads } from "./shared-threads.ts";
import { type EndedThread, StuckThreads } from "./stuck-threads.ts";
import { type PartReply, SharedProgress, type ThreadData, type ThreadReply, type ThreadRequest } from "./thread-protocol.ts";

/** What all threads of a daemon are made with. */
export interface WorkerThreadOptions {
	readonly handler: {
		readonly module: string;
		readonly options: unknown;
		readonly maxOutcomeBytes: number;
		readonly produces?: readonly string[];
		readonly concurrency: number;
	};
	readonly tables: readonly TableLayout[];
	/** Lanes of the writer, by which rows are parted; default 1. */
	readonly lanes?: number;
	/** Heap of a thread in MiB. */
	readonly maxHeapMb: number;
	/** What init is told; `run` by default. */
	readonly purpose?: "run" | "verify" | "reprocess";
	/**
	 * Told the lines that a handler prints; without it they go to the process's own output. Not for `pockaffe:log`, which prints to be read.
	 */
	readonly printed?: (printed: Printed) => void;
	/** Who keeps count of threads that can't be ended. */
	readonly stuck?: StuckThreads;
}

/** Where real threads come from: at most `maxThreads` at a time, or one for each partition (0). */
export function createHandlerThreads(
	options: WorkerThreadOptions & { readonly maxThreads?: number; readonly endedForOthers?: (fact: SharedDeath) => void },
): HandlerThreads {
	const { maxThreads = 0, endedForOthers = () => {} } = options;
	return new SharedThreads({ maxThreads, endedForOthers, createHost: () => new WorkerThread(options) });
}

/** The built entry, also where this file is run from source: a thread can't load source files. */
const entryFile = fileURLToPath(new URL("dist/worker/inside/thread-bridge.cjs", packageRoot));

/**
 * What a thread makes lives as long as its run, so a small one is collected as cheaply: the daemon of a full pipeline on four threads took
 * 391 MiB of RSS in place of 472 with Node's default, at no more CPU.
 */
const YOUNG_GENERATION_MB = 12;

/** Threads made so far: each has an output of its own. */
let threads = 0;
class WorkerThread implements ThreadHost {
	readonly #pool: Piscina;
	readonly #progress: SharedProgress;
	readonly #module: string;
	readonly #stuck: StuckThreads;
	/** Resolves when nothing of it is left. */
	readonly gone: Promise<void>;
	#resolveGone: () => void = () => {};
	/** Of the messages of the last run. */
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
			// The first task starts the thread. With a minimum of one piscina starts another when the dead one's exit arrives after destroy().
			minThreads: 0,
			maxThreads: 1,
			idleTimeout: Number.POSITIVE_INFINITY,
			// Otherwise the thread's event loop stands still between tasks, and timers and sockets of handlers with it.
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
	 * What was uncaught before the handler was ready is a failure of the module or of its init: Node now and then tells a failed import of a
	 * CommonJS module as an unhandled rejection beside the import's own promise, and that ends the thread before it can answer.
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

	/** An answer that doesn't add up is thrown away, and the thread with it. */
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

	/** Resolves when it is gone, or left behind because it can't be ended. */
	#end(partition: TopicPartition | null = null): Promise<void> {
		this.#ending ??= this.#stuck.leave(this.#standsAt(partition), this.#destroy());
		return this.#ending;
	}

	async #destroy(): Promise<void> {
		await this.#pool.destroy().catch(() => {});
		livingThreads.delete(this);
		this.#resolveGone();
		// A turn later: lines that the thread printed last are still on their way.
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
