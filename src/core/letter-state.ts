/**
 * What may become of a letter, drawn as a line: it is opened by a message that fails, and ends by a replay that goes through or by a person.
 * Pure; the table's statement says the same in SQL, and a test holds one against the other.
 *
 *   (fails) -> open       -- replay --> replayed
 *   (policy) -> skipped   -- replay --> replayed        open, skipped -- discard --> discarded -- replay --> replayed
 *   replayed, discarded -- the message is delivered anew, and fails --> open
 */

/** open: somebody has to look after it · skipped: `handler.onPoison: skip` passed its message over · discarded: a person did. */
export type LetterState = "open" | "skipped" | "replayed" | "discarded";

/** All of them. */
export const letterStates: readonly LetterState[] = ["open", "skipped", "replayed", "discarded"];

/**
 * The state behind one more failure of the message, of a letter that stands at `current`. `isOlder`: this attempt's message was received
 * before the letter came to where it stands, so somebody has looked after it since; a late letter of a member that was given up is one.
 */
export function stateAfterFailure(current: LetterState, failed: "open" | "skipped", isOlder: boolean): LetterState {
	switch (current) {
		case "open":
			return "open";
		case "skipped":
			return failed;
		case "replayed":
			return isOlder ? "replayed" : failed;
		case "discarded":
			return isOlder || failed === "skipped" ? "discarded" : failed;
	}
}
