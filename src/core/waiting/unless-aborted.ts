/** Limits waits for promises that take no signal of their own. */
import type { Clock } from "../clock.ts";

/** Settles like the promise, or rejects with the signal's reason as soon as it is aborted; the promise's later result is ignored. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
	return new Promise((resolve, reject) => {
		const aborted = () => reject(signal.reason);
		if (signal.aborted) aborted();
		else signal.addEventListener("abort", aborted, { once: true });
		promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", aborted));
	});
}

/** The same, but not before `graceMs` have passed since the signal was aborted, or since the call if it was aborted before. */
export async function unlessAbortedFor<T>(graceMs: number, promise: Promise<T>, signal: AbortSignal, clock: Clock): Promise<T> {
	let timer = null as { cancel(): void } | null;
	const grace = new AbortController();
	const begin = () => {
		timer = clock.after(graceMs, () => grace.abort(signal.reason));
	};
	if (signal.aborted) begin();
	else signal.addEventListener("abort", begin, { once: true });
	try {
		return await unlessAborted(promise, grace.signal);
	} finally {
		signal.removeEventListener("abort", begin);
		timer?.cancel();
	}
}
