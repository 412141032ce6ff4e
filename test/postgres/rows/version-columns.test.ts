/** A version column's values: what is compared while rows wait is what the server compares once they are written. */
import { describe, expect, it } from "vitest";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import { checkTables } from "../../../src/sink/tables/schema-check.ts";
import { RowEncoder } from "../../../src/worker/inside/rows/row-encoder.ts";
import { columnOf } from "../../support/fakes/row-blocks.ts";
import { columnOf as column, layoutOf, submissionOf } from "../../support/fakes/row-submissions.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";

function versionedBy(type: string): TableLayout {
	const [base = ""] = type.split("(");
	return layoutOf({
		columns: [column("v", type), column("name", "text")],
		version: { kind: "field", column: "v", type: base as "numeric" },
	});
}

/** Writes a row per value, offsets ascending, in these batches; returns the name that is left. */
async function lastOf(type: string, batches: readonly (readonly unknown[])[]): Promise<unknown> {
	const layout = versionedBy(type);
	await using test = await TestWriter.on([layout]);
	let offset = 0;
	for (const values of batches) {
		const encoder = new RowEncoder(layout);
		for (const [message, v] of values.entries()) expect(encoder.upsert(message, "a", { v, name: String(v) })).toHaveProperty("bytes");
		const submission = submissionOf(
			layout,
			values.map(() => ({ id: "a", offset: offset++ })),
		);
		const encoded = Object.assign(submission, { blocks: encoder.take({ from: 0, ...submission.batch }) });
		test.writer.write(encoded);
		await encoded.done;
	}
	const [row] = await test.rows("select name from events");
	return row?.name;
}

describe("a version column", () => {
	it.each([
		["numeric(10,2)", ["1.004", "1.001"], "1.001"],
		["numeric(10,2)", ["1.006", "1.004"], "1.006"],
		["numeric(4)", ["7.4", "6.5"], "6.5"],
		["numeric", ["1.004", "1.001"], "1.004"],
		["bigint", ["9007199254740993", "9007199254740992"], "9007199254740993"],
		["timestamptz", ["2026-01-01T00:00:00.123456789Z", "2026-01-01T01:00:00.1234569+01:00"], "2026-01-01T01:00:00.1234569+01:00"],
	])("of type %s decides the same in one batch and in several: %j", async (type, values, newest) => {
		expect(await lastOf(type, [values])).toBe(newest);
		expect(
			await lastOf(
				type,
				values.map((value) => [value]),
			),
		).toBe(newest);
	});

	it.each([
		["numeric(10,2)", "0.005 -0.005 1.005 9.995 -9.995 99999999.994 1e-3 5e-3 12.5e1 .5 0 -0.004 00012.345"],
		["numeric(3,0)", "0.5 1.5 -0.5 999.4 0.49999"],
		["numeric(3,-2)", "49 50 149 151 -151 99949 0.5"],
		["numeric(2,4)", "0.00005 0.00004 0.0099"],
		["numeric", "1.50 1e3 -0.0"],
		["timestamptz", "2026-12-31T23:59:59.9999996Z 2026-01-01T00:00:00.1234564999+02 2024-02-29T24:00:00Z 2026-01-01T00:00Z"],
		["timestamptz", "2016-12-31T23:59:60Z 2026-01-01T00:00:60.5+01 infinity -Infinity"],
	])("of type %s is rounded as the server does", async (type, values) => {
		await using test = await TestWriter.on([]);
		await test.rows("set timezone to 'UTC'");
		for (const value of values.split(" ")) {
			const encoder = new RowEncoder(versionedBy(type));
			encoder.upsert(0, "a", { v: value, name: "x" });
			const sent = columnOf(encoder.take({ from: 0, offsets: [0], timestamps: [0] })[0], 0)[0];
			const [row] = await test.db.database.query(
				`select $1::text::${type} = $2::text::${type} as same, $2::text::${type} = $2::text::${type.split("(")[0]} as exact`,
				[value, sent ?? ""],
			);
			expect([value, sent, row]).toEqual([value, sent, { same: true, exact: true }]);
		}
	});

	it("of type numeric is stored with the zeros it was written with", async () => {
		await using test = await TestWriter.on([]);
		for (const value of ["1.50", "1.0", "0.00", "-0.0", "-1.500", "1.50e1", "100e-2", "1e3", "0.00e5", "2.", "00.10"]) {
			const encoder = new RowEncoder(versionedBy("numeric"));
			encoder.upsert(0, "a", { v: value, name: "x" });
			const sent = columnOf(encoder.take({ from: 0, offsets: [0], timestamps: [0] })[0], 0)[0];
			const [row] = await test.db.database.query("select $1::text::numeric::text as stored", [value]);
			expect([value, sent]).toEqual([value, row?.stored]);
		}
		expect(await lastOf("numeric", [["1.5", "1.50"]])).toBe("1.50");
		expect(await lastOf("numeric", [["1.50", "1.5"], ["1.500"], ["1.49"]])).toBe("1.500");
	});

	it("doesn't take a day that is none for another", () => {
		const encoder = new RowEncoder(versionedBy("timestamptz"));
		for (const v of [
			"2026-02-30T00:00:00Z",
			"2026-04-31T00:00:00Z",
			"9999-12-31T23:59:59-05:00",
			"2026-01-01T24:00:60Z",
			"2026-01-01T00:00:61Z",
			"2026-01-01T00:00:60.9999999Z",
		]) {
			expect(encoder.upsert(0, "a", { v, name: "x" })).toMatchObject({ fault: { sqlstate: "22008" } });
		}
	});

	it("that rounds more than it is configured to is found by the check", async () => {
		await using test = await TestWriter.on([versionedBy("numeric(10,2)")]);
		expect(await checkTables(test.db.database, [versionedBy("numeric(10,2)")])).toMatchObject([{ problems: [] }]);
		expect(await checkTables(test.db.database, [versionedBy("numeric")])).toMatchObject([
			{ problems: [expect.stringMatching(/^column v is numeric\(10,2\), and decides which version is newer/)] },
		]);
	});
});
