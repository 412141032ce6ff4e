/**
 * What may become of a letter, drawn as a line: it is opened by a message that fails, and ends by a replay that goes through or by a
 * person. Nothing else changes a state. Pure; the table's statements say the same in SQL, and a test holds one against the other.
 *
 *   (fails) -> open       -- replay --> replayed
 *   (policy) -> skipped   -- replay --> replayed        open, skipped -- discard --> discarded -- replay --> replayed
 *   replayed, discarded -- the message is delivered anew, and fails --> open
 *   open, skipped, discarded -- a replay that fails --> as it was, and the record says what the replay met
 *   replayed, discarded -- purge --> gone               open, skipped -- purge, where the state is named --> gone
 */

/**
 * open: somebody has to look after it · skipped: `handler.onPoison: skip` or a person passed its message over · discarded: a person did.
 */
export type LetterState = "open" | "skipped" | "replayed" | "discarded";

/** All of them. */
export const letterStates: readonly LetterState[] = ["open", "skipped", "replayed", "discarded"];

/** What people do with letters. */
export type LetterVerb = "replay" | "discard" | "purge";

/** The states that a verb leads away from; `usual` are those that it takes where none is named. */
export const letterVerbs: Readonly<Record<LetterVerb, { readonly from: readonly LetterState[]; readonly usual: readonly LetterState[] }>> =
	{
		// A row of one that went through is there already: another replay would find it stale.
		replay: { from: ["open", "skipped", "discarded"], usual: ["open"] },
		discard: { from: ["open", "skipped"], usual: ["open"] },
		// Nobody has looked after the others yet: they are deleted only by name.
		purge: { from: letterStates, usual: ["replayed", "discarded"] },
	};

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
