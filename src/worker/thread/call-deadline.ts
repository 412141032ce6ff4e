/**
 * Kills a thread whose call into the user's code takes too long, or that does not answer. The thread's progress is read from shared memory,
 * so a busy loop is seen as well. Every call has the full time for itself, also each of several overlapping calls. If no call begins or
 * ends for that time, the thread is stuck between two calls: a timer keeps it busy, or work that nobody awaits.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import type { HandlerThread, ThreadProgress } from "./handler-thread.ts";

/** Checks per timeout: a call is ended after 1 to 1.2 times its limit. */
const LOOKS = 5;
/** A thread may take this long to begin on a busy machine, whatever the limit of a call is. */
export const LONGEST_BEGIN_MS = 30_000;

/** Awaits `call`. Kills the thread (`timeout`) if one call into the user's code, or the time between two calls, exceeds `timeoutMs`. */
export async function withCallDeadline<T>(call: Promise<T>, thread: HandlerThread, timeoutMs: number, clock: Clock): Promise<T> {
	const watch = new ThreadWatch(timeoutMs);
	let timer: Timer;
	const look = () => {
		const message = thread.waits ? watch.waits() : watch.look(thread.progress(), clock.monotonic());
		if (message === null) timer = clock.after(timeoutMs / LOOKS, look);
		else void thread.kill({ reason: "timeout", message, stack: null });
	};
	timer = clock.after(timeoutMs / LOOKS, look);
	try {
		return await call;
	} finally {
		timer.cancel();
	}
}

/** Compares each check with the ones before. */
class ThreadWatch {
	readonly #timeoutMs: number;
	/** When each running call was first seen, by the call's number. */
	#since = new Map<number, number>();
	#calls = -1;
	/**
	 * Consecutive checks at which no call ran, and none had begun or ended. Checks are counted instead of time: if the main thread itself was
	 * blocked, the answer may only wait to be read.
	 */
	#still = 0;

	constructor(timeoutMs: number) {
		this.#timeoutMs = timeoutMs;
	}

	/** The thread is another share's at the moment: nothing is counted. */
	waits(): null {
		this.#since.clear();
		this.#still = 0;
		return null;
	}

	/** Why the thread has to end; null if it may go on. */
	look(progress: ThreadProgress, nowMs: number): string | null {
		const limit = `handler.timeoutMs (${this.#timeoutMs} ms)`;
		this.#since = new Map(callsOf(progress).map((each) => [each, this.#since.get(each) ?? nowMs]));
		if (nowMs - Math.min(...this.#since.values()) >= this.#timeoutMs)
			return `the handler's ${phaseName(progress.phase)} took longer than ${limit}`;
		this.#still = progress.calls === this.#calls && this.#since.size === 0 ? this.#still + 1 : 0;
		this.#calls = progress.calls;
		const mostMs = progress.calls === 0 ? Math.max(this.#timeoutMs, LONGEST_BEGIN_MS) : this.#timeoutMs;
		if (this.#still * this.#timeoutMs < LOOKS * mostMs) return null;
		return `the handler's thread did not answer for longer than ${limit}, with no call under way: a timer keeps it busy, or work that is not awaited`;
	}
}

/** The running calls, by number; none between two calls of a run. */
function callsOf({ phase, calls, running, overlapping }: ThreadProgress): readonly number[] {
	if (overlapping) return overlapping;
	return phase === "idle" || (phase === "handle" && running === 0) ? [] : [calls];
}

function phaseName(phase: string): string {
	return phase === "handle" ? "call" : phase;
}
