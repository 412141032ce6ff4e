/** Rows computed anew from a log in memory, by a handler in its real thread: what changes in tables in memory, and what stops it. */
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { type ReprocessingParts, type ReprocessingReport, reprocessLog } from "../../src/audit/rows-anew/reprocessing.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { DeadLetter, LetterPosition } from "../../src/core/dead-letters/dead-letter.ts";
import type { LogRange } from "../../src/kafka/log-reader.ts";
import { AuditedLog, AuditedTables, auditedConfig, type LoggedMessage, layoutsOf, storedRow } from "../support/fakes/audited-log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const folder = await temporaryFolder();
afterAll(() => folder[Symbol.asyncDispose]());
const config = await auditedConfig(folder.path);

let log: AuditedLog;
let tables: AuditedTables;
let letters: readonly LetterPosition[];
let stored: DeadLetter[];
let plans: ReprocessingReport[];

beforeEach(() => {
	log = new AuditedLog();
	tables = new AuditedTables(layoutsOf(config));
	[letters, stored, plans] = [[], [], []];
});

const stretch = (from: number, to: number, partition = 0): LogRange => ({ topic: "orders", partition, from, to });

function reprocessed(over: Partial<ReprocessingParts> = {}, isWanted = true) {
	const parts: ReprocessingParts = {
		...{ config, database: tables, letters: async () => letters, clock: systemClock, random: () => 0.5, progress: () => {} },
		...{ signal: new AbortController().signal, stretch: [stretch(0, 100), stretch(0, 100, 1)], waits: () => {}, ...over },
		store: async (letter) => void stored.push(letter),
	};
	return reprocessLog(parts, log.reader, folder.path, async (plan) => {
		plans.push(plan);
		return isWanted;
	});
}

const letterAt = (offset: number): LetterPosition => ({
	...{ topic: "orders", partition: 0, offset, topicId: "log-1", timestamp: 1_000 + 10 * offset },
	...{ reason: "poison", state: "open", rows: [], rowsLeftOut: 0 },
});

describe("rows of a stretch", () => {
	beforeEach(() => {
		log.holds(
			[
				{ offset: 0, value: { id: "changed", n: "new" } },
				{ offset: 1, value: { id: "right", n: "1" } },
				{ offset: 2, value: { id: "right-too", n: "2" } },
				{ offset: 3, value: {} },
				{ offset: 4, value: { id: "rejected", rejects: "no longer" } },
				{ offset: 5, value: { id: "fails", n: "5", fails: true } },
				{ offset: 6, value: { id: "added", n: "6" } },
				{ offset: 7, value: { id: "poison", n: "7" } },
				{ offset: 0, partition: 1, value: { id: "newer", n: "7" } },
				{ offset: 1, partition: 1, value: { id: "late", n: "8" } },
			],
			{ committed: [8, 1] },
		);
		letters = [letterAt(7)];
		tables.put("events", storedRow("changed", "old", 0), storedRow("right", "1", 1), storedRow("right-too", "2", 2));
		// Of messages that make none now: without a row before, it goes. A failed one's stays, as do those of nobody and of newer messages.
		tables.put("events", storedRow("gone", "3", 3), storedRow("fails", "kept", 5), storedRow("foreign", "x", 40));
		tables.put("events", storedRow("newer", "9", 1, { partition: 1 }), storedRow("of-rejected", "4", 4));
	});

	const after = ["added=6@6", "changed=new@0", "fails=kept@5", "foreign=x@40", "newer=9@1", "right-too=2@2", "right=1@1"];

	it("become what today's handler makes of them; what is told before is what is done", async () => {
		const done = await reprocessed();
		expect(tables.told("events")).toEqual(after);
		const expected = { changed: 1, added: 1, removed: 2, moved: 1, same: 2, messages: 8, lettered: 1, rejected: 1, refused: [] };
		expect(plans).toMatchObject([expected]);
		expect(done).toMatchObject({ ...expected, failed: [{ kind: "failed", offset: 5, error: expect.stringContaining("it fails") }] });
		expect(done?.unknownStart).toEqual([]);
		expect(stored).toMatchObject([{ offset: 4, reason: "rejected", topicId: "log-1" }]);
		expect(`${stored[0]?.value}`).toBe('{"id":"rejected","rejects":"no longer"}');
	});

	it("stay as they are where nobody wants that", async () => {
		const before = tables.told("events");
		const phases = new Set<string>();
		const progress = ({ phase }: { phase: string }) => void phases.add(phase);
		expect(await reprocessed({ progress }, false)).toBeNull();
		expect([tables.changes, tables.told("events"), stored]).toEqual([[], before, []]);
		expect([...phases]).toEqual(["reading the log", "comparing events"]);
		await reprocessed({ progress });
		expect([...phases]).toEqual(["reading the log", "comparing events", "writing events"]);
	});

	it("change no more the second time", async () => {
		await reprocessed();
		letters = [letterAt(7), letterAt(4)];
		const before = tables.told("events");
		// None is removed: no other can change with it.
		tables.cascade = [{ conname: "fk", other: "lines" }];
		const none = { changed: 0, added: 0, removed: 0, rejected: 0 };
		expect(await reprocessed()).toMatchObject({ ...none, same: 4, lettered: 2 });
		expect(tables.told("events")).toEqual(before);
	});

	it("are those of the given keys alone", async () => {
		expect(await reprocessed({ keys: new Set(["changed", "right"]) })).toMatchObject({
			messages: 2,
			changed: 1,
			added: 0,
			removed: 0,
			same: 1,
		});
		expect(tables.told("events")).toContain("gone=3@3");
	});

	it("are those of the given partitions and offsets alone", async () => {
		const only = { messages: 2, lettered: 0, changed: 0, added: 0, removed: 0, same: 2 };
		expect(await reprocessed({ stretch: [stretch(1, 3)] })).toMatchObject(only);
		expect(log.reads[0]).toBe("0:1-8");
	});

	it("may begin where it is not known where the group did, and that is told", async () => {
		tables.starts = [[1, 0]];
		expect((await reprocessed())?.unknownStart).toEqual([{ topic: "orders", partition: 0 }]);
		expect((await reprocessed({ stretch: [stretch(1, 3)] }))?.unknownStart).toEqual([]);
	});

	it("are not touched in tables whose ids are equal with different texts, nor where removing one changes others", async () => {
		tables.foldsIds = true;
		await expect(reprocessed()).rejects.toMatchObject({ code: "table", message: expect.stringContaining("collation") });
		tables.foldsIds = false;
		tables.cascade = [{ conname: "fk", other: "lines" }];
		await expect(reprocessed()).rejects.toMatchObject({ code: "cascade", message: expect.stringContaining("constraint fk") });
		expect([tables.changes, plans]).toEqual([[], []]);
	});
});

describe("an id whose message makes its row no longer", () => {
	beforeEach(() => {
		log.holds([
			{ offset: 0, value: { id: "back", n: "0" } },
			{ offset: 1, value: { id: "back", n: "1" } },
			{ offset: 2, value: { id: "other", n: "2" } },
			{ offset: 3, value: {} },
			{ offset: 4, value: {} },
			{ offset: 5, value: { id: "deleted" } },
		]);
		tables.put("events", storedRow("back", "3", 3), storedRow("gone", "4", 4), storedRow("other", "2", 2));
		tables.put("events", storedRow("deleted", null, 5));
	});

	it("goes back to what a message before the stretch made, or is removed where there is none", async () => {
		expect(await reprocessed({ stretch: [stretch(3, 6)] })).toMatchObject({ changed: 1, removed: 1, added: 0, same: 1, messages: 3 });
		expect(tables.told("events")).toEqual(["back=1@1", "deleted=-@5", "other=2@2"]);
		expect(log.reads).toContain("0:0-3");
	});

	it("goes back past messages that the handler rejects", async () => {
		const [first, , ...others] = log.messages as [LoggedMessage, LoggedMessage];
		log.messages = [first, { offset: 1, value: { id: "back", rejects: "no" } }, ...others];
		expect(await reprocessed({ stretch: [stretch(3, 6)] })).toMatchObject({ changed: 1, removed: 1, rejected: 0 });
		expect(tables.told("events")).toContain("back=0@0");
	});

	it("is not known to go back where the handler fails before the stretch", async () => {
		log.messages = [{ offset: 0, value: { id: "back", n: "0", fails: true } }, ...log.messages.slice(1)];
		await expect(reprocessed({ stretch: [stretch(3, 6)] })).rejects.toMatchObject({
			code: "handler",
			message: expect.stringContaining("orders/0@0, which lies before the stretch"),
		});
		expect(tables.changes).toEqual([]);
	});

	it("gets what a daemon found stale meanwhile, also where the row is refused at first: its parent may come behind it", async () => {
		const before = [...log.messages];
		let tries = 0;
		tables.lacksParent = (id) => id === "gone" && tries++ === 0;
		log.wasRead = () => {
			if (log.reads.length !== 1) return;
			const since = ["gone", "gone", "else"].map((id, at) => ({ offset: 6 + at, value: { id, n: `${6 + at}` } }));
			log.holds([...before, ...since], { committed: [8], highs: [500_000] });
			// Another became a dead letter.
			letters = [letterAt(7)];
		};
		await reprocessed();
		expect(tables.told("events")).toEqual(["back=1@1", "deleted=-@5", "gone=6@6", "other=2@2"]);
		// No daemon can have received more.
		expect(log.reads.at(-1)).toBe(`0:6-${8 + config.workers.maxQueuedMessages + 10_000}`);
	});
});

it("a row whose parent comes from another table, and is refused at first itself, is written", async () => {
	const both = await auditedConfig(folder.path, undefined, ["events", "others"]);
	tables = new AuditedTables(layoutsOf(both));
	log.holds([
		{ offset: 0, value: { id: "child", n: "0" } },
		{ offset: 1, value: { id: "parent", n: "1", table: "others" } },
	]);
	let tries = 0;
	tables.lacksParent = (id) => (id === "parent" ? tries++ === 0 : tables.told("others").length === 0);
	expect(await reprocessed({ config: both })).toMatchObject({ added: 2, refused: [] });
	expect([tables.told("events"), tables.told("others")]).toEqual([["child=0@0"], ["parent=1@1"]]);
});

describe("a handler that keeps messages in its state", () => {
	const keeping = "export const handleMessages = (batch) => ({ finishedTo: batch.at(-1).offset });";

	it("is run over the whole log or not at all", async () => {
		log.holds([0, 1, 2].map((offset) => ({ offset, value: {} })));
		const whole = { config: await auditedConfig(folder.path, keeping) };
		expect(await reprocessed(whole)).toMatchObject({ messages: 3 });
		for (const part of [{ stretch: [stretch(1, 3)] }, { keys: new Set(["k"]) }])
			await expect(reprocessed({ ...whole, ...part })).rejects.toMatchObject({
				code: "stateful",
				message: expect.stringContaining("--keys"),
			});
		log.lows = [1];
		await expect(reprocessed(whole)).rejects.toMatchObject({ code: "stateful", message: expect.stringContaining("lost its beginning") });
		await auditedConfig(folder.path);
	});
});

it("a handler that can't be run changes nothing", async () => {
	log.holds([{ offset: 0, value: {} }]);
	const broken = { ...config, handler: { ...config.handler, module: "/nowhere.mjs" } };
	await expect(reprocessed({ config: broken })).rejects.toMatchObject({ message: expect.stringContaining("nothing was changed") });
});
