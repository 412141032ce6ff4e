/**
 * The supervised child of one assigned partition: hands its messages to the handler's thread in offset order, one run at a time, and
 * is the only one who decides what a failure means here. Modelled on brod_group_subscriber_worker, which stops the whole subscriber
 * when its callback raises; here only this partition is disturbed.
 *
 *   starting -> running <-> backing-off        parked: may not go on by itself but for a rare retry or a changed file
 *        any -> draining -> stopped            waiting: nothing to do yet, the thread starts with the first message
 *
 * Knows nothing of Kafka, Postgres or piscina: the thread, the sinks and the way back for offsets are handed in.
 */
import { equalJitter, exponentialBackOff } from "../core/back-off.ts";
import type { Clock } from "../core/clock.ts";
import type { DeadLetter } from "../core/dead-letter.ts";
import type { TopicPartition } from "../core/message.ts";
import type { PackedBatch } from "../core/packed-batch.ts";
import type { Random } from "../core/random.ts";
import { withCallDeadline } from "./call-deadline.ts";
import { type CrashReport, type FailureKind, keyText, type NextStep } from "./crash-report.ts";
import {
	type BatchOutcome,
	type ExitReason,
	type HandlerFailure,
	type HandlerThread,
	type HandlerThreadFactory,
	type RunReply,
	type ThreadDeath,
	ThreadDiedError,
} from "./handler-thread.ts";
import { MessageQueue, type Run } from "./message-queue.ts";
import { OutcomeRouter } from "./outcome-router.ts";
import type { DeadLetterSink, RowSink } from "./ports.ts";
import { MAX_RUN, Suspects } from "./suspects.ts";
import { WakeUp } from "./wake-up.ts";

/** The settings a worker lives by: `handler` and `supervisor` of the configuration. Times in ms. */
export interface WorkerSettings {
	readonly timeoutMs: number;
	readonly maxAttempts: number;
	readonly retryBackoffMs: number;
	readonly maxRetryBackoffMs: number;
	readonly onPoison: "dead-letter" | "park" | "skip" | "stop";
	readonly onExceeded: "park" | "stop";
	readonly minBackoffMs: number;
	readonly maxBackoffMs: number;
	/** Tables guarded by the timestamp, with their `maxFutureMs`. */
	readonly futureLimits: ReadonlyMap<string, number>;
}

/** Counts restarts and failures; the worker asks it whether to go on. */
export interface Intensity {
	readonly failuresInARow: number;
	restarted(nowMs: number): boolean;
	failed(): void;
	progressed(): void;
	reset(): void;
}

/** Past facts of a worker, told per run and never per message. */
export interface WorkerListener {
	started(partition: TopicPartition): void;
	handled(partition: TopicPartition, outcome: BatchOutcome): void;
	crashed(report: CrashReport): void;
	/** A thread was replaced; the value of `worker_restarts_total{reason}`. */
	restarted(partition: TopicPartition, reason: RestartReason): void;
	parked(partition: TopicPartition, reason: string): void;
	resumed(partition: TopicPartition): void;
	deadLettered(letter: DeadLetter): void;
	skipped(partition: TopicPartition, offset: number): void;
	/** Policy says that the daemon has to stop: drain the others, leave the group, exit 3. */
	stopRequested(partition: TopicPartition, reason: string): void;
}

/** Why a thread was replaced. */
export type RestartReason = "load" | "init" | "exception" | "exit" | "out_of_memory" | "timeout" | "file_changed";

/** What a worker is made of. */
export interface WorkerParts {
	readonly partition: TopicPartition;
	readonly settings: WorkerSettings;
	readonly createThread: HandlerThreadFactory;
	readonly rows: RowSink;
	readonly deadLetters: DeadLetterSink;
	readonly intensity: Intensity;
	readonly clock: Clock;
	readonly random: Random;
	readonly listener: WorkerListener;
	/** The message at `offset` is finished: durable, without rows, dead-lettered or skipped. */
	readonly finished: (offset: number) => void;
	/** How many messages may be unfinished here; more that a handler leaves open by `finishedTo` is a crash. */
	readonly queueShare: () => number;
}

/** What a worker is doing. */
export type WorkerState =
	| { readonly name: "waiting" | "starting" | "running" | "draining" | "stopped" }
	| { readonly name: "backing-off"; readonly untilMs: number }
	| { readonly name: "parked"; readonly reason: string };

/** See the file's header. */
export class PartitionWorker {
	readonly #parts: WorkerParts;
	readonly #queue = new MessageQueue();
	readonly #router: OutcomeRouter;
	readonly #wake = new WakeUp();
	readonly #life: Promise<void>;
	#state: WorkerState = { name: "waiting" };
	#thread: HandlerThread | null = null;
	#threadReady = false;
	#needsRenewal = false;
	#idleDeath: ThreadDeath | null = null;
	readonly #suspects = new Suspects();
	#restarts = 0;
	#lastFailure: (CrashReport & { readonly time: number }) | null = null;
	#stopReason: ExitReason | null = null;
	#handlerChanged = false;

	constructor(parts: WorkerParts) {
		this.#parts = parts;
		this.#router = new OutcomeRouter(parts, this.#queue, () => this.#wake.wake());
		this.#life = this.#live();
	}

	get state(): WorkerState {
		return this.#state;
	}

	get queue(): Pick<MessageQueue, "queued" | "handed" | "bytes"> {
		return this.#queue;
	}

	get restarts(): number {
		return this.#restarts;
	}

	get attempts(): number {
		return this.#suspects.attempts;
	}

	/** Failures since the last progress; two are a crash loop. */
	get failuresInARow(): number {
		return this.#parts.intensity.failuresInARow;
	}

	/** The last failure, with the wall-clock time in ms. */
	get lastFailure(): (CrashReport & { readonly time: number }) | null {
		return this.#lastFailure;
	}

	/** Takes messages of this partition, in offset order behind those it has. */
	deliver(batch: PackedBatch): void {
		if (this.#stopReason) return;
		this.#queue.push(batch);
		this.#wake.wake();
	}

	/** The handler's file changed: a worker that failed begins anew at once, with the new code; a healthy one is left alone. */
	handlerChanged(): void {
		if (this.failuresInARow === 0 && this.#state.name !== "parked") return;
		this.#handlerChanged = true;
		this.#parts.intensity.reset();
		this.#wake.wake();
	}

	/**
	 * Finishes what is in hand and takes no more: resolves when the running call ended and every message handed over is finished, or
	 * at once where the worker is parked, backing off or `rowsBlocked`. What was not handed over is dropped. Then `stop` it.
	 */
	async drain(reason: ExitReason, rowsBlocked: () => boolean): Promise<void> {
		this.#beginStop(reason);
		await this.#life;
		this.#parts.rows.flush();
		while (this.#queue.handed > 0 && !this.#router.disposed && !rowsBlocked()) await this.#wake.next();
	}

	/** Something outside changed that a drain may wait for (the database is blocked, a deadline passed). */
	nudge(): void {
		this.#wake.wake();
	}

	/** Calls the handler's terminate, where its thread is alive, and ends the thread. What still comes back from sinks is ignored. */
	async stop(reason: ExitReason): Promise<void> {
		this.#beginStop(reason);
		this.#release();
		await this.#life;
		await this.#endThread(reason);
		this.#state = { name: "stopped" };
	}

	/** Ends the thread at once, whatever it does. */
	async kill(): Promise<void> {
		this.#beginStop("shutdown");
		this.#release();
		const thread = this.#thread;
		this.#thread = null;
		await thread?.kill();
		await this.#life;
		this.#state = { name: "stopped" };
	}

	#release(): void {
		this.#router.dispose();
		this.#wake.wake();
	}

	#beginStop(reason: ExitReason): void {
		if (this.#stopReason) return;
		this.#stopReason = reason;
		this.#queue.dropQueued();
		// A thread that is only starting has nothing in hand worth waiting for.
		if (this.#state.name === "starting") void this.#thread?.kill();
		this.#state = { name: "draining" };
		this.#wake.wake();
	}

	/** The worker's whole life: one run after the other until it is told to stop. */
	async #live(): Promise<void> {
		while (!this.#stopReason) {
			if (this.#handlerChanged) await this.#replaceForChangedFile();
			if (this.#idleDeath) {
				await this.#died(this.#idleDeath, null);
				continue;
			}
			const run = this.#queue.next(MAX_RUN);
			if (!run) {
				this.#state = { name: this.#threadReady ? "running" : "waiting" };
				await this.#wake.next();
				continue;
			}
			if (await this.#ensureStarted(run)) await this.#hand(this.#suspects.cut(run));
		}
	}

	/** A live thread with fresh enough state; false where it failed (and the wait for the next try is over). */
	async #ensureStarted(run: Run): Promise<boolean> {
		if (this.#thread && this.#threadReady && !this.#needsRenewal) return true;
		this.#state = { name: "starting" };
		const renewing = this.#thread !== null && this.#threadReady;
		const thread = this.#thread ?? this.#newThread();
		try {
			const call = renewing ? thread.renew() : thread.start();
			const reply = await withCallDeadline(call, thread, this.#parts.settings.timeoutMs, this.#parts.clock);
			if (!reply.ok) {
				await this.#failedToStart(reply.failure, run);
				return false;
			}
		} catch (error) {
			await this.#died(deathOf(error), null);
			return false;
		}
		this.#needsRenewal = false;
		this.#threadReady = true;
		if (!renewing) this.#parts.listener.started(this.#parts.partition);
		return this.#stopReason === null;
	}

	#newThread(): HandlerThread {
		const thread = this.#parts.createThread(this.#parts.partition);
		this.#thread = thread;
		this.#threadReady = false;
		this.#needsRenewal = false;
		thread.onIdleDeath((death) => {
			if (this.#thread !== thread) return;
			this.#idleDeath = death;
			this.#wake.wake();
		});
		return thread;
	}

	async #hand(run: Run): Promise<void> {
		const thread = this.#thread as HandlerThread;
		this.#state = { name: this.#stopReason ? "draining" : "running" };
		this.#queue.take(run);
		let reply: RunReply;
		try {
			const call = thread.run(run.held.batch, run.from, run.to);
			reply = await withCallDeadline(call, thread, this.#parts.settings.timeoutMs, this.#parts.clock);
		} catch (error) {
			this.#queue.putBack(run);
			await this.#diedWhileRunning(deathOf(error), thread, run);
			return;
		}
		if (!reply.ok) this.#queue.putBack({ ...run, from: reply.failedFrom });
		if (reply.ok || reply.failedFrom > run.from) this.#progressed(run, reply.outcome);
		if (!reply.ok) await this.#failed({ ...run, from: reply.failedFrom, to: reply.failedTo }, reply.failure);
	}

	#progressed(run: Run, outcome: BatchOutcome): void {
		this.#router.route(run.held, outcome);
		this.#parts.listener.handled(this.#parts.partition, outcome);
		this.#parts.intensity.progressed();
		this.#suspects.progressed(run.held.batch.offsets[outcome.to - 1] as number);
		const share = this.#parts.queueShare();
		if (this.#queue.unconfirmed >= share && this.#queue.queued === 0) {
			this.#idleDeath = {
				reason: "exception",
				message: `the handler left ${this.#queue.unconfirmed} messages unfinished by finishedTo, and they fill the queue (${share})`,
				stack: null,
			};
		}
	}

	/** The handler threw, rejected or broke the contract in a live thread. */
	async #failed(run: Run, failure: HandlerFailure): Promise<void> {
		this.#needsRenewal = true;
		if (run.to - run.from > 1) {
			// A batch handler's offender is found by halving, without back-off and without charging anybody.
			this.#suspects.halve(run);
			this.#report(failure.kind, run, 0, failure, { action: "halve", delayMs: 0 });
			return;
		}
		this.#parts.intensity.failed();
		await this.#chargeAttempt(run, failure.kind, failure);
	}

	/** Charges one attempt to the message at `run.from`; then it is tried again after its back-off, or is poison. */
	async #chargeAttempt(run: Run, kind: FailureKind, error: ReportedError): Promise<void> {
		const { settings } = this.#parts;
		const attempts = this.#suspects.charge(run);
		if (attempts >= settings.maxAttempts) {
			await this.#poison(run, kind, error);
			return;
		}
		const bounds = { minMs: settings.retryBackoffMs, maxMs: settings.maxRetryBackoffMs };
		const delayMs = exponentialBackOff(attempts, bounds);
		this.#report(kind, run, attempts, error, { action: "retry", delayMs });
		await this.#backOff(delayMs);
	}

	async #poison(run: Run, kind: FailureKind, error: ReportedError): Promise<void> {
		const { onPoison } = this.#parts.settings;
		const one = { ...run, to: run.from + 1 };
		const attempts = this.#suspects.attempts;
		const offset = run.held.batch.offsets[run.from] as number;
		this.#report(kind, run, attempts, error, { action: onPoison, delayMs: 0 });
		switch (onPoison) {
			case "dead-letter":
			case "skip":
				this.#queue.take(one);
				if (onPoison === "skip") this.#router.skip(one.held, one.from);
				else this.#router.poison(one.held, one.from, { kind, error, attempts });
				this.#parts.intensity.progressed();
				this.#suspects.progressed(offset);
				return;
			case "park":
				await this.#park(`poison: offset ${offset} failed ${attempts} times`, this.#parts.settings.maxBackoffMs);
				return;
			case "stop":
				await this.#requestStop(`offset ${offset} failed ${attempts} times and handler.onPoison is stop`);
				return;
		}
	}

	/** The module does not load, or its init failed: never the message's fault. */
	async #failedToStart(failure: HandlerFailure, run: Run): Promise<void> {
		await this.#discardThread();
		await this.#restart(failure.kind === "load" ? "load" : "init", failure.kind, failure, run, 0);
	}

	async #diedWhileRunning(death: ThreadDeath, thread: HandlerThread, run: Run): Promise<void> {
		const progress = thread.progress();
		const entered = progress.phase === "handle";
		const single = run.to - run.from === 1;
		if (entered && (progress.running === 1 || single)) {
			const from = single ? run.from : progress.message;
			await this.#died(death, { ...run, from, to: from + 1 });
			return;
		}
		// Several were running, or none: nobody is charged before they were run one by one.
		if (!single) this.#suspects.repeatOneByOne(run);
		await this.#died(death, null);
	}

	/** The thread is gone. `offender` is the one message that was running, if exactly one was. */
	async #died(death: ThreadDeath, offender: Run | null): Promise<void> {
		this.#idleDeath = null;
		await this.#discardThread();
		if (this.#stopReason) return;
		const error = { name: "ThreadDied", message: death.message, stack: death.stack };
		const waiting = offender ?? this.#queue.next(1);
		if (offender && this.#suspects.charge(offender) >= this.#parts.settings.maxAttempts) {
			this.#countRestart(death.reason);
			await this.#poison(offender, death.reason, error);
			return;
		}
		await this.#restart(death.reason, death.reason, error, waiting, offender ? this.#suspects.attempts : 0);
	}

	#countRestart(reason: RestartReason): boolean {
		this.#restarts++;
		this.#parts.listener.restarted(this.#parts.partition, reason);
		return this.#parts.intensity.restarted(this.#parts.clock.monotonic());
	}

	/** A new thread after the back-off; or the end of patience: parked, or the daemon stops. */
	async #restart(reason: RestartReason, kind: FailureKind, error: ReportedError, waiting: Run | null, attempt: number): Promise<void> {
		const { settings, intensity, random } = this.#parts;
		const exceeded = this.#countRestart(reason);
		this.#queue.requeueUnconfirmed();
		if (!exceeded) {
			const bounds = { minMs: settings.minBackoffMs, maxMs: settings.maxBackoffMs };
			const delayMs = equalJitter(intensity.failuresInARow, bounds, random);
			this.#report(kind, waiting, attempt, error, { action: "restart", delayMs });
			await this.#backOff(delayMs);
			return;
		}
		this.#report(kind, waiting, attempt, error, { action: settings.onExceeded, delayMs: settings.maxBackoffMs });
		if (settings.onExceeded === "park") await this.#park(`restart intensity exceeded: ${error.message}`, settings.maxBackoffMs);
		else await this.#requestStop(`restart intensity exceeded: ${error.message}`);
	}

	async #backOff(delayMs: number): Promise<void> {
		if (delayMs <= 0) return;
		const untilMs = this.#parts.clock.now() + delayMs;
		await this.#waitUnlessChanged(delayMs, { name: "backing-off", untilMs });
	}

	/** Waits at most `delayMs`; a changed file or a stop ends the wait, new messages don't. */
	async #waitUnlessChanged(delayMs: number, state: WorkerState): Promise<void> {
		if (this.#stopReason) return;
		this.#state = state;
		let over = false;
		const timer = this.#parts.clock.after(delayMs, () => {
			over = true;
			this.#wake.wake();
		});
		while (!over && !this.#stopReason && !this.#handlerChanged) await this.#wake.next();
		timer.cancel();
	}

	async #park(reason: string, retryAfterMs: number): Promise<void> {
		this.#parts.listener.parked(this.#parts.partition, reason);
		await this.#waitUnlessChanged(retryAfterMs, { name: "parked", reason });
		this.#parts.listener.resumed(this.#parts.partition);
	}

	async #requestStop(reason: string): Promise<void> {
		this.#parts.listener.stopRequested(this.#parts.partition, reason);
		this.#state = { name: "parked", reason };
		while (!this.#stopReason) await this.#wake.next();
	}

	async #replaceForChangedFile(): Promise<void> {
		this.#handlerChanged = false;
		if (!this.#thread) return;
		await this.#endThread("restart");
		this.#restarts++;
		this.#parts.listener.restarted(this.#parts.partition, "file_changed");
		this.#queue.requeueUnconfirmed();
	}

	async #endThread(reason: ExitReason): Promise<void> {
		const thread = this.#thread;
		if (thread && this.#threadReady && !this.#idleDeath) {
			const ended = thread.terminate(reason).catch(() => null);
			await withCallDeadline(ended, thread, this.#parts.settings.timeoutMs, this.#parts.clock);
		}
		await this.#discardThread();
	}

	async #discardThread(): Promise<void> {
		const thread = this.#thread;
		this.#thread = null;
		this.#threadReady = false;
		this.#needsRenewal = false;
		await thread?.kill();
	}

	#report(kind: FailureKind, run: Run | null, attempt: number, error: ReportedError, next: NextStep): void {
		const { partition, settings, clock, listener } = this.#parts;
		const coordinates = run && {
			offset: run.held.batch.offsets[run.from] as number,
			key: keyText(this.#router.keyOf(run.held, run.from)),
		};
		const { name, message, stack } = error;
		const report: CrashReport = {
			...partition,
			kind,
			coordinates,
			attempt,
			maxAttempts: settings.maxAttempts,
			restarts: this.#restarts,
			error: { name, message, stack },
			next,
		};
		this.#lastFailure = { ...report, time: clock.now() };
		listener.crashed(report);
	}
}

type ReportedError = { readonly name: string; readonly message: string; readonly stack: string | null };

function deathOf(error: unknown): ThreadDeath {
	if (error instanceof ThreadDiedError) return error.death;
	const message = error instanceof Error ? error.message : String(error);
	return { reason: "exception", message, stack: error instanceof Error ? (error.stack ?? null) : null };
}
