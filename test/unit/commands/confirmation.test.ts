/** What is asked before something is destroyed, where nobody can be asked. */
import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { isConfirmed } from "../../../src/commands/terminal/confirmation.ts";

it.each([
	["a sentence", "This will discard 1 letter.", ""],
	["a table and a sentence: the table stands by itself", "TOPIC  TO\norders 7\nThis will set 1 offset.", "TOPIC  TO\norders 7\n"],
])("says what to type, and shows what it is about: %s", async (_, what, above) => {
	const stderr = new PassThrough();
	const asked = isConfirmed(what, false, { stdin: new PassThrough(), stderr } as never);
	const sentence = what.split("\n").at(-1);
	await expect(asked).rejects.toThrow(`${sentence} Say --yes to do it, or --dry-run to look only`);
	await expect(asked).rejects.toMatchObject({ message: expect.stringMatching(/^This will/), exitCode: 2 });
	expect(String(stderr.read() ?? "")).toBe(above);
});
