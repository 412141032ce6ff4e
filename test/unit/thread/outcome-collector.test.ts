/** What the outcomes of a run come to: how they are counted, and what a bad one leaves behind. */
import { beforeEach, describe, expect, it } from "vitest";
import { type CollectorOptions, OutcomeCollector } from "../../../src/worker/inside/outcome-collector.ts";
import { idsOf } from "../../support/fakes/row-blocks.ts";
import { columnOf, layoutOf } from "../../support/fakes/row-submissions.ts";

const events = layoutOf({ name: "events", columns: [columnOf("name", "text"), columnOf("amount", "integer")] });
const orders = layoutOf({ name: "orders", columns: [columnOf("name", "text")] });

let collector: OutcomeCollector;
const open = (over: Partial<CollectorOptions> = {}) => {
	const made = new OutcomeCollector({ tables: [events], maxOutcomeBytes: 1_000, lenient: false, ...over });
	const indexes = Array.from({ length: 20 }, (_, index) => index);
	made.begin({ from: 0, offsets: indexes, timestamps: indexes });
	return made;
};
beforeEach(() => {
	collector = open();
});
const row = (id: string, fields: object = {}) => ({ id, fields });
/** What adding it says. */
function refusal(outcome: unknown, on = collector): string {
	try {
		on.add(19, outcome);
	} catch (error) {
		return (error as Error).message;
	}
	return "it was taken";
}

describe("a message", () => {
	it("counts once, by what it gave: nothing, rows, a delete among them, records alone, a reject", () => {
		const outcomes = [
			...[undefined, null, []],
			...[row("a"), [row("b"), row("c")]],
			...[{ id: "d", delete: true }, [row("e"), { id: "f", delete: true }, row("g")], [{ id: "h", delete: true }]],
			...[{ produce: [{ topic: "t", value: "1" }] }, [{ produce: [{ topic: "t", value: "2" }] }]],
			...[{ reject: "no" }],
		];
		for (const [message, outcome] of outcomes.entries()) collector.add(message, outcome);
		expect(collector.take(outcomes.length)).toMatchObject({
			from: 0,
			to: 11,
			rows: 8,
			counts: { none: 3, row: 2, delete: 3, rejected: 1 },
			records: { count: 2, only: 2 },
			rejected: [{ message: 10, why: "no" }],
		});
	});

	it("with a row and a record counts by its row; an empty list of records is nothing", () => {
		collector.add(0, { ...row("a"), produce: [{ topic: "t", value: "1" }] });
		collector.add(1, { produce: [] });
		expect(collector.take(2)).toMatchObject({ counts: { row: 1, none: 1 }, records: { count: 1, only: 0 } });
	});

	it("whose row can't be written counts as a row, and is told with its table, id and SQLSTATE", () => {
		collector.add(3, [row("a", { amount: 1 }), row("b", { name: "\0" })]);
		const { rows, faults, counts } = collector.take(4);
		expect([rows, counts.row, faults]).toEqual([
			1,
			1,
			[
				{
					message: 3,
					fault: { table: "events", rowId: "b", sqlstate: "22021", message: expect.stringContaining("column name of events") },
				},
			],
		]);
	});

	it("whose id is a number counts the bytes of its text", () => {
		collector.add(0, { id: 1234, fields: {} });
		const { bytes } = collector;
		collector.add(1, row("5678"));
		expect(collector.bytes).toBe(2 * bytes);
		expect(
			collector
				.take(2)
				.blocks.flatMap((block) => idsOf(block))
				.sort(),
		).toEqual(["1234", "5678"]);
	});

	it("is rejected for a reason of 8,000 characters at most, without what Postgres can't store", () => {
		collector.add(0, { reject: `\0${"x".repeat(7_999)}` });
		collector.add(1, { reject: `${"y".repeat(8_000)}z` });
		expect(collector.take(2).rejected.map(({ why }) => why)).toEqual(["x".repeat(7_999), `${"y".repeat(8_000)}…`]);
	});
});

describe("a bad outcome", () => {
	it("leaves nothing of its message behind: rows, refused rows, records, counts", () => {
		collector.add(0, { ...row("kept"), produce: [{ topic: "t", value: "kept" }] });
		collector.add(1, row("x", { name: "\0" }));
		const produce = [{ topic: "t", value: "gone" }];
		expect(refusal([{ ...row("gone"), produce }, row("refused", { name: "\0" }), row("bad", { nam: 1 })])).toContain("no column");
		const { rows, blocks, faults, records, counts } = collector.take(2);
		expect([rows, blocks.flatMap((block) => idsOf(block)), faults.map(({ message }) => message)]).toEqual([1, ["kept"], [1]]);
		expect([records?.count, records?.only, counts]).toEqual([1, 0, { row: 2, delete: 0, none: 0, rejected: 0 }]);
	});

	it("does not count its bytes, nor its deletes for the next message", () => {
		collector.add(0, row("a"));
		const { bytes } = collector;
		refusal([{ id: "b", delete: true }, row("c", { nam: 1 })]);
		expect([collector.bytes, bytes > 0]).toEqual([bytes, true]);
		collector.add(1, row("d"));
		expect(collector.take(2).counts).toEqual({ row: 2, delete: 0, none: 0, rejected: 0 });
	});

	it.each([
		["text", "row", "an outcome is nothing, {id, fields}, {id, delete: true}, {reject}, {produce} or a list of rows, not a string"],
		["a row in a list in a list", [[row("a")]], "not a list of 1"],
		["a row without an id", { fields: {} }, "not an object with fields"],
		["a row with a stranger", { ...row("a"), field: 1 }, "a row has id, fields, table, delete and produce, but no field"],
		["a stranger without an id", { ids: 1 }, "not an object with ids"],
		["delete that is no boolean", { id: "a", delete: 1 }, "delete must be true, not a number"],
		["a reject that is no text", { reject: 1 }, "reject must be a string that says why, not a number"],
		["a reject that produces", { reject: "no", produce: [] }, "a rejected message produces nothing: reject or produce"],
		["records with half a row", { produce: [], fields: {} }, "a row must have an id; records alone are {produce: […]}"],
		["records with a table", { produce: [], table: "events" }, "a row must have an id; records alone are {produce: […]}"],
		["records with a delete", { produce: [], delete: true }, "a row must have an id; records alone are {produce: […]}"],
		["records beside an id that is inherited", Object.assign(Object.create({ id: "a" }), { produce: [] }), "an outcome is nothing"],
		["a table that is none", { ...row("a"), table: "orders" }, '"orders" is no configured table (events)'],
		["a table that is no text", { ...row("a"), table: 7 }, "a number is no configured table (events)"],
		["a field that is none", row("a", { Name: 1 }), 'events has no column for the field "Name"'],
	])("is %s", (_, outcome, words) => {
		expect(refusal(outcome)).toContain(words);
	});

	it("is one of more bytes than an outcome may have, all its rows together", () => {
		const large = open({ maxOutcomeBytes: 1_000 });
		const name = "x".repeat(400);
		expect(refusal([row("a", { name }), row("b", { name })], large)).toBe("it was taken");
		expect(refusal([row("a", { name }), row("b", { name }), row("c", { name })], large)).toMatch(
			/^the outcome has 1\d{3} bytes, more than handler.maxOutcomeBytes \(1000\)$/,
		);
		expect(refusal(Array(10_000), large)).toBe("a list of 10000 rows is more than handler.maxOutcomeBytes (1000) can be");
	});
});

describe("a row that names no table", () => {
	it("goes to the only one; with several it must name one, with none there can't be a row", () => {
		expect(refusal(row("a"))).toBe("it was taken");
		expect(refusal(row("a"), open({ tables: [events, orders] }))).toBe("a row must name its table: events, orders");
		expect(refusal(row("a"), open({ tables: [] }))).toBe("no table is configured for rows");
		expect(refusal({ ...row("a"), table: "x" }, open({ tables: [] }))).toBe('"x" is no configured table (there is none)');
	});
});

describe("unknown fields that are let pass", () => {
	it("are warned about once for each table", () => {
		const lenient = open({ tables: [events, orders], lenient: true });
		expect(lenient.hasWarned("events")).toBe(false);
		for (const table of ["events", "orders", "events"]) lenient.add(0, { ...row("a", { nam: 1, other: 2 }), table });
		expect([lenient.hasWarned("events"), lenient.hasWarned("orders")]).toEqual([true, true]);
		expect(lenient.take(1).warnings).toEqual([
			'events has no column for the field "nam" (and maybe others): ignored',
			'orders has no column for the field "nam" (and maybe others): ignored',
		]);
		lenient.add(1, { ...row("b", { nam: 1 }), table: "events" });
		expect(lenient.take(2).warnings).toEqual([]);
	});
});

describe("a mark", () => {
	it("is gone back to with all that was added since", () => {
		collector.add(0, { ...row("a"), produce: [{ topic: "t", value: "1" }] });
		collector.add(1, { produce: [{ topic: "t", value: "2" }] });
		collector.add(2, { reject: "no" });
		collector.add(3, row("x", { name: "\0" }));
		const mark = collector.mark();
		collector.add(4, { id: "b", delete: true, produce: [{ topic: "u", value: "3" }] });
		collector.add(5, { produce: [{ topic: "t", value: "4" }] });
		collector.add(6, { reject: "nor this" });
		collector.add(7, row("y", { name: "\0" }));
		collector.add(8, null);
		collector.rollBack(mark);
		expect(collector.take(4)).toMatchObject({
			rows: 1,
			faults: [{ message: 3 }],
			rejected: [{ message: 2 }],
			counts: { row: 2, delete: 0, none: 0, rejected: 1 },
			records: { count: 2, only: 1 },
		});
	});

	it("before any record is gone back to without them", () => {
		const mark = collector.mark();
		collector.add(0, { produce: [{ topic: "t", value: "1" }] });
		collector.rollBack(mark);
		expect(collector.take(0)).not.toHaveProperty("records");
	});
});

describe("a run", () => {
	it("is told in parts: each begins where the last one ended, and has only what came since", () => {
		collector.add(0, row("a"));
		collector.timed(3);
		collector.warn("mind the gap");
		expect(collector.take(2)).toMatchObject({ from: 0, to: 2, rows: 1, durationsMs: Float64Array.of(3), warnings: ["mind the gap"] });
		collector.add(2, { id: "b", delete: true });
		expect([collector.bytes > 0, collector.take(3)]).toMatchObject([
			true,
			{ from: 2, to: 3, rows: 1, counts: { row: 0, delete: 1 }, durationsMs: new Float64Array(), warnings: [] },
		]);
		expect(collector.bytes).toBe(0);
	});

	it("may be told by the messages that were handled, the first of them first", () => {
		expect(collector.take(9, { handled: [4, 7] })).toMatchObject({ from: 4, to: 9, handled: [4, 7] });
	});

	it("counts rows that were read without the handler, and their bytes", () => {
		collector.addRead(30, false);
		collector.addRead(12, true);
		collector.addRead(5, false);
		expect(collector.bytes).toBe(47);
		expect(collector.take(3)).toMatchObject({ rows: 3, counts: { row: 2, delete: 1 } });
	});

	it("that begins drops what an unfinished one left", () => {
		collector.add(0, { ...row("a"), produce: [{ topic: "t", value: "1" }] });
		collector.add(1, { reject: "no" });
		collector.warn("old");
		collector.timed(9);
		collector.begin({ from: 5, offsets: [50], timestamps: [1] });
		expect(collector.take(6)).toEqual({
			...{ from: 5, to: 6, blocks: [], rows: 0, faults: [], rejected: [], warnings: [] },
			...{ counts: { row: 0, delete: 0, none: 0, rejected: 0 }, durationsMs: new Float64Array() },
		});
	});

	it("whose records are only checked says that there were some", () => {
		const checking = open({ keepsRecords: false });
		expect(checking.take(0)).not.toHaveProperty("recordsLeftOut");
		checking.add(0, { produce: [{ topic: "t", value: "1" }] });
		expect(checking.take(1)).toMatchObject({ recordsLeftOut: true });
	});
});
