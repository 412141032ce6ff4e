/**
 * Kills a thread whose call into the user's code lasts too long. The thread's progress is read from shared memory, so a busy loop is
 * seen as well. Every call of a packed batch has the whole time for itself, and so has each of those that overlap.
 */
import type { Clock, Timer } from "../core/clock.ts";
import type { HandlerThread, ThreadProgress } from "./handler-thread.ts";

/** Looks per timeout: a call is ended between 1 and 1.2 times its time. */
const LOOKS = 5;

/** Awaits `call` while no single call into the user's code takes longer than `timeoutMs`; otherwise the thread is killed (`timeout`). */
export async function withCallDeadline<T>(call: Promise<T>, thread: HandlerThread, timeoutMs: number, clock: Clock): Promise<T> {
	/** Calls that run, by their number, and when each was seen first. */
	let since = new Map<number, number>();
	let timer: Timer;
	const look = () => {
		const progress = thread.progress();
		const now = clock.monotonic();
		since = new Map(callsOf(progress).map((each) => [each, since.get(each) ?? now]));
		if (now - Math.min(...since.values()) >= timeoutMs) {
			const message = `the handler's ${phaseName(progress.phase)} took longer than handler.timeoutMs (${timeoutMs} ms)`;
			void thread.kill({ reason: "timeout", message, stack: null });
			return;
		}
		timer = clock.after(timeoutMs / LOOKS, look);
	};
	timer = clock.after(timeoutMs / LOOKS, look);
	try {
		return await call;
	} finally {
		timer.cancel();
	}
}

function callsOf({ phase, calls, overlapping }: ThreadProgress): readonly number[] {
	return overlapping ?? (phase === "idle" ? [] : [calls]);
}

function phaseName(phase: string): string {
	return phase === "handle" ? "call" : phase;
}
