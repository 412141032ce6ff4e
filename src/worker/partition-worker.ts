/**
 * The supervised child of one assigned partition: hands its messages to the handler's thread in offset order, one run at a time, and
 * is the only one who decides what a failure means here. Modelled on brod_group_subscriber_worker, which stops the whole subscriber
 * when its callback raises; here only this partition is disturbed.
 *
 *   starting -> running <-> backing-off        parked: may not go on by itself but for a rare retry or a changed file
 *        any -> draining -> stopped            waiting: nothing to do yet, the thread starts with the first message
 *
 * Knows nothing of Kafka, Postgres or piscina: the thread, the sinks and the way back for offsets are handed in.
 *
 * Step 4 of a message's way (README).
 */
import { equalJitter, exponentialBackOff } from "../core/back-off.ts";
import type { PackedBatch } from "../core/packed-batch.ts";
import { type CrashReport, type FailureKind, keyText, type NextStep } from "./crash-report.ts";
import {
	type BatchOutcome,
	type ExitReason,
	type HandlerFailure,
	type RunReply,
	type ThreadDeath,
	ThreadDiedError,
} from "./handler-thread.ts";
import { MessageQueue, type Run } from "./message-queue.ts";
import { OutcomeRouter } from "./outcome-router.ts";
import { MAX_RUN, Suspects } from "./suspects.ts";
import { ThreadSlot } from "./thread-slot.ts";
import { WakeUp } from "./wake-up.ts";
import type { RestartReason, WorkerParts, WorkerState } from "./worker-parts.ts";

/** See the file's header. */
export class PartitionWorker {
	readonly #parts: WorkerParts;
	readonly #queue = new MessageQueue();
	readonly #router: OutcomeRouter;
	readonly #slot: ThreadSlot;
	readonly #wake = new WakeUp();
	readonly #life: Promise<void>;
	#state: WorkerState = { name: "waiting" };
	#idleDeath: ThreadDeath | null = null;
	readonly #suspects = new Suspects();
	#restarts = 0;
	#lastFailure: (CrashReport & { readonly time: number }) | null = null;
	#stopReason: ExitReason | null = null;
	#handlerChanged = false;

	constructor(parts: WorkerParts) {
		this.#parts = parts;
		this.#router = new OutcomeRouter(parts, this.#queue, () => this.#wake.wake());
		this.#slot = new ThreadSlot({
			create: () => parts.createThread(parts.partition),
			timeoutMs: parts.settings.timeoutMs,
			clock: parts.clock,
			started: () => parts.listener.started(parts.partition),
			diedIdle: (death) => {
				this.#idleDeath = death;
				this.#wake.wake();
			},
		});
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
		await this.#slot.end(reason);
		this.#state = { name: "stopped" };
	}

	/** Ends the thread at once, whatever it does. */
	async kill(): Promise<void> {
		this.#beginStop("shutdown");
		this.#release();
		await this.#slot.kill();
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
		if (this.#state.name === "starting") void this.#slot.kill();
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
				this.#state = { name: this.#slot.ready ? "running" : "waiting" };
				await this.#wake.next();
				continue;
			}
			if (await this.#ensureStarted(run)) await this.#hand(this.#suspects.cut(run));
		}
	}

	/** A live thread with fresh enough state; false where it failed (and the wait for the next try is over). */
	async #ensureStarted(run: Run): Promise<boolean> {
		if (this.#slot.ready) return true;
		this.#state = { name: "starting" };
		try {
			const failure = await this.#slot.makeReady();
			if (failure) {
				await this.#failedToStart(failure, run);
				return false;
			}
		} catch (error) {
			await this.#died(deathOf(error), null);
			return false;
		}
		return this.#stopReason === null;
	}

	async #hand(run: Run): Promise<void> {
		this.#state = { name: this.#stopReason ? "draining" : "running" };
		this.#queue.take(run);
		let reply: RunReply;
		try {
			reply = await this.#slot.run(run);
		} catch (error) {
			this.#queue.putBack(run);
			await this.#diedWhileRunning(deathOf(error), run);
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
		this.#slot.needsRenewal();
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
		await this.#slot.discard();
		await this.#restart(failure.kind === "load" ? "load" : "init", failure.kind, failure, run, 0);
	}

	async #diedWhileRunning(death: ThreadDeath, run: Run): Promise<void> {
		const progress = this.#slot.progress();
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
		await this.#slot.discard();
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
		if (!this.#slot.occupied) return;
		await this.#slot.end("restart");
		this.#restarts++;
		this.#parts.listener.restarted(this.#parts.partition, "file_changed");
		this.#queue.requeueUnconfirmed();
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
