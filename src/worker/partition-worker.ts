/**
 * The supervised child of one assigned partition: hands its messages to the handler's thread in offset order, one run at a time, and
 * carries out what the failure policy decides. Modelled on brod_group_subscriber_worker, which stops the whole subscriber when its
 * callback raises; here only this partition is disturbed. Its states and waits are worker-waits.ts's.
 *
 * Knows nothing of Kafka, Postgres or piscina: the thread, the sinks and the acknowledgement of offsets are passed in.
 *
 * Step 4 of a message's way (docs/architecture.md).
 */

import { type Evidence, suspicionWords } from "../core/messages/hand-note.ts";
import type { PackedBatch } from "../core/messages/packed-batch.ts";
import type { SkipAnswer } from "../core/messages/skip-outcome.ts";
import { withoutValues } from "../core/text/without-values.ts";
import { lifetime } from "../core/waiting/lifetime.ts";
import { CarefulHand } from "./failures/careful-hand.ts";
import { type CrashReport, keyText, type NextStep } from "./failures/crash-report.ts";
import { CrashReports } from "./failures/crash-reports.ts";
import { FailurePolicy, type Verdict } from "./failures/failure-policy.ts";
import { MAX_RUN } from "./failures/suspects.ts";
import { type HeldBatch, MessageQueue, type Run } from "./message-queue.ts";
import { OutcomeRouter } from "./outcomes/outcome-router.ts";
import { Repeats } from "./outcomes/repeats.ts";
import { SkipRequests } from "./skip-requests.ts";
import {
	type BatchOutcome,
	countHandled,
	deathOf,
	type ExitReason,
	type HandlerFailure,
	type RunReply,
	type ThreadDeath,
} from "./thread/handler-thread.ts";
import { ThreadSlot } from "./thread/thread-slot.ts";
import type { ParkReason, RestartReason, WorkerParts, WorkerState, WorkerTrouble } from "./worker-parts.ts";
import { troublesOf } from "./worker-trouble.ts";
import { WorkerWaits } from "./worker-waits.ts";

/** The worker of one assigned partition: owns its queue, its thread and its state. One per assignment. */
export class PartitionWorker {
	readonly #parts: WorkerParts;
	readonly #queue = new MessageQueue();
	readonly #router: OutcomeRouter;
	readonly #policy: FailurePolicy;
	readonly #slot: ThreadSlot;
	readonly #reports: CrashReports;
	readonly #waits: WorkerWaits;
	/** The same function for the worker's whole life: the sink calls it once, however often the worker asks for room. */
	readonly #hasRoom = () => this.#waits.wake();
	readonly #skips = new SkipRequests();
	readonly #repeats: Repeats | null;
	readonly #life: Promise<void>;
	/** Aborted as soon as no more messages may be handed over. */
	readonly #handing = lifetime();
	/** Null if no message is suspected. */
	#careful: CarefulHand | null;
	#isCarefulTold = false;
	#idleDeath: ThreadDeath | null = null;
	#held = false;
	/** The thread runs code that is no longer on disk. */
	#isCodeOld = false;
	/** The message whose last attempt was not counted for that reason. */
	#sparedOffset = -1;

	constructor(parts: WorkerParts) {
		this.#parts = parts;
		this.#waits = new WorkerWaits(parts);
		this.#careful = parts.hand ? new CarefulHand(parts.hand, parts) : null;
		this.#router = new OutcomeRouter({ ...parts, handlerVersion: () => this.handlerVersion }, this.#queue, () => this.#waits.wake());
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
				this.#idleDeath = death;
				this.#waits.wake();
			},
		});
		this.#life = this.#live();
	}

	get state(): WorkerState {
		return this.#waits.state;
	}

	get queue(): Pick<MessageQueue, "queued" | "handed" | "underway" | "bytes" | "unconfirmed" | "firstUnconfirmed"> {
		return this.#queue;
	}

	/** Node's id of the current thread (partitions that share a thread have the same one); null while there is none. */
	get threadId(): number | null {
		return this.#slot.occupied ? this.#slot.threadId : null;
	}

	/** Hash of the files that the thread has loaded; null before. */
	get handlerHash(): string | null {
		return this.#slot.version;
	}

	/** The handler's version: `handler.version`, or the hash of its files. Null before it was loaded. */
	get handlerVersion(): string | null {
		return this.#parts.settings.version || this.#slot.version;
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
		return this.#router.breakerReason !== null;
	}

	/** The last failures, newest first. */
	get reports(): readonly CrashReport[] {
		return this.#reports.latest;
	}

	/** True while every message is noted before it is handed over, because the process died before. */
	get isCareful(): boolean {
		return this.#careful !== null && !this.#careful.isOver;
	}

	/** The messages that the partition's next owner has to suspect; null if there are none. Valid only when nothing is in hand. */
	get evidence(): Evidence | null {
		return this.#careful?.evidence ?? null;
	}

	/** The consumer has read the partition to its end for now. `offset` is the next one that will be written. */
	readToEnd(offset: number): void {
		this.#careful?.readToEnd(offset);
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
		this.#isCodeOld = this.#slot.occupied;
		if (this.failuresInARow > 0 || this.#waits.state.name === "parked") this.#beginAnew("file_changed");
		else this.#parts.threads.expire();
	}

	/** A person pauses the partition: the running call finishes, then nothing is handed over until `resume`. */
	hold(): void {
		this.#held = true;
		this.#slot.cutShort();
	}

	/** A person resumes the partition, with the code that is on disk. A parked or backing-off worker tries again at once. */
	resume(): void {
		this.#held = false;
		this.#beginAnew(this.#isCodeOld ? "file_changed" : "resumed");
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
		this.#careful?.pardon(this.#parts.settings.maxAttempts);
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

	/** The worker's main loop: one run after the other until it is stopped. */
	async #live(): Promise<void> {
		while (!this.#waits.stopReason) {
			this.#skips.carryOut(this.#queue, this.#router, (offset) => this.#gaveUp(offset));
			if (this.#waits.anew.size > 0) {
				await this.#replaceThread();
				// Wake-ups during that await were missed: check everything again.
				continue;
			}
			if (this.#held) {
				await this.#waits.next();
				continue;
			}
			if (this.#router.breakerReason !== null) {
				await this.#parkAtBreaker(this.#router.breakerReason);
				continue;
			}
			if (this.#idleDeath) {
				const death = this.#idleDeath;
				await this.#died(death, () => this.#policy.threadDied(death, this.#queue.next(1)));
				continue;
			}
			if (this.#router.waitsForBroker) {
				this.#parts.records.whenRoom(this.#hasRoom);
				await this.#waits.next();
				continue;
			}
			const run = this.#queue.next(MAX_RUN);
			if (!run) {
				this.#idleDeath = this.#deathOfPlenty();
				if (this.#idleDeath) continue;
				this.#waits.state = { name: this.#slot.ready ? "running" : "waiting" };
				await this.#waits.next();
				continue;
			}
			if (await this.#gaveUpForDeaths(run)) continue;
			if (!(await this.#ensureStarted(run)) || this.#held) continue;
			await this.#handOver(this.#router.onTrial ? this.#router.onTrialNext(run) : this.#policy.cut(run));
		}
	}

	/** Gives the next message up if the process died too often with it in hand; true if so. */
	async #gaveUpForDeaths(run: Run): Promise<boolean> {
		const deaths = this.#careful?.deathsOf(run) ?? 0;
		const verdict = deaths > 0 ? this.#policy.processDied(run, deaths) : null;
		if (verdict) await this.#carryOut(verdict);
		return verdict !== null;
	}

	async #handOver(run: Run): Promise<void> {
		if (this.#careful?.isOver) this.#endCare(this.#careful);
		const careful = this.#careful;
		const isSuspect = careful?.isSuspect(run.held.batch.offsets[run.from] as number) === true;
		// A suspect runs alone: no other init may end the process meanwhile, and neither may its own.
		if (isSuspect && this.#slot.renews) return this.#takeNewState();
		const isWithInit = !isSuspect && (this.#slot.renews || this.#slot.mayRenew);
		const endTurn = isWithInit ? await this.#parts.turn.together(this.#handing.signal) : () => {};
		if (!endTurn) return;
		if (careful) await this.#handCarefully(careful, run, endTurn);
		else if (this.#mayHand(run)) await this.#hand(run, endTurn);
		endTurn();
	}

	async #handCarefully(careful: CarefulHand, run: Run, initsOver: () => void): Promise<void> {
		const { partition, hand, listener } = this.#parts;
		if (hand && !this.#isCarefulTold) listener.carefulBegan(partition, suspicionWords(hand.suspicion));
		this.#isCarefulTold = true;
		const next = careful.cut(run);
		// Requests that came while it waited go first: another message may be next now, or none.
		if ((await careful.ready(next, this.#handing.signal)) && this.#mayHand(next)) await this.#hand(next, initsOver);
		careful.letGo();
	}

	#mayHand({ held, from }: Run): boolean {
		if (this.#waits.stopReason || this.#held || this.#waits.anew.size > 0 || this.#idleDeath || !this.#slot.ready) return false;
		const next = this.#queue.next(1);
		return next?.held === held && next.from === from;
	}

	#endCare(careful: CarefulHand): void {
		careful.end(this.#handing.signal);
		this.#careful = null;
		if (this.#isCarefulTold) this.#parts.listener.carefulEnded(this.#parts.partition);
	}

	/** Ensures a live thread. False if it failed to start (the wait before the next try is then over). */
	async #ensureStarted(run: Run): Promise<boolean> {
		if (this.#slot.ready) return true;
		this.#waits.state = { name: "starting" };
		try {
			const failure = await this.#makeReady();
			if (failure === "not now") return false;
			if (failure) {
				await this.#slot.discard();
				await this.#carryOut(this.#policy.startFailed(run, failure));
				return false;
			}
		} catch (error) {
			const death = deathOf(error);
			// If the share only waited for its turn to start, it had no state to lose yet.
			if (death.reason === "shared") await this.#slot.discard();
			else if (!this.#waits.anew.has("admin")) await this.#died(death, () => this.#policy.threadDied(death, run));
			return false;
		}
		return this.#waits.stopReason === null;
	}

	/** `not now`: requests that came while it waited for its turn go first. */
	async #makeReady(): Promise<HandlerFailure | "not now" | null> {
		const endTurn = await this.#parts.turn.together(this.#handing.signal);
		try {
			if (!endTurn || this.#waits.stopReason || this.#held || this.#waits.anew.size > 0) return "not now";
			if (!this.#slot.occupied) this.#isCodeOld = false;
			return await this.#slot.makeReady();
		} finally {
			endTurn?.();
		}
	}

	/** Hands the run over and handles its answers. Calls `initsOver`, perhaps more than once, when the run makes no more handler states. */
	async #hand(run: Run, initsOver: () => void): Promise<void> {
		this.#waits.state = { name: this.#waits.stopReason ? "draining" : "running" };
		this.#queue.take(run);
		let reply: RunReply;
		try {
			reply = await this.#slot.run(run, this.#queue.unconfirmed > 0, (part) => {
				if (!this.#slot.mayRenew) initsOver();
				this.#handled(run, part);
				// If each message makes many records, the run ends early.
				if (this.#router.waitsForBroker) this.#slot.cutShort();
			});
		} catch (error) {
			initsOver();
			this.#careful?.letGo();
			const progress = this.#slot.progress();
			this.#queue.giveBack(run);
			if (this.#waits.anew.has("admin")) return;
			const death = deathOf(error);
			await this.#died(death, () => this.#policy.threadDiedRunning(death, run, progress));
			return;
		}
		initsOver();
		this.#handled(run, reply.outcome);
		this.#careful?.letGo();
		this.#queue.giveBack(run);
		if (reply.ok) {
			if (reply.heldMb !== undefined) this.#holdsTooMuch(reply.heldMb);
			return;
		}
		const failed = { ...run, from: reply.failed, to: reply.failed + (reply.together ?? 1) };
		if (reply.failure.kind === "init") {
			await this.#slot.discard();
			await this.#carryOut(this.#policy.startFailed(failed, reply.failure));
			return;
		}
		this.#slot.needsRenewal();
		this.#stateEnded();
		await this.#carryOut(this.#policy.attemptFailed(failed, reply.failure, reply.batched ? run.to - run.from : null));
	}

	/** Not a failure: the thread is replaced between two runs, before V8 ends the process because of it. */
	#holdsTooMuch(heldMb: number): void {
		this.#parts.listener.heldTooMuch(this.#parts.partition, heldMb);
		this.#waits.anew.add("out_of_memory");
		this.#parts.threads.expire();
	}

	/** Takes the outcome of a part of the run, or of the rest of it. */
	#handled(run: Run, outcome: BatchOutcome): void {
		if (countHandled(outcome) === 0) return;
		this.#router.route(run.held, outcome);
		this.#parts.listener.handled(this.#parts.partition, outcome);
		const last = run.held.batch.offsets[outcome.to - 1] as number;
		this.#careful?.handled(last);
		this.#policy.progressed(last);
		this.#reports.handled(last);
	}

	/**
	 * The handler waits for messages that have no room beside those it left unfinished, and nothing in hand will make room: it would wait for
	 * ever.
	 */
	#deathOfPlenty(): ThreadDeath | null {
		const { unconfirmed, underway } = this.#queue;
		if (unconfirmed === 0 || underway > 0 || !this.#parts.isFull()) return null;
		const limits = "workers.maxQueuedMessages, maxQueuedBytes";
		const message = `the handler left ${unconfirmed} messages unfinished by finishedTo, and they fill the queue (${limits})`;
		return { reason: "exception", message, stack: null };
	}

	/**
	 * The thread is dead: judges the messages it had and what still waits, unless the worker is stopping anyway. Does so at once: a thread
	 * that can't be ended is given up only after a while, and the next one waits for that.
	 */
	async #died(death: ThreadDeath, judge: () => Verdict): Promise<void> {
		this.#idleDeath = null;
		const gone = this.#slot.discard();
		if (!this.#waits.stopReason) {
			if (death.reason === "shared") this.#replaced("shared");
			else await this.#carryOut(judge());
		}
		await gone;
	}

	/** The thread was replaced, and no message of this partition is to blame. */
	#replaced(why: RestartReason): void {
		this.#policy.replaced();
		this.#parts.listener.restarted(this.#parts.partition, why);
		this.#stateEnded();
	}

	/** Reports what happened and carries out what the policy decided; resolves when the worker may go on. */
	async #carryOut(judged: Verdict): Promise<void> {
		const verdict = this.#isCodeOld ? this.#withNewCode(judged) : judged;
		const { next, run, reason } = verdict;
		if (verdict.restarted) {
			this.#parts.listener.restarted(this.#parts.partition, verdict.restarted);
			this.#stateEnded();
		}
		this.#report(verdict);
		// A person asked to skip this message before it failed.
		if (isEnd(next.action) && run && this.#skips.has(run.held.batch.offsets[run.from] as number)) return;
		switch (next.action) {
			case "retry":
				await this.#waits.backOff(next.delayMs);
				if (next.inNewThread) await this.#takeNewThread(run as Run);
				return;
			case "restart":
				return this.#waits.backOff(next.delayMs);
			case "park":
				return this.#waits.park(reason as ParkReason, verdict.kind === "process" ? null : next.delayMs);
			case "stop":
				return this.#waits.requestStop(reason as ParkReason);
			case "dead-letter":
			case "skip":
				return this.#giveUp(run as Run, verdict);
		}
	}

	/**
	 * The failure came from code that is no longer on disk: try again at once with what is there now. This also holds if the failure would
	 * end the message or the partition, but then only once per message: a handler that writes files beside itself would otherwise never give
	 * a message up.
	 */
	#withNewCode(verdict: Verdict): Verdict {
		const { run, attempt, next } = verdict;
		this.#beginAnew("file_changed");
		const offset = run ? (run.held.batch.offsets[run.from] as number) : -1;
		const isPoison = attempt > 0 && next.action !== "retry" && next.action !== "restart";
		if (isPoison && offset === this.#sparedOffset) return verdict;
		if (isPoison) this.#sparedOffset = offset;
		return { ...verdict, next: { action: "restart", delayMs: 0 } };
	}

	/** Gives up the poison message at `run.from`: it leaves the queue, and the next one is handled. */
	#giveUp({ held, from }: Run, { next, kind, error, attempt }: Verdict): void {
		this.#queue.take({ held, from, to: from + 1 });
		const poison = { kind, error, attempts: attempt };
		if (next.action === "skip") this.#router.skip(held, from, poison);
		else this.#router.poison(held, from, poison);
		this.#gaveUp(held.batch.offsets[from] as number);
	}

	#gaveUp(offset: number): void {
		this.#careful?.gaveUp(offset);
		this.#policy.gaveUp(offset);
		this.#reports.gaveUp(offset);
	}

	/** Parks until a changed file or a person ends it: a retry by timer would only make more dead letters. */
	async #parkAtBreaker(message: string): Promise<void> {
		if (this.#isCodeOld) {
			this.#beginAnew("file_changed");
			this.#router.tryAgain();
			return;
		}
		const reason: ParkReason = { code: "breaker", message };
		this.#parts.listener.parked(this.#parts.partition, reason);
		await this.#waits.untilAnew(reason);
		if (this.#waits.stopReason) return;
		// A skipped message does not decide the trial.
		if (this.#waits.anew.size > 1 || !this.#waits.anew.has("skip")) this.#router.tryAgain();
		this.#parts.listener.resumed(this.#parts.partition);
	}

	/** Gets a new thread, unless a person resumed it: then it keeps the thread it has. */
	async #replaceThread(): Promise<void> {
		const why = (["admin", "file_changed", "out_of_memory"] as const).find((each) => this.#waits.anew.has(each)) ?? null;
		this.#waits.anew.clear();
		if (!why || !this.#slot.occupied) return;
		await this.#slot.end("restart");
		this.#replaced(why);
	}

	async #takeNewState(): Promise<void> {
		await this.#slot.end("failed");
		this.#replaced("last_attempt");
	}

	/**
	 * Takes a new thread for the last attempt, so that what other messages left behind in the old one has no part in it. Not a failure, and
	 * no restart that the intensity counts.
	 */
	async #takeNewThread({ held, from }: Run): Promise<void> {
		// Stopped meanwhile, or replaced for another reason.
		if (this.#waits.stopReason || this.#waits.anew.size > 0 || !this.#slot.ready) return;
		if (this.#slot.isNewFor(held.batch.offsets[from] as number)) return;
		this.#parts.threads.expire();
		await this.#takeNewState();
	}

	/**
	 * The handler's state was renewed, or is gone with its thread: messages that only this state held are handled again, before everything
	 * else.
	 */
	#stateEnded(): void {
		const last = this.#queue.requeueUnconfirmed();
		if (last !== null) this.#policy.repeated(last);
	}

	#report(verdict: Verdict): void {
		const { run } = verdict;
		const key = run && keyText(this.#router.keyOf(run.held, run.from));
		const { restarts, failuresInARow } = this.#policy;
		this.#reports.tell(verdict, { threadId: this.#slot.threadId, restarts, failuresInARow, key });
	}
}

/** True if the step ends the message, or parks the partition or stops the daemon because of it. */
function isEnd(action: NextStep["action"]): boolean {
	return action !== "retry" && action !== "restart";
}
