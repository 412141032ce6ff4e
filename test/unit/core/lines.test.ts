import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readLines } from "../../../src/core/text/lines.ts";

async function lines(chunks: readonly (string | Uint8Array)[]): Promise<string[]> {
	const all: string[] = [];
	for await (const line of readLines(
		(async function* () {
			yield* chunks;
		})(),
	))
		all.push(line);
	return all;
}

describe("lines", () => {
	it("end at a line feed and at nothing else that some count as an end", async () => {
		const text = "a\u2028b\u2029c\rd\u0085e\vf\fg";
		expect(await lines([`${text}\n${text}`])).toEqual([text, text]);
		expect(await lines(["a\r\nb\n"])).toEqual(["a\r", "b"]);
	});

	it("may be empty, but for what follows the last end", async () => {
		expect(await lines(["\n\na\n\n"])).toEqual(["", "", "a", ""]);
		expect(await lines([])).toEqual([]);
		expect(await lines(["a"])).toEqual(["a"]);
	});

	it("end with what stands for a character that the end cut off", async () => {
		expect(await lines([Buffer.from("a\né").subarray(0, 3)])).toEqual(["a", "\ufffd"]);
	});

	it("are the same however the bytes come", async () => {
		const bytes = Buffer.from("1 \u{1F600}\n2 \u2028é\n\n4");
		const expected = ["1 \u{1F600}", "2 \u2028é", "", "4"];
		for (let size = 1; size <= bytes.length; size++) {
			const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
			expect(await lines(chunks), `${size} bytes at a time`).toEqual(expected);
		}
	});

	it("are read by nothing of ours that would split elsewhere", () => {
		const src = new URL("../../../src/", import.meta.url);
		const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((name) => /\.c?ts$/.test(name));
		expect(files.length).toBeGreaterThan(100);
		expect(files.filter((name) => /from "(node:)?readline/.test(readFileSync(new URL(name, src), "utf8")))).toEqual([]);
	});
});
