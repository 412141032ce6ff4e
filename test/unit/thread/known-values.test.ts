/** Built-ins that a handler put out of order without a row getting lost: what is made of values differs, and that is found. */
import { afterEach, describe, expect, it } from "vitest";
import { OutcomeCollector } from "../../../src/worker/inside/outcome-collector.ts";
import { KnownValues } from "../../../src/worker/inside/rows/known-values.ts";
import { columnOf, layoutOf } from "../../support/fakes/row-submissions.ts";

const columns = [columnOf("name", "text"), columnOf("at", "timestamptz"), columnOf("doc", "jsonb"), columnOf("raw", "bytea")];
const byInteger = layoutOf({ columns, id: { column: "id", type: "bigint" } });
const byUuid = layoutOf({ name: "byUuid", columns, id: { column: "id", type: "uuid" } });
const byVersion = layoutOf({
	name: "byVersion",
	columns: [columnOf("v", "numeric(10,2)")],
	version: { kind: "field", column: "v", type: "numeric" },
});

const undo: (() => void)[] = [];
function patch(owner: object, name: PropertyKey, value: unknown): void {
	const before = Object.getOwnPropertyDescriptor(owner, name);
	undo.push(() => (before ? Object.defineProperty(owner, name, before) : Reflect.deleteProperty(owner, name)));
	Object.defineProperty(owner, name, { value, configurable: true, writable: true });
}

const patches: readonly [what: string, ...Parameters<typeof patch>][] = [
	["a toJSON of all lists", Array.prototype, "toJSON", () => "patched"],
	["a toJSON of all objects", Object.prototype, "toJSON", () => "patched"],
	["String.prototype.includes", String.prototype, "includes", () => true],
	["String.prototype.isWellFormed", String.prototype, "isWellFormed", () => false],
	["String.prototype.trim", String.prototype, "trim", () => ""],
	["String.prototype.toLowerCase", String.prototype, "toLowerCase", () => ""],
	["Date.prototype.toISOString", Date.prototype, "toISOString", () => "1970-01-01T00:00:00.000Z"],
	["Date.prototype.getTime", Date.prototype, "getTime", () => Number.NaN],
	["RegExp.prototype.exec", RegExp.prototype, "exec", () => null],
	["Buffer.prototype.toString", Buffer.prototype, "toString", () => "x"],
	["what is an instance of Uint8Array", Uint8Array, Symbol.hasInstance, () => false],
	["BigInt", globalThis, "BigInt", () => 7n],
];

describe("known values", () => {
	afterEach(() => {
		for (const each of undo.splice(0)) each();
	});

	it.each(patches)("are made other texts of where a handler changes %s", (_, owner, name, value) => {
		const known = new KnownValues([byInteger, byUuid, byVersion]);
		expect(known.changed).toBe(false);
		patch(owner, name, value);
		const { changed } = known;
		for (const each of undo.splice(0)) each();
		expect([changed, known.changed]).toEqual([true, false]);
	});

	it("are what they were where a built-in was replaced by one that does the same", () => {
		const known = new KnownValues([byInteger]);
		const { toISOString } = Date.prototype;
		patch(Date.prototype, "toISOString", function (this: Date) {
			return toISOString.call(this);
		});
		expect(known.changed).toBe(false);
	});

	it("are what the module made of them when it was loaded: what it changes by then is its own wish", () => {
		patch(Array.prototype, "toJSON", () => "patched");
		expect(new KnownValues([byInteger]).changed).toBe(false);
	});
});

it("an answer is not given where a handler put built-ins out of order", () => {
	const collector = new OutcomeCollector({ tables: [byUuid], maxOutcomeBytes: 10_000, lenient: false });
	collector.begin({ from: 0, offsets: [0], timestamps: [0] });
	patch(String.prototype, "includes", () => true);
	const take = () => collector.take(1);
	try {
		expect(take).toThrow(/changed built-ins/);
	} finally {
		for (const each of undo.splice(0)) each();
	}
	expect(take().rows).toBe(0);
});
