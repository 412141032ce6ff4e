/** Waiting no longer than one is meant to, for what takes no signal of its own. */

/** What the promise comes to, or the signal's reason as soon as it is aborted; then nobody hears what it came to. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
	return new Promise((resolve, reject) => {
		const aborted = () => reject(signal.reason);
		if (signal.aborted) aborted();
		else signal.addEventListener("abort", aborted, { once: true });
		promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", aborted));
	});
}
