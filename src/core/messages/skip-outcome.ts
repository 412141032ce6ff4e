/** What happens to a message that a person wants skipped. */

/** Maximum characters of a reason: it goes into the letter. */
export const LONGEST_WHY = 1_000;

/**
 * `skipped`: its letter is durable · `finished`: it was handled before, or is no message · `open`: it was handled, and its rows or letter
 * are under way · `released`: the partition belongs to somebody else by now.
 */
export type SkipAnswer = "skipped" | "finished" | "open" | "released";

/** `ahead`: it was not received yet · `asked`: the handler has it, or its letter is being stored. */
export interface SkipOutcome {
	readonly outcome: SkipAnswer | "ahead" | "asked";
	/** The next offset to be received. */
	readonly position: number;
	/** With `ahead`: nothing is received, because a person paused the partition. */
	readonly isPaused?: true;
}
