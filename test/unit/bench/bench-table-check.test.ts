import { describe, expect, it } from "vitest";
import { TableCheck } from "../../../bench/measuring/event-tables.ts";
import type { Database } from "../../../src/sink/database/database.ts";
import { eventLog, type FoldedRow, foldEvents } from "../../support/daemons/event-log.ts";

const log = { topic: "t", count: 300, ids: 20, partitions: 4, seed: 9, wander: false, deletes: 0 };

/** A database that holds these rows, as `readTable` asks for them. */
function holding(rows: ReadonlyMap<string, FoldedRow>): Database {
	const answer = [...rows].map(([id, { ts, offset, ...row }]) => ({ id, ...row, ts: String(ts), offset: String(offset) }));
	return { query: async () => answer } as unknown as Database;
}

function changed(rows: Map<string, FoldedRow>, change: Partial<FoldedRow>) {
	const [[id, row]] = [...rows] as [[string, FoldedRow]];
	return new Map(rows).set(id, { ...row, ...change });
}

/** What a writer leaves that takes the last event read, and knows nothing of versions. */
function lastRead(): Map<string, FoldedRow> {
	const rows = foldEvents([...eventLog(log)].map((event) => ({ ...event, timestamp: 0 })));
	return new Map([...rows].map(([id, row]) => [id, { ...row, ts: 0, offset: 0, partition: 0 }]));
}

describe("the check of a bench's table", () => {
	it("finds nothing where the table is the fold of its log", async () => {
		const check = new TableCheck();
		expect(await check.findings(holding(foldEvents(eventLog(log))), "events", log, "version", "daemon")).toEqual([]);
		expect(await check.findings(holding(lastRead()), "events", log, "offset", "by hand")).toEqual([]);
	});

	it.each([{ amount: "1" }, { offset: 0 }, { deleted: true }, { name: null }])(
		"finds a row with %j, and says whose it is",
		async (change) => {
			const wrong = changed(foldEvents(eventLog(log)), change);
			const findings = await new TableCheck().findings(holding(wrong), "events", log, "version", "daemon");
			expect(findings).toHaveLength(1);
			expect(findings[0]).toMatch(/^daemon: id-\d+: is /);
		},
	);

	it("finds a row that is missing and one that is too many", async () => {
		const rows = foldEvents(eventLog(log));
		const [id] = rows.keys();
		rows.delete(id as string);
		rows.set("id-stranger", [...rows.values()][0] as FoldedRow);
		const findings = await new TableCheck().findings(holding(rows), "events", log, "version", "daemon");
		expect(findings.map((line) => line.split(" ")[1]).sort()).toEqual([`${id}:`, "id-stranger:"].sort());
	});

	it("compares only the data of those without versions, by the last of each partition", async () => {
		const check = new TableCheck();
		expect(await check.findings(holding(changed(lastRead(), { offset: 7 })), "events", log, "offset", "by hand")).toEqual([]);
		expect(await check.findings(holding(changed(lastRead(), { amount: "1" })), "events", log, "offset", "by hand")).toHaveLength(1);
		// The two orders differ in this log, or the test would show nothing.
		expect(await check.findings(holding(foldEvents(eventLog(log))), "events", log, "offset", "by hand")).not.toEqual([]);
	});
});
