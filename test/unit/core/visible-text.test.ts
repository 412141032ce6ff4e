import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { print } from "../../../src/commands/command-context.ts";
import { inFull } from "../../../src/commands/dead-letters/letter-list.ts";
import { textTable } from "../../../src/commands/terminal/text-table.ts";
import { visibleLine, visibleText } from "../../../src/core/text/visible-text.ts";
import { createLogger } from "../../../src/observe/logs/log.ts";
import { storedLetter } from "../../support/fakes/dead-letters.ts";

/** Clear screen, window title, bell, carriage return, C1's CSI, right-to-left, line separator, delete. */
const hostile = "a\u001b[2J\u001b]0;owned\u0007\rb\u009b31mc\u202ed\u2028e\u007f\u2067";
const shown = String.raw`a\u001b[2J\u001b]0;owned\u0007\u000db\u009b31mc\u202ed\u2028e\u007f\u2067`;

function sink() {
	const lines: string[] = [];
	const stream = new Writable({
		write(chunk, _, done) {
			lines.push(String(chunk));
			done();
		},
	});
	return { lines, stream };
}

describe("text from outside on a terminal", () => {
	it("shows what would steer it as escapes, and is JSON that says the same where it was JSON", () => {
		expect(visibleText(hostile)).toBe(shown);
		expect(visibleText("ä €\t\n漢字🙂")).toBe("ä €\t\n漢字🙂");
		expect(JSON.parse(visibleText(JSON.stringify({ hostile })))).toEqual({ hostile });
		expect(visibleLine("a\nb\tc")).toBe(String.raw`a\nb\tc`);
	});

	it("is printed so by every command", () => {
		const { lines, stream } = sink();
		print(stream, hostile);
		expect(lines.join("")).toBe(`${shown}\n`);
	});

	it("can't pass for another field of a letter that is shown", () => {
		const shown = inFull(storedLetter({ error: "x\nstate          replayed", stack: "Error: x\n    at y" }));
		expect(shown.split("\n").filter((line) => line.startsWith("state"))).toEqual([expect.stringMatching(/^state +open$/)]);
	});

	it("is one row of a table, whatever it holds", () => {
		expect(textTable(["A", "B"], [[`x\n9  forged`, hostile]]).split("\n")).toHaveLength(2);
	});

	it("can't begin a line of the text log, nor steer it", () => {
		const lines: string[] = [];
		const stream = { isTTY: false, write: (text: string) => lines.push(text) > 0, on: () => {} };
		const log = createLogger({ level: "info", format: "text" }, stream);
		log.info({ key: hostile, error: { message: "x\n[12:00:00.000] ERROR: forged" } }, `first\n[12:00:00.000] ERROR: forged ${hostile}`);
		const text = lines.join("");
		expect(text).toBe(visibleText(text));
		expect(text.split("\n").filter((line) => line.startsWith("["))).toHaveLength(1);
	});

	it("stays as it is in the JSON log", () => {
		const lines: string[] = [];
		const stream = { isTTY: false, write: (text: string) => lines.push(text) > 0, on: () => {} };
		createLogger({ level: "info", format: "json" }, stream).info({}, hostile);
		expect(JSON.parse(lines.join(""))).toMatchObject({ msg: hostile });
	});
});
