/** Waiting for something observable, with a deadline and an error that says what did not come. */

/** For what never comes; a busy machine takes 20 times as long as a free one. */
const LONGEST_MS = 120_000;
/** What threads answer comes so soon; servers are asked less often. */
const SOON_MS = 250;

/**
 * Polls until `check` gives a value that isn't undefined, null or false; a check that throws is asked again. `what` as a function is
 * asked when the time is up: a log that it quotes is as long as the waiting.
 */
export async function waitFor<T>(
	what: string | (() => string),
	check: () => Promise<T> | T,
	timeoutMs = LONGEST_MS,
): Promise<NonNullable<T>> {
	const startedAt = performance.now();
	const deadline = startedAt + timeoutMs;
	let last: unknown;
	for (;;) {
		try {
			const value = await check();
			if (value !== undefined && value !== null && value !== false) return value as NonNullable<T>;
			last = value;
		} catch (error) {
			last = error;
		}
		if (performance.now() > deadline)
			throw new Error(
				`waited ${timeoutMs} ms for ${typeof what === "string" ? what : what()}; last: ${last instanceof Error ? last.stack : JSON.stringify(last)}`,
			);
		await new Promise((resolve) => setTimeout(resolve, performance.now() - startedAt < SOON_MS ? 5 : 25));
	}
}
