import { expect, it } from "vitest";
import { observeDeadLetters } from "../../../src/observe/listeners/dead-letter-observer.ts";
import { deadLetter } from "../../support/fakes/dead-letters.ts";

it("a letter that was stored without its value is told with size and hash, and without the key", () => {
	const told: [object, string][] = [];
	const warn = (fields: object, message: string) => void told.push([fields, message]);
	const observer = observeDeadLetters({ logger: { warn, debug: warn, info: warn, error: warn } });
	const omitted = { value: { bytes: 20_971_520, sha256: "ab12" } };
	observer["letter:cut"]({ letter: deadLetter({ key: Buffer.from("secret"), value: null, omitted }), why: "SQLSTATE 57014" });
	expect(told).toEqual([
		[
			{ topic: "orders", partition: 2, offset: 7, omitted, why: "SQLSTATE 57014" },
			expect.stringMatching(/^the dead letter of orders\/2 offset 7 is stored without its value \(20971520 bytes, SHA-256 ab12\): .*57014/),
		],
	]);
	expect(JSON.stringify(told)).not.toContain("secret");
});
