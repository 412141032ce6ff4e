/** What becomes of a letter by one more failure, and what people may do with it: every case of the picture in letter-state.ts. */
import { describe, expect, it } from "vitest";
import { letterStates, letterVerbs, stateAfterFailure } from "../../../src/core/dead-letters/letter-state.ts";

describe("one more failure of the message", () => {
	it.each([
		["open", "open", false, "open"],
		["open", "open", true, "open"],
		["open", "skipped", false, "open"],
		["open", "skipped", true, "open"],
		["skipped", "open", false, "open"],
		["skipped", "open", true, "open"],
		["skipped", "skipped", false, "skipped"],
		["skipped", "skipped", true, "skipped"],
		["replayed", "open", false, "open"],
		["replayed", "open", true, "replayed"],
		["replayed", "skipped", false, "skipped"],
		["replayed", "skipped", true, "replayed"],
		["discarded", "open", false, "open"],
		["discarded", "open", true, "discarded"],
		["discarded", "skipped", false, "discarded"],
		["discarded", "skipped", true, "discarded"],
	] as const)("of a letter that is %s, to be %s (looked after since: %s), leaves it %s", (current, failed, isOlder, state) => {
		expect(stateAfterFailure(current, failed, isOlder)).toBe(state);
	});
});

it("only what is looked after already is usually purged, and only what nobody looked after usually replayed or discarded", () => {
	expect(letterVerbs).toEqual({
		replay: { from: ["open", "skipped", "discarded"], usual: ["open"] },
		discard: { from: ["open", "skipped"], usual: ["open"] },
		purge: { from: [...letterStates], usual: ["replayed", "discarded"] },
	});
});
