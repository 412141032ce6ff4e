/** A verification of a log in memory against tables in memory, by a handler in its real thread: what is read, compared, and said. */
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { KeptVerification } from "../../src/audit/verification/kept-verification.ts";
import { verifyLog } from "../../src/audit/verification/verification.ts";
import type { VerificationParts } from "../../src/audit/verification/verification-parts.ts";
import type { Config } from "../../src/config/config.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { LetterPosition } from "../../src/core/dead-letters/dead-letter.ts";
import { AuditedLog, AuditedTables, auditedConfig, type LoggedMessage, layoutsOf, storedRow } from "../support/fakes/audited-log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const folder = await temporaryFolder();
afterAll(() => folder[Symbol.asyncDispose]());
const config: Config = await auditedConfig(folder.path, undefined, ["events", "others"]);
const ids = (count: number): LoggedMessage[] =>
	Array.from({ length: count }, (_, offset) => ({ offset, value: { id: `i${offset}`, n: `${offset}` } }));

let log: AuditedLog;
let tables: AuditedTables;
let letters: readonly LetterPosition[] | null;
let told: { readonly read: number; readonly total: number; readonly table: string | null }[];

beforeEach(() => {
	log = new AuditedLog();
	tables = new AuditedTables(layoutsOf(config));
	[letters, told] = [[], []];
});

function verified(over: Partial<VerificationParts> = {}, kept: string | KeptVerification = folder.path) {
	const parts: VerificationParts = {
		...{ config, database: tables, letters: async () => letters, clock: systemClock, random: () => 0.5 },
		...{ signal: new AbortController().signal, maxDifferences: 100, progress: (progress) => told.push(progress), ...over },
	};
	return verifyLog(parts, log.reader, kept);
}

const letterAt = (offset: number, over: Partial<LetterPosition> = {}): LetterPosition => ({
	...{ topic: "orders", partition: 0, offset, topicId: "log-1", timestamp: 1_000 + 10 * offset },
	...{ reason: "poison", state: "open", rows: [], rowsLeftOut: 0, ...over },
});

describe("a verification", () => {
	it("finds each id's row by its kind, in all partitions, and says how much it read", async () => {
		log.holds(
			[
				{ offset: 0, value: { id: "right", n: "1" } },
				{ offset: 1, value: { id: "missing", n: "2" } },
				{ offset: 2, value: { id: "older", n: "3" } },
				{ offset: 3, value: { id: "different", n: "4" } },
				{ offset: 4, value: { id: "purged" } },
				{ offset: 5, value: {} },
				{ offset: 7, value: { id: "failed", n: "8", fails: true } },
				{ offset: 0, partition: 1, value: { id: "other", n: "5" } },
				{ offset: 1, partition: 1, value: { id: "other", n: "6" } },
				{ offset: 2, partition: 1, value: { id: "later", n: "7" } },
				{ offset: 3, partition: 1, value: { id: "later", n: "8" } },
			],
			{ committed: [8, 2] },
		);
		tables.put(
			"events",
			storedRow("right", "1", 0),
			storedRow("older", "3", 0),
			storedRow("different", "5", 3),
			storedRow("extra", "9", 5),
		);
		tables.put("events", storedRow("other", "6", 1, { partition: 1 }), storedRow("later", "8", 3, { partition: 1 }));
		const report = await verified();
		expect(report.counts).toEqual({
			...{ matched: 2, purged: 1, ahead: 1, unchecked: 0, lettered: 0, missing: 1, older: 1, newer: 0, different: 1, extra: 1 },
			...{ unwritable: 0, failed: 1, beyond: 0 },
		});
		expect(report).toMatchObject({ group: "g", messages: 9, behind: 2, absentOffsets: 1, passedOver: 0, letters: {}, verified: false });
		expect(report).toMatchObject({ lettersMissing: null, recordsLeftOut: false, lookedAt: { ids: 7 } });
		expect(report.differences.map((each) => [each.kind, "id" in each ? each.id : each.offset])).toEqual([
			["failed", 7],
			["different", "different"],
			["missing", "missing"],
			["older", "older"],
			["extra", "extra"],
		]);
		expect(told.filter(({ table }) => table !== null)).toEqual([
			{ read: 9, total: 10, table: "events" },
			{ read: 9, total: 10, table: "others" },
		]);
		expect(told[0]).toMatchObject({ total: 10, table: null });
	});

	it("is verified where all is as it must be", async () => {
		log.holds(ids(5));
		for (const { offset, value } of log.messages) tables.put("events", storedRow(`${value.id}`, `${value.n}`, offset));
		expect(await verified()).toMatchObject({ verified: true, messages: 5, counts: { matched: 5 }, differences: [], unmet: [] });
	});

	it("keeps as many differences as it may, and counts all", async () => {
		log.holds(ids(5));
		const report = await verified({ maxDifferences: 2 });
		expect([report.counts.missing, report.differences.length]).toEqual([5, 2]);
	});

	it("handles again what could run again of dead letters, and leaves out what made the handler fail", async () => {
		log.holds([
			{ offset: 0, value: { id: "poison", n: "1", fails: true } },
			{ offset: 1, value: { id: "was-rejected", n: "2" } },
			{ offset: 2, value: { id: "fine", n: "3" } },
			{ offset: 3, value: { id: "r", rejects: "no" } },
			{ offset: 4, value: { id: "was-rejected-too", n: "2" } },
		]);
		letters = [letterAt(0), ...[1, 4].map((offset) => letterAt(offset, { reason: "rejected", state: "discarded" }))];
		letters = [...letters, letterAt(3, { reason: "rejected", state: "discarded" })];
		// Of one the row is there, by hand or by another attempt.
		tables.put("events", storedRow("fine", "3", 2), storedRow("was-rejected", "2", 1));
		const report = await verified();
		expect(report).toMatchObject({ letters: { open: 1, discarded: 3, skipped: 0 }, messages: 5, verified: true });
		expect(report.counts).toMatchObject({ failed: 0, matched: 2, missing: 0, lettered: 0 });
	});

	it("asks no row of a letter whose row the server refused, and finds the others of it", async () => {
		log.holds([
			{ offset: 0, value: { id: "refused", n: "1" } },
			{ offset: 1, value: { id: "fine", n: "2" } },
		]);
		letters = [letterAt(0, { reason: "row_fault", rows: [["events", "refused", "22003"]] }), letterAt(1, { reason: "row_fault" })];
		const report = await verified();
		expect(report.differences).toMatchObject([{ kind: "missing", id: "fine" }]);
	});

	it("says which place of letters is missing, and then excuses nothing", async () => {
		log.holds([{ offset: 0, value: { id: "poison", n: "1", fails: true } }]);
		letters = null;
		expect(await verified()).toMatchObject({ lettersMissing: "table pockaffe_dead_letters", counts: { failed: 1 }, verified: false });
	});

	it("reports an offset that was committed past the end of its log", async () => {
		log.holds(ids(2), { committed: [9] });
		tables.put("events", storedRow("i0", "0", 0), storedRow("i1", "1", 1));
		const report = await verified();
		expect(report.differences).toEqual([{ kind: "beyond", topic: "orders", partition: 0, offset: 9, high: 2 }]);
		expect(report.verified).toBe(false);
	});

	it("has checked nothing where all messages are behind", async () => {
		log.holds(ids(9), { committed: [5] });
		tables.starts = [[0, 5]];
		await expect(verified()).rejects.toMatchObject({ code: "nothing_checked", message: expect.stringContaining("4 come after") });
	});

	it("reads what the group passed over, and handles none of it", async () => {
		log.holds(ids(6));
		tables.starts = [[0, 4]];
		tables.put("events", storedRow("i4", "4", 4), storedRow("i5", "5", 5));
		expect(await verified()).toMatchObject({ messages: 2, verified: true });
		expect(log.reads).toEqual(["0:4-6"]);
	});
});

describe("a part", () => {
	it("of the tables is compared alone", async () => {
		log.holds(ids(3));
		const report = await verified({ scope: { topics: [], tables: ["others"] } });
		expect([report.counts.missing, report.verified]).toEqual([0, true]);
		expect(told.filter(({ table }) => table !== null)).toEqual([{ read: 3, total: 3, table: "others" }]);
		await expect(verified({ scope: { topics: [], tables: ["others", "typo"] } })).rejects.toMatchObject({
			code: "no_table",
			message: expect.stringContaining("typo"),
		});
	});

	it("of the ids is looked for among all rows", async () => {
		log.holds(ids(5));
		tables.put("events", storedRow("i1", "1", 1), storedRow("extra", "1", 1));
		const report = await verified({ scope: { topics: [], tables: [], ids: new Set(["i1", "i3"]) } });
		expect(report.counts).toMatchObject({ matched: 1, missing: 1, extra: 0 });
	});

	it("of the ids may be drawn: so many, each with its newest row", async () => {
		log.holds([...ids(40), { offset: 40, value: { id: "i0", n: "new" } }]);
		const { counts } = await verified({ scope: { topics: [], tables: ["events"], sample: 7 } });
		expect(counts.missing).toBe(7);
	});
});

describe("rows that were newer than what is committed", () => {
	/** Time in which nothing happens but that the daemon goes on. */
	function waiting(goOn: (slept: number) => void) {
		let now = 0;
		const slept: number[] = [];
		const sleep = async (ms: number) => {
			now += ms;
			slept.push(ms);
			goOn(slept.length);
		};
		return { slept, clock: { ...systemClock, monotonic: () => now, sleep } };
	}

	beforeEach(() => {
		log.holds([
			{ offset: 0, value: { id: "a", n: "1" } },
			{ offset: 1, value: { id: "b", n: "2" } },
			{ offset: 2, value: { id: "a", n: "3" } },
			{ offset: 3, value: { id: "c", n: "4" } },
		]);
		log.committed = [2];
		tables.put("events", storedRow("a", "3", 2), storedRow("b", "2", 1));
	});

	it("are compared again once they are committed, and only they; nothing has to have come in other partitions", async () => {
		log.messages = [...log.messages, { offset: 0, partition: 1, value: { id: "d", n: "5" } }];
		[log.highs, log.committed] = [
			[4, 1],
			[2, 1],
		];
		tables.put("events", storedRow("d", "5", 0, { partition: 1 }));
		const { clock, slept } = waiting((times) => {
			if (times === 3) log.committed = [4, 1];
		});
		const report = await verified({ clock, comeBackMs: 5_500 });
		expect(report).toMatchObject({ messages: 5, counts: { matched: 3, ahead: 0, missing: 0 }, verified: true });
		expect([slept, log.reads]).toEqual([
			[1_000, 1_000, 1_000],
			["0:0-2", "1:0-1", "0:2-4"],
		]);
	});

	it("are waited for no longer than asked, nor where enough was compared, nor at all by default", async () => {
		const patient = waiting(() => {});
		expect((await verified({ clock: patient.clock, comeBackMs: 2_500 })).counts).toMatchObject({ matched: 1, ahead: 1 });
		const easy = waiting(() => {});
		await verified({ clock: easy.clock, comeBackMs: 2_500, requirements: [{ name: "share", value: 0.5 }] });
		const none = waiting(() => {});
		await verified({ clock: none.clock });
		expect([patient.slept, easy.slept, none.slept]).toEqual([[1_000, 1_000, 500], [], []]);
	});

	it("are the only ones that are waited for: of those of unread messages no more will be known", async () => {
		tables.starts = [[0, 1]];
		tables.put("events", storedRow("a", "1", 0));
		const { clock, slept } = waiting(() => {});
		const report = await verified({ clock, comeBackMs: 2_500 });
		expect([report.counts.unchecked, report.lookedAt.ids < report.lookedAt.of, slept]).toEqual([1, true, []]);
	});

	it("are not compared again in another log, nor in one that lost its end", async () => {
		const other = waiting(() => {
			log.topicId = "log-2";
			log.committed = [4];
		});
		expect((await verified({ clock: other.clock, comeBackMs: 2_500 })).counts.ahead).toBe(1);
		log.topicId = "log-1";
		log.committed = [2];
		const shorter = waiting(() => {
			log.committed = [1];
			log.highs = [1];
		});
		expect((await verified({ clock: shorter.clock, comeBackMs: 2_500 })).counts.ahead).toBe(1);
		expect([other.slept, shorter.slept]).toEqual([[1_000], [1_000]]);
	});

	it("are compared again from the beginning after an interruption", async () => {
		const place = join(folder.path, "again");
		const { clock } = waiting(() => {
			log.committed = [3];
		});
		// What is kept is removed by the caller, so the second run finds what a killed one would leave.
		for (const _ of ["killed after it compared again", "resumed"]) {
			await using kept = await KeptVerification.open(place, { it: "is" });
			const report = await verified({ clock, resume: { folder: place, everyMs: 0 }, comeBackMs: 5_000 }, kept);
			expect(report).toMatchObject({ counts: { matched: 2, ahead: 0 }, differences: [], verified: true });
		}
	});
});

describe("an interrupted verification", () => {
	it("goes on from the beginning where it was not yet time to save anything", async () => {
		log.holds(ids(5));
		const resume = { folder: join(folder.path, "early") };
		const ended = new AbortController();
		const progress = ({ read }: { read: number }) => {
			if (read >= 4) ended.abort(new Error("Ctrl-C"));
		};
		{
			await using kept = await KeptVerification.open(resume.folder, { it: "is" });
			const parts = { clock: { ...systemClock, monotonic: () => 0 }, resume, signal: ended.signal, progress };
			await expect(verified(parts, kept)).rejects.toThrow("Ctrl-C");
		}
		await using kept = await KeptVerification.open(resume.folder, { it: "is" });
		expect(kept.state).toBeNull();
	});

	it("goes on behind what it had read, with what it had found", async () => {
		log.holds([{ offset: 0, value: { id: "f", n: "1", fails: true } }, ...ids(8).slice(1), { offset: 8, value: { id: "i1", n: "new" } }]);
		tables.put(
			"events",
			...ids(8)
				.slice(2)
				.map(({ offset, value }) => storedRow(`${value.id}`, `${value.n}`, offset)),
		);
		tables.put("events", storedRow("i1", "new", 8));
		const place = join(folder.path, "kept");
		const resume = { folder: place, everyMs: 0 };
		const ended = new AbortController();
		const progress = ({ read }: { read: number }) => {
			if (read >= 6) ended.abort(new Error("Ctrl-C"));
		};
		{
			await using kept = await KeptVerification.open(place, { it: "is" });
			await expect(verified({ resume, signal: ended.signal, progress }, kept)).rejects.toThrow("Ctrl-C");
		}
		await using kept = await KeptVerification.open(place, { it: "is" });
		// Those of the beginning count for the whole log.
		letters = [letterAt(7)];
		const report = await verified({ resume }, kept);
		expect(log.reads).toEqual(["0:0-9", "0:4-9"]);
		expect(report).toMatchObject({ messages: 9, counts: { failed: 1, matched: 7, missing: 0 } });
		expect(report.letters).toEqual({ open: 0, discarded: 0, skipped: 0 });
		expect(report.differences).toMatchObject([{ kind: "failed", offset: 0 }]);
		expect(told.at(-1)).toMatchObject({ read: 9, total: 9 });
	});
});

it("an interrupted verification reads again what the handler had left unfinished", async () => {
	log.holds(ids(9));
	// Each call finishes what earlier ones left, and leaves its last message.
	const keeping = await auditedConfig(
		folder.path,
		"let last = null; export const handleMessages = (batch) => { const before = batch.at(-2)?.offset ?? last; last = batch.at(-1).offset; return { finishedTo: before }; };",
		["events", "others"],
	);
	const place = join(folder.path, "kept-open");
	const resume = { folder: place, everyMs: 0 };
	const ended = new AbortController();
	const progress = ({ read }: { read: number }) => {
		if (read >= 6) ended.abort(new Error("Ctrl-C"));
	};
	{
		await using kept = await KeptVerification.open(place, { it: "is" });
		await expect(verified({ config: keeping, resume, signal: ended.signal, progress }, kept)).rejects.toThrow("Ctrl-C");
	}
	await using kept = await KeptVerification.open(place, { it: "is" });
	expect(await verified({ config: keeping, resume }, kept)).toMatchObject({ messages: 9 });
	expect(log.reads).toEqual(["0:0-9", "0:3-9"]);
	await auditedConfig(folder.path, undefined, ["events", "others"]);
});

it("a message that fails is tried once more with nobody before it, and only what fails then is told", async () => {
	log.holds(ids(6));
	tables.put("events", ...ids(6).map(({ offset, value }) => storedRow(`${value.id}`, `${value.n}`, offset)));
	const source =
		'let calls = 0; export function handleMessage({ value }) { const { id, n } = JSON.parse(value); if (++calls === 3 || id === "i4") throw new Error("no"); return { id, table: "events", fields: { n } }; }';
	const failing = await auditedConfig(folder.path, source, ["events", "others"]);
	const report = await verified({ config: failing });
	expect(report.counts).toMatchObject({ failed: 1, matched: 5 });
	expect(report.differences.filter(({ kind }) => kind === "failed")).toMatchObject([{ offset: 4 }]);
	await auditedConfig(folder.path, undefined, ["events", "others"]);
});

it("a handler that can't be run ends it", async () => {
	log.holds(ids(1));
	const broken = { ...config, handler: { ...config.handler, module: "/nowhere.mjs" } };
	await expect(verified({ config: broken })).rejects.toMatchObject({ message: expect.stringContaining("nothing can be verified") });
});
