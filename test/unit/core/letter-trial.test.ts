import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { LetterTrial } from "../../../src/core/dead-letters/letter-trial.ts";
import { omittedText } from "../../../src/core/dead-letters/omitted-parts.ts";
import { deadLetter } from "../../support/fakes/dead-letters.ts";

const large = Buffer.alloc(2 ** 21, "v");
const key = Buffer.alloc(1_000, "k");
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

it("what the target says is too large goes without its largest part, then without the next", () => {
	const trial = new LetterTrial(deadLetter({ key, value: large, headers: [["h", Buffer.alloc(500)]] }));
	expect(trial.next).toBe(trial.letter);
	expect(trial.tooLarge(true)).toBe(true);
	const value = { bytes: large.length, sha256: sha256(large) };
	expect(trial.next).toMatchObject({ key, value: null, headers: [["h", Buffer.alloc(500)]], omitted: { value } });
	expect(trial.tooLarge(true)).toBe(true);
	expect(trial.next).toMatchObject({ key: null, omitted: { value, key: { bytes: 1_000, sha256: sha256(key) } } });
	expect(trial.tooLarge(true)).toBe(true);
	expect(trial.next).toMatchObject({ headers: [], omitted: { headers: { bytes: 501 } } });
	expect([trial.tooLarge(true), trial.isCut, trial.next]).toEqual([false, false, trial.letter]);
});

it("a time that is up and the like count where the message is large, and three in a row", () => {
	const trial = new LetterTrial(deadLetter({ value: large }));
	trial.tooLarge(false);
	trial.tooLarge(false);
	trial.failed();
	trial.tooLarge(false);
	trial.tooLarge(false);
	expect(trial.isCut).toBe(false);
	trial.tooLarge(false);
	expect(trial.next.value).toBeNull();
	const small = new LetterTrial(deadLetter());
	for (let refusals = 0; refusals < 10; refusals++) small.tooLarge(false);
	expect(small.isCut).toBe(false);
});

it("is large from a byte above one MiB on; an unclear refusal of a smaller one is none of its size", () => {
	const ofBytes = (bytes: number) => new LetterTrial(deadLetter({ key: null, value: Buffer.alloc(bytes), headers: [] }));
	expect([ofBytes(2 ** 20).isLarge, ofBytes(2 ** 20 + 1).isLarge]).toEqual([false, true]);
	// More may be left out: it has not come to that.
	expect([ofBytes(2 ** 20).tooLarge(false), ofBytes(2 ** 20 + 1).tooLarge(false)]).toEqual([true, true]);
});

it("is tried whole again where it fails without its value as well", () => {
	const trial = new LetterTrial(deadLetter({ value: large }));
	for (let refusals = 0; refusals < 3; refusals++) trial.tooLarge(false);
	expect(trial.isCut).toBe(true);
	trial.tooLarge(false);
	expect(trial.next).toBe(trial.letter);
});

it("a message is known again by what was left out of its letter", () => {
	const letter = deadLetter({
		value: large,
		headers: [
			["h", null],
			["i", Buffer.from("ä")],
		],
	});
	const trial = new LetterTrial(letter);
	trial.tooLarge(true);
	const { omitted } = trial.next;
	expect(omittedText(omitted)).toBe(`value (2097152 bytes, SHA-256 ${sha256(large)})`);
});
