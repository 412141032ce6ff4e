/** What an interrupted verification leaves in a folder, and when it may be gone on with. */
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type CoveredPartition, LogCoverage } from "../../../src/audit/log/log-coverage.ts";
import { GapMemory, OffsetGaps } from "../../../src/audit/log/offset-gaps.ts";
import { KeptVerification, type VerificationState } from "../../../src/audit/verification/kept-verification.ts";
import { seededRandom } from "../../../src/core/random.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const identity = { handler: "h1", "definition of tables": "t1" };
const range: CoveredPartition = {
	topic: "t",
	partition: 0,
	topicId: "id",
	start: 0,
	startIs: "recorded",
	low: 0,
	high: 200_000,
	committed: 150_000,
	isNoted: false,
	from: 0,
	to: 150_000,
	skipped: [{ from: 7, to: 9, reason: "offsets_set" }],
	disbelieved: [],
};
const letter = {
	...{ topic: "t", partition: 0, offset: 5, topicId: "id", timestamp: 1, reason: "row_fault", state: "open", rowsLeftOut: 0 },
	rows: [["events", "a\u2028\n", "22003"]] as const,
};

/** Most offsets are there: short gaps, and now and then a long one. */
function someOffsets(seed: number): number[] {
	const random = seededRandom(seed);
	const offsets: number[] = [];
	for (let at = 0; at < 150_000; at += random() < 0.0002 ? 20_000 : 1 + Math.floor(random() * 3)) offsets.push(at);
	return offsets;
}

function stateOf(coverage: LogCoverage, over: Partial<VerificationState> = {}): VerificationState {
	return {
		ranges: [range],
		letters: [letter],
		coverage: [...coverage.kept()],
		next: new Map([["t/0", 3]]),
		messages: 4,
		runs: { events: 2 },
		failed: 1,
		differences: [{ kind: "failed", topic: "t", partition: 0, offset: 2, reason: "poison", error: "no" }],
		...over,
	};
}

it("a log that is read in two halves, by way of the folder, is the log read at once", async () => {
	await using temporary = await temporaryFolder();
	for (const [seed, half] of [
		[1, 0.5],
		[2, 0.1],
		[3, 0.99],
		[4, 0],
	] as const) {
		const offsets = someOffsets(seed);
		const whole = new LogCoverage([range], [letter]);
		whole.read(range, offsets);
		whole.finished();
		const middle = Math.floor(offsets.length * half);
		const first = new LogCoverage([range], [letter]);
		expect(first.read(range, offsets.slice(0, middle))).toBe(middle);
		const folder = join(temporary.path, `kept-${seed}`);
		{
			await using kept = await KeptVerification.open(folder, identity);
			expect(kept.state).toBeNull();
			await kept.save(stateOf(first));
		}
		await using kept = await KeptVerification.open(folder, identity);
		const { coverage = [], ...rest } = kept.state ?? {};
		expect({ ...rest, coverage: [] }).toEqual(stateOf(first, { coverage: [] }));
		const second = new LogCoverage([range], [letter]);
		second.restore(coverage);
		expect(second.rest).toEqual([{ ...range, from: middle === 0 ? 0 : (offsets[middle - 1] as number) + 1 }]);
		// The last hundred come again, and are counted once.
		expect(second.read(range, offsets.slice(Math.max(0, middle - 100)))).toBe(offsets.length - middle);
		second.finished();
		expect(second.absentOffsets).toBe(whole.absentOffsets);
		for (let offset = 0; offset < 150_000; offset++) {
			const standings = [whole, second].map((each) => each.standingOf({ topic: "t", partition: 0, offset, timestamp: 1 }));
			if (standings[0] !== standings[1]) expect(standings, `${offset}`).toEqual([standings[0], standings[0]]);
		}
	}
});

it("gaps that have no room when they come back say nothing of their page, which is never wrong", () => {
	const gaps = new OffsetGaps(new GapMemory());
	for (let offset = 0; offset < 40_000; offset += 2) gaps.add(offset, offset + 1);
	// A long gap is kept as a range: of the pages before it and behind it there is room for one.
	gaps.add(100_000, 130_000);
	for (let offset = 140_000; offset < 145_000; offset += 2) gaps.add(offset, offset + 1);
	const restored = new OffsetGaps(new GapMemory(2048));
	restored.restore(gaps.kept);
	expect(restored.count).toBe(20_000 + 30_000 + 2_500);
	const all = Array.from({ length: 150_000 }, (_, offset) => offset);
	expect(all.filter((offset) => gaps.has(offset) && !restored.has(offset))).toEqual([]);
	// Of the page that came first all is known, of the others nothing; beside them everything.
	const unknown = all.filter((offset) => !gaps.has(offset) && restored.has(offset));
	const pages = new Set(unknown.map((offset) => Math.floor(offset / 2 ** 14)));
	expect([...pages]).toEqual([1, 2, 8]);
	// What was gone on with has gaps behind those that came back.
	restored.add(200_000, 200_003);
	expect([190_000, 200_000, 200_002].map((offset) => restored.has(offset))).toEqual([false, true, true]);
});

it("a later state takes the place of an earlier one; letters are those of the beginning; only the owner can read it", async () => {
	await using temporary = await temporaryFolder();
	const folder = join(temporary.path, "a", "kept");
	const coverage = new LogCoverage([range], []);
	{
		await using kept = await KeptVerification.open(folder, identity);
		await kept.save(stateOf(coverage, { letters: null }));
		await kept.save(stateOf(coverage, { letters: null, messages: 9 }));
		expect((await readdir(folder)).sort()).toEqual(["letters.jsonl", "lock", "state.jsonl"]);
	}
	expect((await stat(folder)).mode & 0o777).toBe(0o700);
	for (const name of await readdir(folder)) expect((await stat(join(folder, name))).mode & 0o777, name).toBe(0o600);
	await using kept = await KeptVerification.open(folder, identity);
	expect(kept.state).toMatchObject({ letters: null, messages: 9 });
	await writeFile(join(folder, "table-0-0.run"), "");
	await kept.finish();
	await expect(stat(folder)).rejects.toMatchObject({ code: "ENOENT" });
});

it("a folder with something else in it is refused and left alone", async () => {
	await using temporary = await temporaryFolder();
	await writeFile(join(temporary.path, "mine.txt"), "x");
	await expect(KeptVerification.open(temporary.path, identity)).rejects.toMatchObject({
		exitCode: 2,
		message: expect.stringContaining("holds other files"),
	});
	expect(await readdir(temporary.path)).toEqual(["mine.txt"]);
});

it("what was begun with another configuration is refused, by the name of what differs", async () => {
	await using temporary = await temporaryFolder();
	const folder = join(temporary.path, "kept");
	{
		await using kept = await KeptVerification.open(folder, identity);
		await kept.save(stateOf(new LogCoverage([range], [])));
	}
	const others = { handler: "h2", "definition of tables": "t2" };
	await expect(KeptVerification.open(folder, others)).rejects.toMatchObject({
		exitCode: 2,
		message: expect.stringMatching(/was begun with another handler, another definition of tables: .*remove the folder to begin anew/),
	});
	// It is not locked by the one that was refused, and it is still there.
	await using again = await KeptVerification.open(folder, identity);
	expect(again.state?.messages).toBe(4);
	const file = join(folder, "state.jsonl");
	await writeFile(file, (await readFile(file, "utf8")).replace('"format":2', '"format":0'));
	await again[Symbol.asyncDispose]();
	await expect(KeptVerification.open(folder, identity)).rejects.toMatchObject({
		message: expect.stringContaining("another version of PocKaffe"),
	});
});

it("a folder in use by a process that lives is refused; the lock of one that was killed is taken over", async () => {
	await using temporary = await temporaryFolder();
	const folder = join(temporary.path, "kept");
	await mkdir(folder);
	await writeFile(join(folder, "lock"), String(process.ppid));
	await expect(KeptVerification.open(folder, identity)).rejects.toMatchObject({
		message: expect.stringContaining(`in use by process ${process.ppid}`),
	});
	expect(await readFile(join(folder, "lock"), "utf8")).toBe(String(process.ppid));
	// No process has such a number.
	await writeFile(join(folder, "lock"), "2147483647");
	await using kept = await KeptVerification.open(folder, identity);
	expect(await readFile(join(kept.folder, "lock"), "utf8")).toBe(String(process.pid));
});
