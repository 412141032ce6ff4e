/**
 * Rows that a trigger or a rule of the table keeps out without an error: counted as that, never as stale; their neighbours are counted
 * right.
 */
import { describe, expect, it } from "vitest";
import { createTables } from "../../../src/sink/tables/schema.ts";
import { readFirstUpsert, writeFirstUpsert } from "../../../src/sink/writer/sql/cas-upsert.ts";
import { rowParameters, type UpsertRow } from "../../../src/sink/writer/sql/row-parameters.ts";
import { runUpsert } from "../../../src/sink/writer/sql/run-upsert.ts";
import { layoutOf } from "../../support/fakes/row-submissions.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";

const layout = layoutOf();
const keepsOut = (when: string) => [
	"create function keep_out() returns trigger language plpgsql as 'begin if new.name = ''no'' then return null; end if; return new; end'",
	`create trigger keep_out before ${when} on events for each row execute function keep_out()`,
];
const nothing = { inserted: 0, updated: 0, deleted: 0, suppressed: 0, stale: { replay: 0, older: 0, other_partition: 0 } };

function row(id: string, offset: number, name: string, over: Partial<UpsertRow> = {}): UpsertRow {
	return { id, offset, isDelete: false, timestamp: offset, partition: 0, topic: "t", values: [name, null], ...over };
}

describe.each(["reads", "writes"] as const)("rows that the table does not take, where the statement %s first", (first) => {
	const open = async () => {
		const db = await createTestDatabase();
		await createTables(db.database, [layout]);
		const upsert = (...rows: UpsertRow[]) => {
			const parameters = rowParameters(layout, rows);
			if (first === "reads") return runUpsert(db.database, layout, readFirstUpsert(layout), parameters);
			return runUpsert(db.database, layout, writeFirstUpsert(layout), parameters, String(rows.length));
		};
		return { db, upsert, [Symbol.asyncDispose]: () => db[Symbol.asyncDispose]() };
	};

	it.each([
		["insert or update", 3],
		["insert", 3],
		["update", 1],
	])("are counted as suppressed: a trigger before %s that returns null", async (when, suppressed) => {
		await using test = await open();
		await test.upsert(row("a", 1, "1"), row("b", 1, "1"), row("c", 9, "9"), row("d", 5, "5", { partition: 1 }));
		for (const statement of keepsOut(when)) await test.db.database.query(statement);
		const batch = [
			row("a", 2, "2"),
			row("b", 2, "no"),
			row("c", 3, "no"),
			row("d", 3, "3"),
			row("e", 4, "no"),
			row("f", 4, "no"),
			row("g", 4, "4"),
		];
		const stale = { replay: 1, older: 0, other_partition: 1 };
		const newOnes = when === "update" ? 3 : 1;
		expect(await test.upsert(...batch)).toEqual({ ...nothing, inserted: newOnes, updated: 1, suppressed, stale });
		// Once more: what was written is a replay now, what was kept out is kept out again.
		const again = await test.upsert(...batch);
		expect(again).toEqual({ ...nothing, suppressed, stale: { replay: 6 - suppressed, older: 0, other_partition: 1 } });
	});

	it("are deletes too", async () => {
		await using test = await open();
		await test.upsert(row("a", 1, "1"));
		await test.db.database.query("create function keep_out() returns trigger language plpgsql as 'begin return null; end'");
		await test.db.database.query("create trigger keep_out before insert or update on events for each row execute function keep_out()");
		const tombstone = { isDelete: true, values: [null, null] };
		expect(await test.upsert(row("a", 2, "", tombstone), row("b", 2, "", tombstone), row("a2", 2, "2"))).toEqual({
			...nothing,
			suppressed: 3,
		});
	});
});

describe("messages whose rows the table does not take", () => {
	it("are finished, and counted by the writer", async () => {
		await using test = await TestWriter.on([layout]);
		for (const statement of keepsOut("insert or update")) await test.db.database.query(statement);
		for (let offset = 1; offset <= 4; offset += 2) {
			const submission = await test.write([
				{ id: "a", offset, values: ["no", null] },
				{ id: "c", offset, values: ["no", null] },
				{ id: `b${offset}`, offset: offset + 1, values: ["yes", null] },
			]);
			expect([submission.settledOffsets.length, submission.refusedOffsets.size]).toEqual([3, 0]);
		}
		expect(test.written.map(({ inserted, suppressed }) => [inserted, suppressed])).toEqual([
			[1, 2],
			[1, 2],
		]);
		expect(test.counts).toMatchObject({ inserted: 2, stale: 0 });
	});
});
