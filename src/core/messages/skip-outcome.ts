/** What becomes of a message that a person wants passed over. */

/** Of a reason, in characters: it goes into the letter. */
export const LONGEST_WHY = 1_000;

/**
 * `skipped`: its letter is durable · `finished`: it was handled before, or is no message · `open`: it was handled, and what came of it is
 * under way · `released`: the partition is somebody else's by now.
 */
export type SkipAnswer = "skipped" | "finished" | "open" | "released";

/** `ahead`: it was not received yet · `asked`: it is in the handler's hand, or its letter is being stored. */
export interface SkipOutcome {
	readonly outcome: SkipAnswer | "ahead" | "asked";
	/** The offset that is received next. */
	readonly position: number;
}
