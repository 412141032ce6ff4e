/**
 * Kills a thread whose call into the user's code lasts too long, or that does not answer. Its progress is read from shared memory, so a
 * busy loop is seen as well. Every call of a packed batch has the whole time for itself, and so has each of those that overlap. Where no
 * call begins or ends for that time, the thread stands: a timer, or work that nobody awaits, keeps it between two calls.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import type { HandlerThread, ThreadProgress } from "./handler-thread.ts";

/** Looks per timeout: a call is ended between 1 and 1.2 times its time. */
const LOOKS = 5;
/** A thread that only begins may take this long on a busy machine, whatever a call may take. */
const LONGEST_BEGIN_MS = 30_000;

/**
 * Awaits `call` while no single call into the user's code, and nothing else, takes longer than `timeoutMs`; otherwise the thread is killed
 * (`timeout`).
 */
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

/** What one look after the other saw. */
class ThreadWatch {
	readonly #timeoutMs: number;
	/** Calls that run, by their number, and when each was seen first. */
	#since = new Map<number, number>();
	#calls = -1;
	/**
	 * Looks at which no call ran, and none had begun or ended: counted, for where the main thread stood itself the answer may only wait
	 * to be read.
	 */
	#still = 0;

	constructor(timeoutMs: number) {
		this.#timeoutMs = timeoutMs;
	}

	/** It isn't its turn. */
	waits(): null {
		this.#since.clear();
		this.#still = 0;
		return null;
	}

	/** Why the thread has to end; null where it may go on. */
	look(progress: ThreadProgress, nowMs: number): string | null {
		const limit = `handler.timeoutMs (${this.#timeoutMs} ms)`;
		this.#since = new Map(callsOf(progress).map((each) => [each, this.#since.get(each) ?? nowMs]));
		if (nowMs - Math.min(...this.#since.values()) >= this.#timeoutMs)
			return `the handler's ${phaseName(progress.phase)} took longer than ${limit}`;
		this.#still = progress.calls === this.#calls && this.#since.size === 0 ? this.#still + 1 : 0;
		this.#calls = progress.calls;
		const mostMs = progress.calls === 0 ? Math.max(this.#timeoutMs, LONGEST_BEGIN_MS) : this.#timeoutMs;
		if (this.#still * this.#timeoutMs < LOOKS * mostMs) return null;
		return `the handler's thread did not answer for longer than ${limit}, with no call under way: a timer keeps it, or work that is not awaited`;
	}
}

/** Between two calls of a run none runs. */
function callsOf({ phase, calls, running, overlapping }: ThreadProgress): readonly number[] {
	if (overlapping) return overlapping;
	return phase === "idle" || (phase === "handle" && running === 0) ? [] : [calls];
}

function phaseName(phase: string): string {
	return phase === "handle" ? "call" : phase;
}
