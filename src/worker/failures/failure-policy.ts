/**
 * Decides what a failure of a partition's handler means: who is charged, and what to do next. There are two counts, as in the contract:
 * attempts of a message (it failed alone in a live thread, or was the only one running when its thread or the whole process died) and
 * restarts of the thread. This class decides and remembers; the partition worker carries it out.
 *
 * Beside a message's way (docs/architecture.md).
 */

import type { Clock } from "../../core/clock.ts";
import { exponentialBackOff } from "../../core/exponential-back-off.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { Random } from "../../core/random.ts";
import { firstOffset, type Run } from "../message-queue.ts";
import type { HandlerFailure, ThreadDeath, ThreadProgress } from "../thread/handler-thread.ts";
import type { Intensity, ParkReason, RestartReason, WorkerSettings } from "../worker-parts.ts";
import { type FailureKind, isEnd, type NextStep } from "./crash-report.ts";
import { LastAttempts } from "./last-attempts.ts";
import { RestartBackOff } from "./restart-back-off.ts";
import { Suspects } from "./suspects.ts";

/** An error as it is reported: the user's words, without values of messages. */
export interface ReportedError {
	readonly name: string;
	readonly message: string;
	readonly stack: string | null;
}

/** The decision about one failure. */
export interface Verdict {
	readonly kind: FailureKind;
	readonly error: ReportedError;
	/** The message that was running or comes next; null if there is none. */
	readonly run: Run | null;
	/** Failed attempts of that message, including this one; 0 if it was not charged. */
	readonly attempt: number;
	/** Set if the thread has to be replaced. */
	readonly restarted: RestartReason | null;
	readonly next: NextStep;
	/** Why the partition parks or the daemon stops; null if the next step is neither. */
	readonly reason: ParkReason | null;
}

type Failure = Pick<Verdict, "kind" | "error" | "run" | "restarted">;

/** Decides what a failure means: attempt or restart, and what to do next. One per partition worker. */
export class FailurePolicy {
	readonly #partition: TopicPartition;
	readonly #settings: WorkerSettings;
	readonly #intensity: Intensity;
	readonly #clock: Clock;
	readonly #backOff: RestartBackOff;
	readonly #suspects = new Suspects();
	readonly #lastAttempts = new LastAttempts();
	#restarts = 0;
	/** Messages up to this offset come again because the handler's state is gone. Handling them is no progress. */
	#repeatedTo = -1;
	/** The message whose last attempt was not counted, because the code had changed. */
	#sparedOffset = -1;

	constructor(parts: { partition: TopicPartition; settings: WorkerSettings; intensity: Intensity; clock: Clock; random: Random }) {
		this.#partition = parts.partition;
		this.#settings = parts.settings;
		this.#intensity = parts.intensity;
		this.#clock = parts.clock;
		const { minBackoffMs, maxBackoffMs } = parts.settings;
		this.#backOff = new RestartBackOff({ minMs: minBackoffMs, maxMs: maxBackoffMs }, parts.random);
	}

	/** How often the thread was replaced since the partition was assigned. */
	get restarts(): number {
		return this.#restarts;
	}

	/** Failed attempts of the current suspect; 0 if there is none. */
	get attempts(): number {
		return this.#suspects.attempts;
	}

	get failuresInARow(): number {
		return this.#intensity.failuresInARow;
	}

	/** `run`, cut to what may be handed over next. */
	cut(run: Run): Run {
		return this.#suspects.cut(run);
	}

	/** Messages up to `offset` were handled. */
	progressed(offset: number): void {
		this.#suspects.progressed(offset);
		if (offset > this.#repeatedTo) this.#wentOn();
	}

	/** The message at `offset` was given up. */
	gaveUp(offset: number): void {
		this.#suspects.progressed(offset);
		this.#wentOn();
	}

	/** Messages up to `offset` have to be handled again, through no fault of their own. */
	repeated(offset: number): void {
		this.#repeatedTo = Math.max(this.#repeatedTo, offset);
	}

	/** A changed file or a person asks to begin anew. That resets the restart intensity, but not the attempts of a message. */
	begunAnew(): void {
		this.#intensity.reset();
		this.#backOff.reset();
	}

	/** A thread was replaced without a failure. */
	replaced(): void {
		this.#restarts++;
	}

	/**
	 * The handler threw, rejected or broke the contract in a live thread.
	 *
	 * `batchSize` is a number if the thread itself found the one message of `run` by halving a larger run; it is that run's size. If the
	 * thread could not halve, all of `run` failed together: no message is charged, and the run is repeated by halves at once.
	 */
	attemptFailed(run: Run, error: HandlerFailure, batchSize: number | null): Verdict {
		const failure: Failure = { kind: error.kind, error, run, restarted: null };
		if (batchSize !== null) this.#suspects.shorten(batchSize);
		if (run.to - run.from > 1) {
			this.#suspects.repeatByHalves(run);
			return { ...failure, attempt: 0, next: { action: "retry", delayMs: 0 }, reason: null };
		}
		this.#intensity.failed();
		const { maxAttempts, retryBackoffMs, maxRetryBackoffMs } = this.#settings;
		const attempt = this.#suspects.charge(run);
		const offset = firstOffset(run);
		if (attempt >= maxAttempts) {
			this.#lastAttempts.failed(offset, failure, this.#clock.monotonic());
			return this.#poison(failure, run, attempt);
		}
		const delayMs = exponentialBackOff(attempt, { minMs: retryBackoffMs, maxMs: maxRetryBackoffMs });
		const isNextLast = attempt === maxAttempts - 1;
		const inNewThread = isNextLast && this.#lastAttempts.needsNewThread(offset, failure, this.#clock.monotonic());
		return { ...failure, attempt, next: { action: "retry", delayMs, ...(inNewThread ? { inNewThread } : {}) }, reason: null };
	}

	/**
	 * Earlier processes died while only the message at `run.from` was in hand; each death is one attempt. Returns null if the message may
	 * have another attempt; otherwise it is given up before the handler sees it again.
	 */
	processDied(run: Run, times: number): Verdict | null {
		this.#suspects.chargedBefore(firstOffset(run), times);
		if (times < this.#settings.maxAttempts) return null;
		const count = times === 1 ? "once" : `${times} times`;
		const message = `the process died ${count} while the handler had this message`;
		const offender = { ...run, to: run.from + 1 };
		return this.#poison(
			{ kind: "process", error: { name: "Error", message, stack: null }, run: offender, restarted: null },
			offender,
			times,
		);
	}

	/** The module does not load, or its init failed. The next message (`run`) is never to blame for that. */
	startFailed(run: Run, error: HandlerFailure): Verdict {
		const restarted = error.kind === "load" ? "load" : "init";
		return this.#restart({ kind: error.kind, error, run, restarted }, 0);
	}

	/** The thread died outside the handler: during its start, or between two runs. `waiting` is the next message, if any. */
	threadDied(death: ThreadDeath, waiting: Run | null): Verdict {
		// The thread had none of the waiting messages. Once the first of them is handled, it is known that the next thread works.
		const next = waiting && { ...waiting, to: waiting.from + 1 };
		return this.#restart({ kind: death.reason, error: errorOf(death), run: next, restarted: death.reason }, 0);
	}

	/** The thread died while it had `run`. `progress` is what it was doing. */
	threadDiedRunning(death: ThreadDeath, run: Run, progress: ThreadProgress): Verdict {
		const failure = { kind: death.reason, error: errorOf(death), restarted: death.reason };
		// It was making a new state: no message was in the handler.
		if (progress.phase === "init" || progress.phase === "terminate") return this.threadDied(death, run);
		const isSingle = run.to - run.from === 1;
		const isCalled = progress.phase === "handle" && (progress.running === 1 || isSingle);
		// A single message is also to blame after its call has ended, if the answer doesn't add up.
		if (isCalled || (isSingle && progress.message >= 0)) {
			const from = isSingle ? run.from : progress.message;
			const offender = { ...run, from, to: from + 1 };
			const attempt = this.#suspects.charge(offender);
			if (attempt < this.#settings.maxAttempts) return this.#restart({ ...failure, run: offender }, attempt);
			this.#countRestart();
			return this.#poison({ ...failure, run: offender }, offender, attempt);
		}
		// Several messages were running, or none: nobody is charged until they have run one by one.
		if (!isSingle) this.#suspects.repeatOneByOne(run);
		return this.#restart({ ...failure, run }, 0);
	}

	#wentOn(): void {
		this.#intensity.progressed();
		this.#backOff.progressed();
	}

	#poison(failure: Failure, run: Run, attempt: number): Verdict {
		const { onPoison, maxBackoffMs } = this.#settings;
		const offset = firstOffset(run);
		const what = `poison: offset ${offset} failed ${attempt} times`;
		const reason = { code: "poison", message: onPoison === "park" ? `${what}; ${this.#waysOut(offset)}` : what } as const;
		return { ...failure, attempt, next: { action: onPoison, delayMs: onPoison === "park" ? maxBackoffMs : 0 }, reason };
	}

	/**
	 * Changes a decision about code that is no longer on disk: another try at once, with the present code. A message that would be given up
	 * is spared only once. Otherwise a handler that writes files beside itself would never give one up.
	 */
	ofOldCode(verdict: Verdict): Verdict {
		const { run, attempt, next } = verdict;
		const offset = run ? firstOffset(run) : -1;
		const isPoison = attempt > 0 && isEnd(next);
		if (isPoison && offset === this.#sparedOffset) return verdict;
		if (isPoison) this.#sparedOffset = offset;
		return { ...verdict, next: { action: "restart", delayMs: 0 } };
	}

	/** Asks for a new thread after the back-off. If the restart intensity is exceeded: park, or stop the daemon. */
	#restart(failure: Failure, attempt: number): Verdict {
		const { maxBackoffMs, onExceeded } = this.#settings;
		const delayMs = this.#backOff.next(this.#clock.monotonic());
		if (this.#countRestart()) {
			const what = `restart intensity exceeded: ${failure.error.message}`;
			// A message that was not charged may have nothing to do with it.
			const offset = attempt > 0 && failure.run ? firstOffset(failure.run) : null;
			const message = onExceeded === "park" ? `${what}; ${this.#waysOut(offset)}` : what;
			const reason = { code: "restart_intensity", message } as const;
			return { ...failure, attempt, next: { action: onExceeded, delayMs: maxBackoffMs }, reason };
		}
		return { ...failure, attempt, next: { action: "restart", delayMs }, reason: null };
	}

	/** What lets a parked partition go on. `offset`: the message that it stands at; null if no message is to blame. */
	#waysOut(offset: number | null): string {
		const { topic, partition } = this.#partition;
		const ways = `correct the handler and save its file, or \`pockaffe resume ${topic} ${partition}\``;
		return offset === null ? ways : `${ways}; a message that nobody needs: \`pockaffe skip ${topic} ${partition} ${offset}\``;
	}

	/** True if the intensity is exceeded. */
	#countRestart(): boolean {
		this.#restarts++;
		return this.#intensity.restarted(this.#clock.monotonic());
	}
}

function errorOf({ message, stack }: ThreadDeath): ReportedError {
	return { name: "ThreadDied", message, stack };
}
