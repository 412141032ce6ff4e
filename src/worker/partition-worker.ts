/**
 * The supervised child of one assigned partition: hands its messages to the handler's thread in offset order, one run at a time, and
 * carries out what the failure policy decides. Modelled on brod_group_subscriber_worker, which stops the whole subscriber when its callback
 * raises; here only this partition is disturbed. worker-waits.ts has its states and waits.
 *
 * Knows nothing of Kafka, Postgres or piscina: the thread, the sinks and the acknowledgement of offsets are passed in.
 *
 * Step 4 of a message's way (docs/architecture.md).
 */

import type { Evidence } from "../core/messages/hand-note.ts";
import type { PackedBatch } from "../core/messages/packed-batch.ts";
import type { SkipAnswer } from "../core/messages/skip-outcome.ts";
import { withoutValues } from "../core/text/without-values.ts";
import { lifetime } from "../core/waiting/lifetime.ts";
import { AfterFailure } from "./failures/after-failure.ts";
import type { CrashReport } from "./failures/crash-report.ts";
import { CrashReports } from "./failures/crash-reports.ts";
import { FailurePolicy } from "./failures/failure-policy.ts";
import { MAX_RUN } from "./failures/suspects.ts";
import { type HandedOver, HandOver } from "./hand-over.ts";
import { type HeldBatch, MessageQueue } from "./message-queue.ts";
import { OutcomeRouter } from "./outcomes/outcome-router.ts";
import { Repeats } from "./outcomes/repeats.ts";
import { SkipRequests } from "./skip-requests.ts";
import type { BatchOutcome, ExitReason, ThreadDeath } from "./thread/handler-thread.ts";
import { ThreadSlot } from "./thread/thread-slot.ts";
import { ThreadReplacement } from "./thread-replacement.ts";
import type { ParkReason, WorkerParts, WorkerState, WorkerTrouble } from "./worker-parts.ts";
import { troublesOf } from "./worker-trouble.ts";
import { WorkerWaits } from "./worker-waits.ts";

/** The worker of one assigned partition: owns its queue, its thread and its state. One per assignment. */
export class PartitionWorker {
	readonly #parts: WorkerParts;
	readonly #queue = new MessageQueue();
	readonly #router: OutcomeRouter;
	readonly #policy: FailurePolicy;
	readonly #slot: ThreadSlot;
	readonly #handOver: HandOver;
	readonly #reports: CrashReports;
	readonly #replacement: ThreadReplacement;
	readonly #after: AfterFailure;
	readonly #waits: WorkerWaits;
	/** The same function for the worker's whole life: the sink calls it once, however often the worker asks for room. */
	readonly #hasRoom = () => this.#waits.wake();
	readonly #skips = new SkipRequests();
	readonly #repeats: Repeats | null;
	readonly #life: Promise<void>;
	/** Aborted as soon as no more messages may be handed over. */
	readonly #handing = lifetime();

	constructor(parts: WorkerParts) {
		this.#parts = parts;
		this.#waits = new WorkerWaits(parts);
		this.#router = new OutcomeRouter({ ...parts, handlerVersion: () => parts.settings.version || this.#slot.version }, this.#queue, () =>
			this.#waits.wake(),
		);
		this.#policy = new FailurePolicy(parts);
		this.#repeats = parts.settings.dropRepeats ? new Repeats() : null;
		this.#reports = new CrashReports(parts);
		this.#slot = new ThreadSlot({
			create: () => parts.threads.open(),
			timeoutMs: parts.settings.timeoutMs,
			clock: parts.clock,
			started: () => parts.listener.started(parts.partition),
			terminateFailed: (failure) => {
				const { message, stack } = failure;
				parts.listener.terminateFailed(parts.partition, { ...failure, message: withoutValues(message), stack: withoutValues(stack) });
			},
			diedIdle: (death) => {
				this.#waits.idleDeath = death;
				this.#waits.wake();
			},
		});
		this.#handOver = new HandOver(parts, {
			slot: this.#slot,
			queue: this.#queue,
			waits: this.#waits,
			signal: this.#handing.signal,
			handled: (held, outcome, last) => this.#handled(held, outcome, last),
		});
		const own = { slot: this.#slot, queue: this.#queue, waits: this.#waits, policy: this.#policy };
		this.#replacement = new ThreadReplacement(parts, own);
		this.#after = new AfterFailure(parts, {
			...own,
			router: this.#router,
			reports: this.#reports,
			skips: this.#skips,
			replacement: this.#replacement,
			careful: () => this.#handOver.careful,
			codeChanged: () => this.#beginAnew("file_changed"),
		});
		this.#life = this.#live();
	}

	get state(): WorkerState {
		return this.#waits.state;
	}

	get queue(): Pick<MessageQueue, "queued" | "handed" | "handedTo" | "underway" | "bytes" | "unconfirmed" | "firstUnconfirmed"> {
		return this.#queue;
	}

	/** Node's id of the current thread (partitions that share a thread have the same one); null while there is none. */
	get threadId(): number | null {
		return this.#slot.occupied ? this.#slot.threadId : null;
	}

	/** Hash of the files that the thread has loaded; null while no thread has. */
	get handlerHash(): string | null {
		return this.#slot.loadedVersion;
	}

	/** The handler's version: `handler.version`, or the hash of its files. Null while no thread has loaded it. */
	get handlerVersion(): string | null {
		return this.#parts.settings.version || this.handlerHash;
	}

	get restarts(): number {
		return this.#policy.restarts;
	}

	get attempts(): number {
		return this.#policy.attempts;
	}

	/** Failures since the last progress; two or more are a crash loop. */
	get failuresInARow(): number {
		return this.#policy.failuresInARow;
	}

	/** The partition's problems at the moment; empty if it is healthy. */
	get troubles(): readonly WorkerTrouble[] {
		const { failuresInARow } = this.#policy;
		const { repeatedSinceMs: failingSinceMs, latest } = this.#reports;
		return troublesOf({ state: this.#waits.state, queue: this.#queue, failuresInARow, failingSinceMs, lastReport: latest[0] });
	}

	/** True while the open breaker keeps the partition parked. */
	get breakerOpen(): boolean {
		return this.#router.letters.reason !== null;
	}

	/** The last failures, newest first. */
	get reports(): readonly CrashReport[] {
		return this.#reports.latest;
	}

	/** True while every message is noted before it is handed over, because the process died before. */
	get isCareful(): boolean {
		return this.#handOver.careful?.isOver === false;
	}

	/** The messages that the partition's next owner has to suspect; null if there are none. Valid only when nothing is in hand. */
	get evidence(): Evidence | null {
		return this.#handOver.careful?.evidence ?? null;
	}

	/** The consumer has read the partition to its end for now. `offset` is the next one that will be written. */
	readToEnd(offset: number): void {
		this.#handOver.careful?.readToEnd(offset);
	}

	/** Takes messages of this partition, in offset order, after those it already has. */
	deliver(batch: PackedBatch): void {
		if (this.#waits.stopReason) return;
		const held = this.#queue.push(batch, this.#parts.clock.monotonic());
		if (this.#repeats) this.#dropRepeats(this.#repeats, held);
		this.#waits.wake();
	}

	/**
	 * The handler's file changed: a worker that failed begins anew at once, with the new code; a healthy one is left alone until it fails,
	 * is resumed, or gets another thread.
	 */
	handlerChanged(): void {
		this.#slot.codeChanged();
		if (this.failuresInARow > 0 || this.#waits.state.name === "parked") this.#beginAnew("file_changed");
		else this.#parts.threads.expire();
	}

	/** A person pauses the partition: the running call finishes, then nothing is handed over until `resume`. */
	pause(): void {
		this.#waits.isPaused = true;
		this.#slot.cutShort();
	}

	/** A person resumes the partition, with the code that is on disk. A parked or backing-off worker tries again at once. */
	resume(): void {
		this.#waits.isPaused = false;
		this.#beginAnew(this.#slot.isCodeOld ? "file_changed" : "resumed");
	}

	/** A person wants a new thread now: a running call is cut off, its messages are handled again, and none of them is charged. */
	restart(): void {
		this.#beginAnew("admin");
		if (this.#slot.busy) void this.#slot.kill();
	}

	#dropRepeats(repeats: Repeats, held: HeldBatch): void {
		const found = repeats.in(held.batch);
		for (const message of found) {
			this.#queue.take({ held, from: message, to: message + 1 });
			this.#router.pass(held, message);
		}
		if (found.length > 0) this.#parts.listener.repeated?.(this.#parts.partition, found.length);
	}

	/**
	 * A person wants the received message at `offset` skipped. Resolves when its dead letter is durable, or with the reason why there is
	 * none.
	 */
	async skip(offset: number, why: string): Promise<SkipAnswer> {
		if (this.#waits.stopReason) return "released";
		const answer = this.#skips.ask(offset, why);
		this.#waits.anew.add("skip");
		this.#waits.wake();
		return answer;
	}

	/**
	 * Finishes what is in hand and takes nothing more; then call `stop`. What was not handed over is dropped. Resolves when the running call
	 * has ended and every message handed over is finished or waits for a call that won't come (`finishedTo`, the breaker). Resolves at once
	 * if the worker is parked, backing off, or `rowsBlocked`.
	 */
	async drain(reason: ExitReason, rowsBlocked: () => boolean): Promise<void> {
		this.#beginStop(reason);
		await this.#life;
		// Somebody was told that a message is skipped if its call fails, and that was its last one here.
		if (!this.#router.disposed) this.#carryOutSkips((offset) => this.#reports.attemptOf(offset) !== null);
		this.#parts.rows.flush();
		while (this.#queue.underway > 0 && !this.#router.disposed && !rowsBlocked()) await this.#waits.next();
	}

	/** Something that a drain may wait for changed outside: the database is blocked, a deadline passed. */
	nudge(): void {
		this.#waits.wake();
	}

	/** Calls the handler's terminate if its thread is alive, and ends the thread. Later answers of the sinks are ignored. */
	async stop(reason: ExitReason): Promise<void> {
		this.#beginStop(reason);
		this.#release();
		await this.#life;
		await this.#slot.end(reason);
		this.#stopped();
	}

	/** Ends the thread at once, whatever it is doing. */
	async kill(): Promise<void> {
		this.#beginStop("shutdown");
		this.#release();
		await this.#slot.kill();
		await this.#life;
		this.#stopped();
	}

	#stopped(): void {
		this.#skips.release();
		this.#waits.state = { name: "stopped" };
		this.#parts.threads.release();
	}

	#beginAnew(why: "file_changed" | "admin" | "resumed"): void {
		this.#waits.anew.add(why);
		this.#handOver.careful?.pardon(this.#parts.settings.maxAttempts);
		if (why !== "resumed") this.#parts.threads.expire();
		this.#policy.begunAnew();
		this.#waits.wake();
	}

	#release(): void {
		this.#router.dispose();
		this.#waits.wake();
	}

	#beginStop(reason: ExitReason): void {
		if (this.#waits.stopReason) return;
		this.#waits.stopReason = reason;
		this.#handing.abort(new Error("nothing more is handed over"));
		this.#queue.dropQueued();
		// A thread that is starting or making a new state holds no work that is worth waiting for.
		const { phase } = this.#slot.progress();
		if (this.#waits.state.name === "starting" || phase === "init" || phase === "terminate") this.#slot.abandon();
		else this.#slot.cutShort();
		this.#waits.state = { name: "draining" };
		this.#waits.wake();
	}

	#carryOutSkips(isMeant?: (offset: number) => boolean): void {
		this.#skips.carryOut(
			this.#queue,
			this.#router,
			(offset) => this.#reports.attemptOf(offset),
			(offset) => this.#after.gaveUp(offset),
			isMeant,
		);
	}

	/** The worker's main loop: one run after the other until it is stopped. */
	async #live(): Promise<void> {
		while (!this.#waits.stopReason) {
			this.#carryOutSkips();
			if (this.#waits.anew.size > 0) {
				await this.#replacement.asAsked();
				// Wake-ups during that await were missed: check everything again.
				continue;
			}
			if (this.#waits.isPaused) {
				await this.#waits.next();
				continue;
			}
			if (this.#router.letters.reason !== null) {
				await this.#parkAtBreaker(this.#router.letters.reason);
				continue;
			}
			const death = this.#waits.idleDeath;
			if (death) {
				await this.#after.died(death, () => this.#policy.threadDied(death, this.#queue.next(1)));
				continue;
			}
			if (this.#router.waitsForBroker) {
				this.#parts.records.whenRoom(this.#hasRoom);
				await this.#waits.next();
				continue;
			}
			const run = this.#queue.next(MAX_RUN);
			if (!run) {
				this.#waits.idleDeath = this.#deathByFullQueue();
				if (this.#waits.idleDeath) continue;
				this.#waits.state = { name: this.#slot.ready ? "running" : "waiting" };
				await this.#waits.next();
				continue;
			}
			if (await this.#after.gaveUpForDeaths(run)) continue;
			if (this.#slot.ready)
				await this.#go(
					await this.#handOver.hand(this.#router.letters.onTrial ? this.#router.letters.onTrialNext(run) : this.#policy.cut(run)),
				);
			else {
				this.#waits.state = { name: "starting" };
				await this.#go(await this.#handOver.start(run));
			}
		}
	}

	/** Decides what a hand-over means, and carries that out. */
	async #go(handed: HandedOver): Promise<void> {
		switch (handed.what) {
			case "done":
			case "not-now":
				return;
			case "holds-too-much":
				return this.#replacement.holdsTooMuch(handed.heldMb);
			case "needs-new-state":
				return this.#replacement.withNewState();
			case "start-failed":
				return this.#after.carryOut(this.#policy.startFailed(handed.run, handed.failure));
			case "failed":
				this.#slot.needsRenewal();
				this.#replacement.stateEnded();
				return this.#after.carryOut(this.#policy.attemptFailed(handed.run, handed.failure, handed.batched));
			case "died": {
				const { death, run, progress } = handed;
				return this.#after.died(death, () =>
					progress ? this.#policy.threadDiedRunning(death, run, progress) : this.#policy.threadDied(death, run),
				);
			}
		}
	}

	/** Takes the outcome of a part of a run. False if the run should end early, because each of its messages makes many records. */
	#handled(held: HeldBatch, outcome: BatchOutcome, last: number): boolean {
		this.#router.route(held, outcome);
		this.#parts.listener.handled(this.#parts.partition, outcome);
		this.#policy.progressed(last);
		this.#reports.handled(last);
		return !this.#router.waitsForBroker;
	}

	/**
	 * The handler waits for messages that have no room beside those it left unfinished, and nothing in hand will make room: it would wait for
	 * ever.
	 */
	#deathByFullQueue(): ThreadDeath | null {
		const { unconfirmed, underway } = this.#queue;
		if (unconfirmed === 0 || underway > 0 || !this.#parts.isFull()) return null;
		const limits = "workers.maxQueuedMessages, maxQueuedBytes";
		const message = `the handler left ${unconfirmed} messages unfinished by finishedTo, and they fill the queue (${limits})`;
		return { reason: "exception", message, stack: null };
	}

	/** Parks until a changed file or a person ends it: a retry by timer would only make more dead letters. */
	async #parkAtBreaker(message: string): Promise<void> {
		if (this.#slot.isCodeOld) {
			this.#beginAnew("file_changed");
			this.#router.letters.tryAgain();
			return;
		}
		const reason: ParkReason = { code: "breaker", message };
		this.#parts.listener.parked(this.#parts.partition, reason);
		await this.#waits.untilAnew(reason);
		if (this.#waits.stopReason) return;
		// A skipped message does not decide the trial.
		if (this.#waits.anew.size > 1 || !this.#waits.anew.has("skip")) this.#router.letters.tryAgain();
		this.#parts.listener.resumed(this.#parts.partition);
	}
}
