/** What of an outcome counts: own properties of plain objects, and nothing that would be a NULL by accident. */
import { afterEach, describe, expect, it } from "vitest";
import { callBatches } from "../../../src/worker/inside/batch-calls.ts";
import { OutcomeCollector } from "../../../src/worker/inside/outcome-collector.ts";
import { columnsOf, idsOf } from "../../support/fakes/row-blocks.ts";
import { columnOf, layoutOf } from "../../support/fakes/row-submissions.ts";

const price = { ...columnOf("amount", "bigint"), path: ["price", "amount"] };
const tables = [layoutOf({ columns: [columnOf("n", "text"), columnOf("doc", "jsonb"), price] })];

function collectorFor(count: number) {
	const collector = new OutcomeCollector({ tables, maxOutcomeBytes: 100_000, lenient: false });
	const indexes = Array.from({ length: count }, (_, index) => index);
	collector.begin({ from: 0, offsets: indexes, timestamps: indexes });
	return collector;
}

function collect(...outcomes: readonly unknown[]) {
	const collector = collectorFor(outcomes.length);
	for (const [index, outcome] of outcomes.entries()) collector.add(index, outcome);
	return collector.take(outcomes.length);
}

describe("a property that every object inherits", () => {
	const pollute = (name: string, value: unknown) =>
		Object.defineProperty(Object.prototype, name, { value, configurable: true, enumerable: true });
	const names = ["delete", "reject", "table", "id", "fields", "n", "amount"];

	afterEach(() => {
		for (const name of names) Reflect.deleteProperty(Object.prototype, name);
	});

	it.each(names)("(%s) says nothing about a row", (name) => {
		const row = { id: "a", fields: { doc: 1 } };
		pollute(name, name === "fields" ? { n: "everybody's" } : true);
		const { blocks, counts, rejected } = collect(row);
		for (const each of names) Reflect.deleteProperty(Object.prototype, each);
		expect([idsOf(blocks[0]), columnsOf(blocks[0]), counts.row, rejected]).toEqual([["a"], [[null], ["1"], [null]], 1, []]);
	});
});

it("a batch whose half went well after a call with all of it had failed was called with all of it", async () => {
	const call = async (from: number, to: number) => {
		if (to - from > 2) throw new Error("one of four");
		return { outcomes: [{ id: "a", fields: {} }, null], finishedTo: 1 };
	};
	const calls = { call, mayRenew: true, mustEnd: () => false, again: async () => null, failureIn: (error: unknown) => error as never };
	const end = await callBatches(0, 4, collectorFor(4), calls);
	expect(end).toEqual({ to: 2, failure: null, calledTo: 4, finished: { from: 0, to: 1 } });
});

it("a batch's outcomes beside its finishedTo are those of its messages; without any it made nothing of them", async () => {
	const calls = { mayRenew: true, mustEnd: () => false, again: async () => null, failureIn: (error: unknown) => error as never };
	const countsOf = async (returned: object) => {
		const collector = collectorFor(3);
		await callBatches(0, 3, collector, { ...calls, call: async () => returned });
		return collector.take(3).counts;
	};
	const outcomes = [{ id: "a", fields: {} }, null, { id: "b", delete: true }];
	expect(await countsOf({ outcomes, finishedTo: 2 })).toEqual({ row: 1, delete: 1, none: 1, rejected: 0 });
	expect(await countsOf({ finishedTo: 2 })).toEqual({ row: 0, delete: 0, none: 3, rejected: 0 });
});

it("a row that names another table than the only one is refused with the names that there are", () => {
	expect(() => collect({ table: "elsewhere", id: "a", fields: {} })).toThrow('"elsewhere" is no configured table (events)');
	expect(() => collect({ table: 7, id: "a", fields: {} })).toThrow("is no configured table (events)");
	expect(collect({ table: "events", id: "a", fields: {} }, { id: "b", fields: {} }).counts.row).toBe(2);
});

it("a run that begins has nothing of one that was not finished", () => {
	const collector = collectorFor(2);
	collector.add(0, { reject: "no" });
	collector.add(1, { id: "a", fields: {} });
	collector.begin({ from: 0, offsets: [0, 1], timestamps: [0, 1] });
	collector.add(0, null);
	const { blocks, rows, counts, rejected } = collector.take(1);
	expect([blocks.length, rows, counts, rejected]).toEqual([0, 0, { row: 0, delete: 0, none: 1, rejected: 0 }, []]);
});

it("a finishedTo that every object inherits leaves no message of a batch open", async () => {
	const calls = { mayRenew: true, mustEnd: () => false, again: async () => null, failureIn: (error: unknown) => error as never };
	Object.defineProperty(Object.prototype, "finishedTo", { value: true, configurable: true });
	const rows = [{ id: "a", fields: {} }];
	const end = await callBatches(0, 1, collectorFor(1), { ...calls, call: async () => rows });
	const refused = await callBatches(0, 1, collectorFor(1), { ...calls, call: async () => ({}) });
	Reflect.deleteProperty(Object.prototype, "finishedTo");
	expect([end, String(refused.failure)]).toEqual([
		{ to: 1, failure: null, calledTo: 1 },
		expect.stringContaining("handleMessages returns a list of 1 outcomes"),
	]);
});

describe("fields that are no plain object", () => {
	class Entity {
		readonly doc = 1;
		get n(): string {
			return "from a getter";
		}
	}

	it.each<[what: string, fields: unknown, words: RegExp]>([
		["a promise", Promise.resolve({ n: "1" }), /is an await missing/],
		["a Map", new Map([["n", "1"]]), /not a Map/],
		["a Set", new Set(["1"]), /not a Set/],
		["a typed array", new Float64Array(2), /not a Float64Array/],
		["bytes", Buffer.from("{}"), /not bytes/],
		["an object over defaults", Object.create({ n: "1" }), /n is inherited or a getter of a class/],
		["an entity with getters", new Entity(), /n is inherited or a getter of a class/],
		["a promise on the way to a value", { price: Promise.resolve({ amount: 1 }) }, /price in a row's fields.*is an await missing/],
		["a Map on the way to a value", { price: new Map([["amount", 1]]) }, /price in a row's fields.*not a Map/],
	])("%s: refused with words that help, and no row of NULLs", (_, fields, words) => {
		expect(() => collect({ id: "a", fields })).toThrow(words);
	});

	it.each<[what: string, doc: unknown, words: RegExp]>([
		["a promise", Promise.resolve(1), /doc of .*is an await missing/],
		["a promise deep inside", { a: [1, { b: Promise.resolve(1) }] }, /is an await missing/],
		["a Map", new Map(), /can't take a Map/],
		["a Set in a list", [new Set()], /can't take a Set/],
		["a typed array", { a: new Int32Array(2) }, /can't take a Int32Array/],
		["an Error", [new Error("no")], /can't take an Error: are its message or stack meant/],
		["a regular expression", /a/, /can't take a RegExp/],
	])("%s in a json column: refused, and not {}", (_, doc, words) => {
		expect(() => collect({ id: "a", fields: { doc } })).toThrow(words);
	});

	it("are taken without a prototype, and of a class with properties of its own", () => {
		class Plain {
			readonly n = "1";
		}
		const { blocks } = collect({ id: "a", fields: Object.assign(Object.create(null), { n: "0" }) }, { id: "b", fields: new Plain() });
		expect(columnsOf(blocks[0])[0]).toEqual(["0", "1"]);
	});
});

describe("an outcome", () => {
	it("counts a property that is undefined as absent", () => {
		const { blocks, counts } = collect({ id: "a", fields: { n: "1" }, table: undefined, delete: undefined, reject: undefined });
		expect([idsOf(blocks[0]), counts.row]).toEqual([["a"], 1]);
	});

	it("of billions of holes is refused at once", () => {
		const rows: unknown[] = [];
		rows[4_100_000_000] = { id: "a", fields: {} };
		expect(() => collect(rows)).toThrow(/a list of 4100000001 rows is more than handler\.maxOutcomeBytes \(100000\) can be/);
	});

	it("that is rejected keeps a reason for people, not a document", () => {
		const { rejected } = collect({ reject: "x".repeat(100_000) });
		expect(rejected[0]?.why.length).toBe(8_001);
	});
});
