/**
 * The states of a letter, and what changes them: a message that fails opens it; a replay that goes through, or a person, ends it. Nothing
 * else changes a state. Pure; the table's statements say the same in SQL, and a test compares the two.
 *
 *    (fails) -> open       -- replay --> replayed
 *    (policy) -> skipped   -- replay --> replayed        open, skipped -- discard --> discarded -- replay --> replayed
 *    replayed, discarded -- the message is delivered again, and fails --> open
 *    open, skipped, discarded -- a replay that fails --> as it was, and the record says what the replay met
 *    replayed, discarded -- purge --> gone               open, skipped -- purge, if the state is named --> gone
 */

/** open: somebody has to replay or discard it · skipped: by `handler.onPoison: skip` or by a person · discarded: by a person. */
export type LetterState = "open" | "skipped" | "replayed" | "discarded";

/** All states. */
export const letterStates: readonly LetterState[] = ["open", "skipped", "replayed", "discarded"];

/** What people can do with letters. */
export type LetterVerb = "replay" | "discard" | "purge";

/** The states that a verb applies to; `usual`: those that it takes if no state is named. */
export const letterVerbs: Readonly<Record<LetterVerb, { readonly from: readonly LetterState[]; readonly usual: readonly LetterState[] }>> =
	{
		// A message that went through has its row already: another replay would find it stale.
		replay: { from: ["open", "skipped", "discarded"], usual: ["open"] },
		discard: { from: ["open", "skipped"], usual: ["open"] },
		// Nobody has replayed or discarded the others yet: they are deleted only if named.
		purge: { from: letterStates, usual: ["replayed", "discarded"] },
	};

/**
 * The letter's state after one more failure of its message. `current`: its state before. `isOlder`: this attempt's message was received
 * before the letter reached that state, so somebody has replayed or discarded it since. A member that has lost its partition may store such
 * a late letter.
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
