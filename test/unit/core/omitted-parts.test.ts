/** A letter that its target has no room for goes without its largest part, and says which bytes that were. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { omittedText, withoutLargestPart } from "../../../src/core/dead-letters/omitted-parts.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
interface Letter {
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: [string, Buffer | null][];
	readonly omitted: Parameters<typeof omittedText>[0];
}
const letter: Letter = {
	key: Buffer.from("k".repeat(20)),
	value: Buffer.from("v".repeat(30)),
	headers: [["h", Buffer.from("x")]],
	omitted: {},
};

describe("the largest part", () => {
	it("goes first, then the next, until none is larger than what may stay", () => {
		const first = withoutLargestPart(letter, 10);
		expect(first).toMatchObject({ key: letter.key, value: null, omitted: { value: { bytes: 30, sha256: sha256("v".repeat(30)) } } });
		const second = withoutLargestPart(first as Letter, 10);
		expect(second).toMatchObject({ key: null, value: null, headers: letter.headers });
		expect(second?.omitted).toEqual({ ...first?.omitted, key: { bytes: 20, sha256: sha256("k".repeat(20)) } });
		expect(withoutLargestPart(second as Letter, 10)).toBeNull();
		expect(withoutLargestPart(letter, 30)).toBeNull();
		expect(withoutLargestPart(letter, 29)).not.toBeNull();
	});

	it("may be the headers, whose hash is of their JSON", () => {
		const headers: [string, Buffer | null][] = [
			["h", Buffer.from("x".repeat(99))],
			["none", null],
		];
		const without = withoutLargestPart({ ...letter, headers }, 10);
		expect(without).toMatchObject({ key: letter.key, value: letter.value, headers: [] });
		const json = JSON.stringify([
			["h", Buffer.from("x".repeat(99)).toString("base64")],
			["none", null],
		]);
		expect(without?.omitted.headers).toEqual({ bytes: 1 + 99 + 4, sha256: sha256(json) });
	});

	it("is told with its bytes and its hash", () => {
		expect(omittedText({ value: { bytes: 20, sha256: "ab" }, headers: { bytes: 3, sha256: "cd" } })).toBe(
			"value (20 bytes, SHA-256 ab), headers (3 bytes, SHA-256 cd)",
		);
	});
});
