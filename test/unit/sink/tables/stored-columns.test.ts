/** What `check` says of a table's columns, by what the catalogue answers. */
import { describe, expect, it } from "vitest";
import type { Database, DatabaseRow } from "../../../../src/sink/database/database.ts";
import { columnFindings, rowFindings, type StoredColumn, storedColumns } from "../../../../src/sink/tables/stored-columns.ts";
import { columnOf, layoutOf } from "../../../support/fakes/row-submissions.ts";

/** Types by their ids, as the server knows them. */
const known: Readonly<Record<string, string>> = { text: "25", int4: "23", bigint: "20", boolean: "16", numeric: "1700", varchar: "1043" };

/** The catalogue: what each question is answered with, by a word of it. */
function catalogue(answers: Readonly<Record<string, readonly DatabaseRow[]>> = {}): Database {
	const query = async (text: string, [parameter]: readonly (string | null)[] = []) => {
		const answer = Object.entries(answers).find(([word]) => text.includes(word));
		if (answer) return answer[1];
		if (!text.includes("to_regtype(t)")) return [];
		return (JSON.parse(parameter as string) as string[]).flatMap((type) => (known[type] ? [{ type, id: known[type] }] : []));
	};
	return { query } as unknown as Database;
}

function stored(columns: Readonly<Record<string, Partial<StoredColumn>>>): Map<string, StoredColumn> {
	return new Map(
		Object.entries(columns).map(([name, column]) => [name, { type: "text", typeId: "25", notNull: false, hasDefault: false, ...column }]),
	);
}

const own = {
	id: { notNull: true },
	kafka_ts: { type: "bigint", typeId: "20", notNull: true },
	kafka_offset: { type: "bigint", typeId: "20", notNull: true },
	kafka_partition: { type: "integer", typeId: "23", notNull: true },
	deleted: { type: "boolean", typeId: "16", notNull: true, hasDefault: true },
};
const layout = layoutOf({ columns: [columnOf("name", "text"), columnOf("price", "numeric(10,2)")] });
const whole = { ...own, name: {}, price: { type: "numeric(10,2)", typeId: "1700" } };

describe("a table's columns", () => {
	it("that are as configured are no finding", async () => {
		expect(await columnFindings(catalogue(), layout, stored(whole))).toEqual({ problems: [], others: [] });
	});

	it("that are missing are named with their types, PocKaffe's own as well", async () => {
		const { name: _, kafka_partition: __, ...rest } = whole;
		expect((await columnFindings(catalogue(), layout, stored(rest))).problems).toEqual([
			"column name (text) is missing",
			"column kafka_partition (int4) is missing",
		]);
	});

	it.each([
		["another type", { price: { type: "integer", typeId: "23" } }, ["column price is integer, not numeric(10,2)"]],
		["another length", { price: { type: "numeric(8,2)", typeId: "1700" } }, ["column price is numeric(8,2), not numeric(10,2)"]],
		["a length where none is configured", { name: { type: "text(8)", typeId: "25" } }, []],
	])("of %s are told, and keep nothing from being written", async (_, over, others) => {
		expect(await columnFindings(catalogue(), layout, stored({ ...whole, ...over }))).toEqual({ problems: [], others });
	});

	it("of a type that the server hasn't are told once, with the nearest", async () => {
		const odd = layoutOf({ columns: [columnOf("name", "txet")] });
		const { problems, others } = await columnFindings(catalogue(), odd, stored({ ...own, name: {} }));
		expect([problems, others]).toEqual([["column name: the server has no type txet (the nearest is text)"], []]);
	});

	it("that decide which version is newer must be as configured, and round no more", async () => {
		const version = { kind: "field", column: "price" } as never;
		const by = (type: string) => layoutOf({ columns: [columnOf("price", type)], version });
		const asked = async (type: string, price: Partial<StoredColumn>) =>
			(await columnFindings(catalogue(), by(type), stored({ ...own, price }))).problems;
		const why = "and decides which version is newer: configure it as it is, or alter it";
		expect(await asked("numeric", { type: "bigint", typeId: "20" })).toEqual([`column price is bigint, not numeric, ${why}`]);
		expect(await asked("numeric", { type: "numeric(10,0)", typeId: "1700" })).toEqual([`column price is numeric(10,0), ${why}`]);
		expect(await asked("numeric", { type: "numeric", typeId: "1700" })).toEqual([]);
		expect(await asked("numeric(10,0)", { type: "numeric(10,0)", typeId: "1700" })).toEqual([]);
	});

	it("come from the catalogue by name", async () => {
		const rows = [{ name: "a", type: "character varying(8)", type_id: "1043", not_null: true, has_default: false }];
		expect(await storedColumns(catalogue({ pg_attribute: rows }), "events")).toEqual(
			new Map([["a", { type: "character varying(8)", typeId: "1043", notNull: true, hasDefault: false }]]),
		);
	});
});

describe("what only a row would meet", () => {
	const stranger = { ...whole, total: { notNull: true } };
	const words = "column total is not configured, not null and without default";

	it("is nothing where every column is configured", async () => {
		expect(await rowFindings(catalogue(), layout, stored(whole))).toEqual({ problems: [], warnings: [] });
	});

	it("is a column that nobody fills", async () => {
		expect(await rowFindings(catalogue(), layout, stored(stranger))).toEqual({
			problems: [`${words}: every insert would fail`],
			warnings: [],
		});
	});

	it("is none that has a default, or may be null", async () => {
		for (const total of [{ notNull: true, hasDefault: true }, { notNull: false }])
			expect(await rowFindings(catalogue(), layout, stored({ ...whole, total }))).toEqual({ problems: [], warnings: [] });
	});

	it("is a warning where a trigger may fill it", async () => {
		expect(await rowFindings(catalogue({ pg_trigger: [{ found: true }] }), layout, stored(stranger))).toEqual({
			problems: [],
			warnings: [`${words}: a row is written only if a trigger fills it`],
		});
	});

	it("is a column that a delete nulls", async () => {
		const { warnings, problems } = await rowFindings(catalogue(), layout, stored({ ...whole, name: { notNull: true } }));
		expect([problems, warnings]).toEqual([[], [expect.stringMatching(/^column name is not null, but a delete nulls it/)]]);
	});

	it("is a key that is looked at only at the end", async () => {
		const { problems } = await rowFindings(catalogue({ pg_index: [{ found: true }] }), layout, stored(whole));
		expect(problems).toEqual([expect.stringMatching(/^the key on id is deferrable.*55000/)]);
	});

	it("of a view is what its table has, and it does not show", async () => {
		const below = {
			"with recursive below": [{ id: "77" }],
			"pg_depend d on d.classid = 'pg_rewrite'::regclass and d.refclassid": [{ name: "id" }],
		};
		const columns = [{ name: "total", type: "text", type_id: "25", not_null: true, has_default: false }];
		const { problems } = await rowFindings(catalogue({ ...below, atthasdef: columns }), layout, stored(whole));
		expect(problems).toEqual(["column total is not in the view, not null and without default: every insert would fail"]);
	});
});
