/**
 * Threads, simulated: the handler is a function of the message alone, what crosses the boundary is made by the real collector, and calls
 * take their time, throw, hang, or take the thread with them. Or it takes batches, notes each message in its state, and flushes them later.
 */
import type { TopicPartition } from "../../src/core/messages/message.ts";
import { messageAt, type UnpackedMessage } from "../../src/core/messages/message-codec.ts";
import type { PackedBatch } from "../../src/core/messages/packed-batch.ts";
import type { TableLayout } from "../../src/core/rows/rows.ts";
import { callBatches } from "../../src/worker/inside/batch-calls.ts";
import { OutcomeCollector } from "../../src/worker/inside/outcome-collector.ts";
import {
	type BatchOutcome,
	type HandlerFailure,
	type RunReply,
	type StartReply,
	type StateRule,
	type ThreadDeath,
	ThreadDiedError,
	type ThreadProgress,
} from "../../src/worker/thread/handler-thread.ts";
import type { ThreadHost } from "../../src/worker/thread/shared-thread.ts";
import type { Place } from "./charges.ts";
import { handle, isDeadly } from "./handler.ts";
import { recordName } from "./log.ts";
import type { SimProcess } from "./world.ts";

/** Chances per call. */
export interface ThreadFaults {
	loadFails: number;
	initFails: number;
	/** The module or an init ends the process. */
	beginningEnds: number;
	/** A message throws, this time. */
	throws: number;
	/** The thread dies while it handles a message. */
	dies: number;
	/** A call never ends. */
	hangs: number;
	/** It dies while nothing runs. */
	diesIdle: number;
	/** A handler that flushes doesn't, or not all. */
	keeps: number;
	/** Longest time a message takes, ms. */
	messageMs: number;
}

/** A message that a state holds. */
export type Kept = Pick<UnpackedMessage, "offset" | "timestamp" | "key">;

/**
 * What threads are made with. `handed` is told each message that reaches the handler, `flushed` (null: it keeps none) what left its state.
 */
export interface SimThreadParts {
	readonly process: SimProcess;
	readonly faults: ThreadFaults;
	readonly tables: readonly TableLayout[];
	/** Lanes of the writer; default 1. */
	readonly lanes?: number;
	readonly handed: (partition: number, offset: number) => void;
	readonly flushed: ((partition: number, messages: readonly Kept[]) => void) | null;
	/** No two partitions share a thread. Default: they may. */
	readonly isOwn?: boolean;
	/** A record of each message that has rows. */
	readonly produces?: boolean;
	/** A message, or the handler's beginning (null), ends the process; default: nothing does. */
	readonly dies?: (message: Place | null) => void;
}

const START_MS = 20;
/** As in the real thread. */
const TURN_MS = 20;
/** Sooner than in the real thread: runs are short here, and death should meet some that told a part. */
const PART_MS = 30;

/** A partition in a thread. */
interface SimShare {
	readonly partition: number;
	state: Kept[];
}

/** See the file's header. */
export class SimThread implements ThreadHost {
	readonly id = 1;
	readonly #parts: SimThreadParts;
	readonly #collector: OutcomeCollector;
	readonly #shares = new Map<number, SimShare>();
	/** By message: the share that had it. What a module keeps beside its state would take it for one that was handled. */
	readonly #seen = new Map<string, SimShare>();
	#isLoaded = false;
	/** Others wait for the thread. */
	#isAwaited = false;
	#isCutShort = false;
	#progress: ThreadProgress = { calls: 0, phase: "idle", message: -1, running: 0 };
	#death: ThreadDeath | null = null;
	#reject: ((error: Error) => void) | null = null;
	#idleDeath: (death: ThreadDeath) => void = () => {};

	constructor(parts: SimThreadParts) {
		this.#parts = parts;
		this.#collector = new OutcomeCollector({ tables: parts.tables, maxOutcomeBytes: 1e9, lenient: false, lanes: parts.lanes ?? 1 });
	}

	get death(): ThreadDeath | null {
		return this.#death;
	}

	async load(): Promise<HandlerFailure | null> {
		const { process, faults } = this.#parts;
		const { world } = process;
		this.#enter("load");
		await this.#pass(world.random() * START_MS);
		await this.#mayEndProcess();
		this.#isLoaded = !world.chance(faults.loadFails);
		return this.#answer(this.#isLoaded ? null : failureOf("load"));
	}

	async start(share: number, { partition }: TopicPartition): Promise<StartReply> {
		const { process, faults } = this.#parts;
		const { world } = process;
		if (!this.#isLoaded && (await this.load())) return this.#answer({ ok: false, failure: failureOf("load") });
		this.#shares.set(share, { partition, state: [] });
		this.#enter("init");
		await this.#pass(world.random() * START_MS);
		await this.#mayEndProcess();
		if (world.chance(faults.initFails)) return this.#answer({ ok: false, failure: failureOf("init") });
		return this.#answer({ ok: true, handles: this.#parts.flushed ? "batch" : "message" });
	}

	async run(
		number: number,
		batch: PackedBatch,
		from: number,
		to: number,
		state: StateRule,
		handled: (part: BatchOutcome) => void,
	): Promise<RunReply> {
		const { process, faults, flushed } = this.#parts;
		const { world } = process;
		if (this.#death) throw new ThreadDiedError(this.#death);
		this.#isCutShort = false;
		const share = this.#shares.get(number) as SimShare;
		this.#collector.begin({ from, offsets: batch.offsets.subarray(from), timestamps: batch.timestamps.subarray(from) });
		const failure = state === "renew" ? await this.#renew(share) : null;
		if (failure) return this.#answer({ ok: false, outcome: this.#collector.take(from), failed: from, failure, batched: false });
		const reply = flushed ? await this.#runBatch(share, batch, from, to, state) : await this.#runOneByOne(share, batch, from, to, handled);
		if (reply.ok && world.chance(faults.diesIdle)) world.after(world.random() * 100, () => process.enter(() => this.#dieIdle()));
		return this.#answer(reply);
	}

	async #renew(share: SimShare): Promise<HandlerFailure | null> {
		const { process, faults } = this.#parts;
		share.state = [];
		this.#enter("init");
		await this.#pass(process.world.random() * START_MS);
		await this.#mayEndProcess();
		return process.world.chance(faults.initFails) ? failureOf("init") : null;
	}

	async #mayEndProcess(): Promise<void> {
		const { process, faults, dies } = this.#parts;
		if (!dies || faults.beginningEnds === 0 || !process.world.chance(faults.beginningEnds)) return;
		dies(null);
		await this.#pass(Number.POSITIVE_INFINITY);
	}

	async #runOneByOne(
		share: SimShare,
		batch: PackedBatch,
		from: number,
		to: number,
		handled: (part: BatchOutcome) => void,
	): Promise<RunReply> {
		const { world } = this.#parts.process;
		const endOfTurn = world.now + TURN_MS;
		let partDueAt = world.now + PART_MS;
		for (let index = from; index < to; index++) {
			if (this.#isCutShort) return { ok: true, outcome: this.#collector.take(index) };
			const startedAt = world.now;
			this.#enter("handle", index, 1);
			try {
				this.#collector.add(index, await this.#handle(share, messageAt(batch, index)));
				this.#collector.timed(world.now - startedAt);
			} catch (error) {
				if (this.#death) throw error;
				return { ok: false, outcome: this.#collector.take(index), failed: index, failure: exceptionOf(error), batched: false };
			}
			if (this.#isAwaited && world.now >= endOfTurn) return { ok: true, outcome: this.#collector.take(index + 1) };
			if (world.now < partDueAt) continue;
			handled(this.#collector.take(index + 1));
			partDueAt = world.now + PART_MS;
		}
		return { ok: true, outcome: this.#collector.take(to) };
	}

	async #runBatch(share: SimShare, batch: PackedBatch, from: number, to: number, rule: StateRule): Promise<RunReply> {
		const end = await callBatches(from, to, this.#collector, {
			call: (first, last) => this.#handleMessages(share, batch, first, last),
			again: () => this.#renew(share),
			mayRenew: rule !== "keep",
			mustEnd: () => this.#isCutShort,
			failureIn: exceptionOf,
		});
		const outcome = this.#collector.take(end.to, end.finished ? { finished: end.finished } : {});
		if (!end.failure) return { ok: true, outcome, calledTo: end.calledTo };
		return { ok: false, outcome, failed: end.to, together: end.together ?? 1, failure: end.failure, batched: true };
	}

	async #handleMessages(share: SimShare, batch: PackedBatch, from: number, to: number): Promise<unknown> {
		const { process, faults, flushed } = this.#parts;
		const { state } = share;
		const outcomes: unknown[] = [];
		this.#enter("handle", from, to - from);
		for (let index = from; index < to; index++) {
			const message = messageAt(batch, index);
			outcomes.push(await this.#handle(share, message));
			state.push(message);
		}
		if (process.world.chance(faults.keeps)) return { outcomes, finishedTo: null };
		const kept = process.world.chance(faults.keeps) ? process.world.between(0, state.length) : 0;
		const flushing = state.splice(0, state.length - kept);
		flushed?.(share.partition, flushing);
		return { outcomes, finishedTo: flushing.at(-1)?.offset ?? null };
	}

	/** What the handler makes of one message, if it gets that far. */
	async #handle(share: SimShare, { offset, timestamp, key, value }: UnpackedMessage): Promise<unknown> {
		const { process, faults, handed, dies, isOwn } = this.#parts;
		const { world } = process;
		const { partition } = share;
		handed(partition, offset);
		const place = `${partition}@${offset} ${timestamp}`;
		if (isOwn && (this.#seen.get(place) ?? share) !== share)
			world.fail("another-past", `${place} came again to a module that had it before its partition was given away`);
		this.#seen.set(place, share);
		if (dies && isDeadly(value?.toString() ?? null)) {
			dies({ partition, offset });
			await this.#pass(Number.POSITIVE_INFINITY);
		}
		if (world.chance(faults.hangs)) await this.#pass(Number.POSITIVE_INFINITY);
		// Time passes now and then: a batch is handled in a breath, or is caught in the middle.
		if (world.chance(0.2)) await this.#pass(world.random() * faults.messageMs);
		if (world.chance(faults.dies)) await this.kill({ reason: "exception", message: "by chance", stack: null });
		if (this.#death) throw new ThreadDiedError(this.#death);
		if (world.chance(faults.throws)) throw new Error("by chance");
		const outcome = handle(key?.toString() ?? "", value?.toString() ?? null);
		if (!this.#parts.produces || outcome === null || "reject" in (outcome as object)) return outcome;
		const record = { topic: "out", key, value: recordName(partition, { offset, timestamp, key: key?.toString() ?? "" }) };
		return [...(Array.isArray(outcome) ? outcome : [outcome]), { produce: [record] }];
	}

	async terminate(share: number): Promise<HandlerFailure | null> {
		this.#enter("terminate");
		await this.#pass(this.#parts.process.world.random() * START_MS);
		this.#shares.delete(share);
		return this.#answer(null);
	}

	async drop(share: number): Promise<void> {
		this.#shares.delete(share);
	}

	othersWait(doWait: boolean): void {
		this.#isAwaited = doWait;
	}

	cutShort(): void {
		this.#isCutShort = true;
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

	#enter(phase: ThreadProgress["phase"], message = -1, running = 0): void {
		this.#progress = { calls: this.#progress.calls + 1, phase, message, running };
	}

	#answer<T>(reply: T): T {
		if (this.#death) throw new ThreadDiedError(this.#death);
		this.#progress = { calls: this.#progress.calls + 1, phase: "idle", message: -1, running: 0 };
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

function exceptionOf(error: unknown): HandlerFailure {
	return { kind: "exception", name: "Error", message: (error as Error).message, stack: null };
}

function failureOf(kind: "load" | "init"): HandlerFailure {
	return { kind, name: "Error", message: `${kind} failed by chance`, stack: null };
}
