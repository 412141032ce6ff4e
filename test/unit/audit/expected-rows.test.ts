import { rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/core/random.ts";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import { compareIdTexts, type ExpectedRow, ExpectedRows, type MemoryLimit } from "../../../src/sink/comparison/expected-rows.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const layout = { name: "events", version: { kind: "timestamp" }, columns: [] } as unknown as TableLayout;

function row(id: string, timestamp: number, offset: number, over: Partial<ExpectedRow> = {}): ExpectedRow {
	const base = { id, timestamp, offset, partition: 0, topic: "t", isDelete: false, values: [`v${offset}`], field: null, optional: false };
	return { ...base, ...over };
}

/** What is measured is what is held, not what waits to be collected. */
function collectGarbage(): void {
	setFlagsFromString("--expose-gc");
	(runInNewContext("gc") as () => void)();
}

async function folded(rows: readonly ExpectedRow[], limit?: MemoryLimit): Promise<{ ids: string[]; rows: ExpectedRow[][]; runs: number }> {
	await using folder = await temporaryFolder();
	const expected = new ExpectedRows({ layout, folder: folder.path, name: "t", ...(limit ? { limit } : {}) });
	for (const each of rows) {
		expected.add(each);
		await expected.relieve();
	}
	const all: ExpectedRow[][] = [];
	for await (const candidates of expected.sorted()) all.push([...candidates]);
	return { ids: all.map(([first]) => (first as ExpectedRow).id), rows: all, runs: expected.runs };
}

describe("expected rows", () => {
	it("keep the newest version of each id, and of one message the last", async () => {
		const { rows } = await folded([
			row("a", 5, 0),
			row("a", 3, 1),
			row("a", 5, 2, { values: ["first"] }),
			row("a", 5, 2, { values: ["last"] }),
		]);
		expect(rows).toEqual([[row("a", 5, 2, { values: ["last"] })]]);
	});

	it("keep optional rows that are newer, and what has to be there behind them", async () => {
		const [old, letter, newest] = [row("a", 1, 0), row("a", 2, 1, { optional: true }), row("a", 3, 2, { optional: true })];
		const { rows } = await folded([letter, old, newest, row("b", 9, 3, { optional: true }), row("b", 10, 4)]);
		expect(rows).toEqual([[newest, letter, old], [row("b", 10, 4)]]);
	});

	it.each([1, 2, 3])("are the same from sorted runs on disk as from memory (seed %i)", async (seed) => {
		const random = seededRandom(seed);
		const rows = Array.from({ length: 3_000 }, (_, offset) =>
			row(`id ${Math.floor(random() * 400)} ${random() < 0.1 ? "\u{1F600}" : "\uFFFD"}`, Math.floor(random() * 50), offset, {
				optional: random() < 0.1,
			}),
		);
		const small = await folded(rows, { ids: 37, bytes: 1e9 });
		expect(small.runs).toBeGreaterThan(20);
		expect((await folded(rows, { ids: 1e9, bytes: 20_000 })).rows).toEqual(small.rows);
		expect((await folded(rows)).rows).toEqual(small.rows);
		// Most of them packed, and none on disk.
		expect(await folded(rows, { ids: 1e9, bytes: 200_000 })).toEqual({ ...small, runs: 0 });
		expect(small.ids).toEqual([...small.ids].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right))));
	});

	it("keep separators of lines and paragraphs on disk, which some versions of Node split at", async () => {
		const rows = ["a\u2028b", "c\u2029d", "e\rf\r\ng"].map((id, at) => row(id, 1, at, { values: [id, null] }));
		expect((await folded(rows, { ids: 1, bytes: 1e9 })).rows.flat()).toEqual(rows);
	});

	it("keep no more of their batches than fits into memory: a piece of a text would keep all of it", async () => {
		await using folder = await temporaryFolder();
		const expected = new ExpectedRows({ layout, folder: folder.path, name: "t", limit: { ids: 1e9, bytes: 4_000_000 } });
		collectGarbage();
		const before = process.memoryUsage().heapUsed;
		for (let batch = 0; batch < 2_000; batch++) {
			// One of them is the last of its id; the others are replaced by the next batch's.
			const ids = [
				`the only row of batch ${batch}`,
				...Array.from({ length: 200 }, (_, index) => `the row that is always replaced ${index}`),
			];
			const texts = ids
				.map((id) => `${id} ${"x".repeat(200)}`)
				.join("\n")
				.split("\n");
			for (const [index, id] of ids.entries()) expected.add(row(id, batch, batch, { values: [texts[index] as string] }));
			await expected.relieve();
		}
		collectGarbage();
		expect(process.memoryUsage().heapUsed - before).toBeLessThan(12_000_000);
	});

	it("of a few ids stay in memory, however often each is replaced", async () => {
		await using folder = await temporaryFolder();
		const expected = new ExpectedRows({ layout, folder: folder.path, name: "t", limit: { ids: 1_000, bytes: 100_000 } });
		for (let offset = 0; offset < 20_000; offset++) {
			expected.add(row(`id ${offset % 100}`, 1, offset, { values: [`value ${offset}`] }));
			await expected.relieve();
		}
		expect(expected.runs).toBe(0);
		const all: string[] = [];
		for await (const [newest] of expected.sorted()) all.push(`${newest?.id} ${newest?.values}`);
		expect(all).toHaveLength(100);
		expect(all).toContain("id 7 value 19907");
	});

	it("may be added while others are written to disk", async () => {
		await using folder = await temporaryFolder();
		const expected = new ExpectedRows({ layout, folder: folder.path, name: "t", limit: { ids: 2, bytes: 1e9 } });
		for (let i = 0; i < 2; i++) expected.add(row(`id ${i}`, 1, i));
		const relieved = expected.relieve();
		expected.add(row("id 2", 1, 2));
		expected.add(row("id 0", 2, 3));
		await relieved;
		const all: (readonly ExpectedRow[])[] = [];
		for await (const candidates of expected.sorted()) all.push(candidates);
		expect(all).toEqual([[row("id 0", 2, 3)], [row("id 1", 1, 1)], [row("id 2", 1, 2)]]);
	});

	it("say where they can't be written to, and why: a full disk, a folder that is gone", async () => {
		await using folder = await temporaryFolder();
		const spilling = async () => {
			const expected = new ExpectedRows({ layout, folder: folder.path, name: "t", limit: { ids: 1, bytes: 1e9 } });
			// More than a stream keeps to itself.
			expected.add(row("id", 1, 0, { values: ["x".repeat(1_000_000)] }));
			await expected.relieve();
		};
		const refusal = (reason: RegExp) => ({
			exitCode: 1,
			message: expect.stringMatching(new RegExp(`^what doesn't fit into memory can't be written to ${folder.path}: ${reason.source}`)),
		});
		await symlink("/dev/full", join(folder.path, "t-0.run"));
		await expect(spilling()).rejects.toMatchObject(refusal(/ENOSPC/));
		await rm(folder.path, { recursive: true });
		await expect(spilling()).rejects.toMatchObject(refusal(/ENOENT/));
	});

	it("are ordered as the bytes of their ids are", () => {
		const ids = ["", "a", "a\u0001", "ab", "b", "\u00e9", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{10ffff}", "\u{1F600}a"];
		for (const left of ids) {
			for (const right of ids) {
				expect(Math.sign(compareIdTexts(left, right)), `${left} ${right}`).toBe(Buffer.compare(Buffer.from(left), Buffer.from(right)));
			}
		}
	});
});
