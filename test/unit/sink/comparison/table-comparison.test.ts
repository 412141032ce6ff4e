/**
 * What is said of each id by what the server answers: of the newest row, of optional ones in front of it, and of rows that nobody expects.
 */
import { beforeEach, describe, expect, it } from "vitest";
import type { Candidates, ExpectedRow, ExpectedRows } from "../../../../src/sink/comparison/expected-rows.ts";
import { compareTable } from "../../../../src/sink/comparison/table-comparison.ts";
import type { Database, DatabaseRow } from "../../../../src/sink/database/database.ts";
import { columnOf, layoutOf } from "../../../support/fakes/row-submissions.ts";

const layout = layoutOf({ columns: [columnOf("name", "text"), columnOf("price", "int4")] });

/** A row of the message at `offset`. */
function row(id: string, offset: number, over: Partial<ExpectedRow> = {}): ExpectedRow {
	return { id, topic: "t", partition: 0, offset, timestamp: 5, isDelete: false, values: ["x", "1"], field: null, optional: false, ...over };
}

/** What the server finds of `id@offset`; nothing where it is as expected. `code`: it refuses a statement with that row in it. */
type Found = Partial<Record<"position" | "differs" | "too_long" | "found" | "kafka_offset" | "code", unknown>>;
let found: Record<string, Found>;
/** Rows of the table, for who looks for extras. */
let stored: DatabaseRow[];
let asked: string[][];
let told: unknown[];
let relieved: number;

beforeEach(() => {
	[found, stored, asked, told, relieved] = [{}, [], [], [], 0];
});

function answerTo(name: string, id: string): DatabaseRow[] {
	const answer = found[name];
	if (!answer) return [];
	const origin = { kafka_ts: "5", kafka_partition: "0", kafka_offset: "99", deleted: false };
	return [{ id, too_long: false, found: true, position: 0, differs: "000", ...origin, ...answer }];
}

const database = {
	query: async (text: string, parameters: readonly (string | null)[] = []) => {
		if (text.includes("pg_attribute")) return [{ name: "id", type: "text", folds: false }];
		const [separator = "", , ids = "", , , , offsets = ""] = parameters as string[];
		const at = offsets.split(separator);
		const names = ids.split(separator).map((id, index) => [`${id}@${at[index]}`, id] as const);
		asked.push(names.map(([name]) => name));
		const code = names.map(([name]) => found[name]?.code).find((each) => each !== undefined);
		if (code !== undefined) throw Object.assign(new Error("refused"), { code });
		return names.flatMap(([name, id]) => answerTo(name, id));
	},
	async *stream() {
		if (stored.length > 0) yield stored;
	},
} as unknown as Database;

async function compare(all: readonly Candidates[], { knownIds = false, chosen = (_: string): boolean => true } = {}): Promise<unknown[]> {
	const expected = {
		chosen: { has: chosen },
		async *sorted() {
			yield* all;
		},
	} as unknown as ExpectedRows;
	const listener = {
		matched: (ids: readonly string[]) => told.push(`matched ${ids}`),
		purged: (ids: readonly string[]) => told.push(`purged ${ids}`),
		found: (
			{ kind, id, stored: of, columns, sqlstate, expected: wanted }: Parameters<Parameters<typeof compareTable>[3]["found"]>[0],
			isOptional: boolean,
		) => told.push([kind, id, wanted?.offset ?? null, of?.offset ?? null, columns.join(), sqlstate, isOptional]),
		relieve: async () => void relieved++,
	};
	await compareTable(database, layout, expected, listener, { knownIds });
	return told;
}

describe("an id's newest row", () => {
	it.each<[string, Found, unknown]>([
		["is missing", { found: false }, ["missing", "a", 7, null, "", null, false]],
		["is an older one", { position: -1 }, ["older", "a", 7, 99, "", null, false]],
		["is a newer one", { position: 1 }, ["newer", "a", 7, 99, "", null, false]],
		["has another value", { differs: "010" }, ["different", "a", 7, 99, "price", null, false]],
		["has others, and is no delete", { differs: "101" }, ["different", "a", 7, 99, "name,deleted", null, false]],
		["is too long for its column", { too_long: true, differs: "100" }, ["unwritable", "a", 7, null, "", "22001", false]],
		["is of nobody known", { position: -1, kafka_offset: null }, ["older", "a", 7, null, "", null, false]],
	])("%s", async (_, answer, finding) => {
		found["a@7"] = answer;
		expect(await compare([[row("a", 7)], [row("b", 8)]])).toEqual([finding, "matched b"]);
	});

	it("of a delete whose tombstone is gone is as good as there", async () => {
		found["a@7"] = { found: false };
		expect(await compare([[row("a", 7, { isDelete: true })]])).toEqual(["purged a"]);
	});

	it("that the server refuses is found among the others by halving", async () => {
		found["c@3"] = { code: "22003" };
		found["d@4"] = { position: 1 };
		const all = ["a", "b", "c", "d", "e"].map((id, offset) => [row(id, offset + 1)]);
		expect(await compare(all)).toEqual([
			["unwritable", "c", 3, null, "", "22003", false],
			["newer", "d", 4, 99, "", null, false],
			"matched a,b,e",
		]);
		expect(asked.map(({ length }) => length)).toEqual([5, 3, 2, 1, 2]);
	});

	it("is nothing where the statement fails for another reason", async () => {
		found["a@1"] = { code: "42P01" };
		await expect(compare([[row("a", 1)]])).rejects.toMatchObject({ code: "42P01" });
	});
});

describe("an optional row in front of it", () => {
	const candidates = [row("a", 9, { optional: true }), row("a", 7)];

	it("matches where it is there, and then no other is asked for", async () => {
		expect(await compare([candidates])).toEqual(["matched a"]);
		expect(asked).toEqual([["a@9"]]);
	});

	it("that is not there leaves the row behind it, which matches", async () => {
		found["a@9"] = { position: -1 };
		expect(await compare([candidates, [row("b", 8)]])).toEqual(["matched b,a"]);
		expect(asked).toEqual([["a@9", "b@8"], ["a@7"]]);
	});

	it("that has other contents is a difference, whatever is behind it", async () => {
		found["a@9"] = { differs: "100", kafka_offset: "9" };
		found["a@7"] = { position: 1, kafka_offset: "9" };
		expect(await compare([candidates])).toEqual([["different", "a", 7, 9, "name", null, false]]);
	});

	it("that can't be compared is told with what is found of the other", async () => {
		found["a@9"] = { code: "22003" };
		found["a@7"] = { position: 1 };
		expect(await compare([candidates])).toEqual([["newer", "a", 7, 99, "", null, true]]);
	});

	it.each<[string, Found]>([
		["is missing", { found: false }],
		["can't be written", { code: "22003" }],
	])("alone is no difference where it %s, and what is there all the same is extra", async (_, answer) => {
		found["a@9"] = answer;
		stored = [{ id: "a", kafka_ts: "5", kafka_partition: "0", kafka_offset: "3", deleted: false }];
		expect(await compare([[row("a", 9, { optional: true })]])).toEqual([["extra", "a", null, 3, "", null, true]]);
	});
});

describe("a row that nobody expects", () => {
	const there = (id: string, over: object = {}) => ({
		id,
		kafka_ts: "5",
		kafka_partition: "0",
		kafka_offset: "3",
		deleted: false,
		...over,
	});

	it("is extra, wherever it stands between the others", async () => {
		stored = ["a", "b", "c", "d", "e"].map((id) => there(id));
		expect(await compare([[row("b", 1)], [row("d", 2)]])).toEqual([
			"matched b,d",
			...["a", "c", "e"].map((id) => ["extra", id, null, 3, "", null, false]),
		]);
	});

	it("is nobody's matter where only known ids are looked at, or it was not chosen", async () => {
		stored = [there("a"), there("c")];
		expect(await compare([], { knownIds: true })).toEqual([]);
		expect(await compare([], { chosen: (id) => id === "c" })).toEqual([["extra", "c", null, 3, "", null, false]]);
	});

	it("has no origin where a part of it is missing", async () => {
		stored = [there("a", { kafka_ts: null }), there("b", { kafka_offset: null }), there("c", { kafka_partition: null })];
		expect(await compare([])).toEqual(["a", "b", "c"].map((id) => ["extra", id, null, null, "", null, false]));
	});
});

it("ids are asked for two thousand at a time, fewer where they are large, and the listener is relieved between", async () => {
	await compare(Array.from({ length: 4_001 }, (_, index) => [row(`id-${index}`, index)]));
	expect([asked.map(({ length }) => length), relieved]).toEqual([[2_000, 2_000, 1], 3]);
	[asked, relieved] = [[], 0];
	const large = "x".repeat(2_000_000);
	await compare([1, 2, 3].map((offset) => [row(`id-${offset}`, offset, { values: [large, "1"] })]));
	expect([asked.map(({ length }) => length), relieved]).toEqual([[2, 1], 2]);
});
