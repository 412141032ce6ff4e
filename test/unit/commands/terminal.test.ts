/** How commands read what was typed, and write for people. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, Readable, Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { isConfirmed } from "../../../src/commands/terminal/confirmation.ts";
import { linesIn } from "../../../src/commands/terminal/lines-file.ts";
import { each, offsetNumber, parseWholeNumber, partitionNumber, whereTo } from "../../../src/commands/terminal/option-values.ts";
import { printPaced } from "../../../src/commands/terminal/paced-output.ts";
import { ProgressLine } from "../../../src/commands/terminal/progress-line.ts";
import { shownBytes } from "../../../src/commands/terminal/shown-bytes.ts";
import { textTable } from "../../../src/commands/terminal/text-table.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

describe("the value of an option", () => {
	it("may be zero where it counts from zero", () => {
		expect([partitionNumber("0"), offsetNumber("0"), parseWholeNumber("1"), offsetNumber("9007199254740991")]).toEqual([
			0,
			0,
			1,
			2 ** 53 - 1,
		]);
		expect(() => parseWholeNumber("0")).toThrow("above 0");
	});

	it("that is given several times is kept in this order", () => {
		expect([each("a", undefined), each("b", ["a"])]).toEqual([["a"], ["a", "b"]]);
	});

	it.each([
		["earliest", { kind: "earliest" }],
		["latest", { kind: "latest" }],
		["0", { kind: "offset", offset: 0 }],
		["2024", { kind: "offset", offset: 2024 }],
		["2024-05-01T12:00:00Z", { kind: "time", timestampMs: 1_714_564_800_000 }],
	])("is a place in a log: %s", (text, place) => {
		expect(whereTo(text)).toEqual(place);
	});

	it.each(["", "now", "May 1, 2024", "-1", "1.5", "9007199254740993", "2024-99-01"])("is no place in a log: %j", (text) => {
		expect(() => whereTo(text)).toThrow("Wanted: earliest, latest, a time");
	});
});

describe("a person who is asked", () => {
	const answered = async (text: string, yes = false) => {
		const stderr = new PassThrough();
		const stdin = Object.assign(Readable.from([Buffer.from(text)]), { isTTY: true });
		const isDone = await isConfirmed("This will end.", yes, { stdin, stderr });
		return [isDone, String(stderr.read() ?? "")];
	};

	it.each(["yes\n", "y\n", " YES \r\n", "Y"])("agrees by %j", async (text) => {
		expect(await answered(text)).toEqual([true, "This will end. Type yes to do it: "]);
	});

	it.each(["", "\n", "no\nyes\n", "yess\n", "oy\n", "ye\n"])("declines by %j", async (text) => {
		expect(await answered(text)).toEqual([false, "This will end. Type yes to do it: Nothing was changed.\n"]);
	});

	it("is not asked with --yes", async () => {
		expect(await answered("no\n", true)).toEqual([true, ""]);
	});
});

describe("a file with a line for each entry", () => {
	const read = async (content: string) => {
		await using folder = await temporaryFolder();
		await writeFile(join(folder.path, "keys"), content);
		return [...(await linesIn("keys", { option: "--keys", what: "key" }, { cwd: folder.path }))];
	};

	it("is read without blank lines and ends of Windows; blanks of a line belong to it", async () => {
		expect(await read("a\r\n\n  \n b \na\nc")).toEqual(["a", " b ", "c"]);
	});

	it("that has none is refused, and so is what can't be read", async () => {
		await expect(read("\n \r\n")).rejects.toMatchObject({
			exitCode: 2,
			code: "keys",
			message: expect.stringMatching(/^--keys \/.*: there is no key in it$/),
		});
		await using folder = await temporaryFolder();
		await mkdir(join(folder.path, "keys"));
		for (const name of ["keys", "gone"])
			await expect(linesIn(name, { option: "--ids", what: "id" }, { cwd: folder.path })).rejects.toMatchObject({
				exitCode: 2,
				code: "ids",
			});
	});
});

it("bytes are text where they are UTF-8, and base64 where not", () => {
	const bytes = [Buffer.from("ä"), Buffer.from([0xc3]), Buffer.alloc(0), null];
	expect(bytes.map(shownBytes)).toEqual(["ä", { base64: "ww==" }, "", null]);
});

it("a table has its columns two spaces apart, no spaces at the ends of lines, and nothing that steers a terminal", () => {
	expect(
		textTable(
			["A", "LONG", "C"],
			[
				["wide", 1, ""],
				["x", "two\nlines", "\u001b"],
			],
		),
	).toBe(["A     LONG        C", "wide  1", "x     two\\nlines  \\u001b"].join("\n"));
});

describe("paced output", () => {
	/** Takes a write only when `take` is called. */
	function slow() {
		let take = () => {};
		const stream = new Writable({
			highWaterMark: 1,
			write: (_, __, taken) => {
				take = taken;
			},
		});
		return { stream, take: () => take() };
	}

	it("waits for a slow reader, and for none that went away", async () => {
		for (const end of ["taken", "closed"] as const) {
			const { stream, take } = slow();
			let isDone = false;
			const printed = printPaced(stream, "line").then(() => (isDone = true));
			await settle();
			expect(isDone).toBe(false);
			if (end === "taken") take();
			else stream.destroy();
			await printed;
		}
		const { stream } = slow();
		stream.on("error", () => {}).destroy();
		await printPaced(stream, "line");
	});

	it("does not wait where there is room", async () => {
		const stream = new PassThrough();
		await printPaced(stream, "one");
		await printPaced(stream, "two");
		expect(String(stream.read())).toBe("one\ntwo\n");
	});
});

describe("the progress of a long command", () => {
	it("is a bar on a terminal, which is gone at the end", () => {
		const stream = Object.assign(new PassThrough(), {
			isTTY: true,
			cursorTo: () => {},
			clearLine: () => {},
			moveCursor: () => {},
			columns: 200,
		});
		const line = new ProgressLine(stream, new ManualClock());
		line.show("reading", 5, 20);
		line.show("reading", 10, 40);
		line[Symbol.dispose]();
		const said = String(stream.read());
		expect(said).toContain("reading [");
		expect(said).toContain("25% 5/20");
		// Nothing was shown, so nothing is cleared.
		new ProgressLine(stream, new ManualClock())[Symbol.dispose]();
		expect(stream.read()).toBeNull();
	});

	it("has no share of what is not known", async () => {
		const [stream, clock] = [new PassThrough(), new ManualClock()];
		const line = new ProgressLine(stream, clock);
		await clock.advance(10_000);
		line.show("reading", 7, 0);
		expect(String(stream.read())).toBe("reading: 7 of 0\n");
	});
});
