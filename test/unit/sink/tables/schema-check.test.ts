/** What `check` says of tables, by what the catalogue and the server answer: what keeps rows out, and what does not. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Database, DatabaseRow, Statement } from "../../../../src/sink/database/database.ts";
import { checkOwnTables, checkTables } from "../../../../src/sink/tables/schema-check.ts";
import { columnOf, layoutOf } from "../../../support/fakes/row-submissions.ts";

const layout = layoutOf({ columns: [columnOf("name", "text")] });
const typeIds: Readonly<Record<string, string>> = { text: "25", int4: "23", bigint: "20", boolean: "16" };
const column = (name: string, type = "text", not_null = true) => ({
	name,
	type,
	type_id: typeIds[type] ?? "0",
	not_null,
	has_default: false,
});

/** The server: a table that is as it must be, or not there, and what its role may do. */
let server: {
	isThere: boolean;
	rights: DatabaseRow | null;
	columns: DatabaseRow[];
	mayCreate: DatabaseRow;
	mayAlter: boolean;
	isView: boolean;
	nulls: number | "never answers";
	/** What it refuses the statement with that writes rows, at which of the statements. */
	refuses: { code: string; statement?: number } | null;
};
let ran: string[];

beforeEach(() => {
	ran = [];
	server = {
		isThere: true,
		rights: { schema: "public", is_usable: true, role: "app", can_select: true, can_insert: true, can_update: true },
		columns: [
			...[column("id"), column("name", "text", false), column("kafka_ts", "bigint"), column("kafka_offset", "bigint")],
			...[column("kafka_partition", "int4"), column("deleted", "boolean")],
		],
		mayCreate: { may: true, there: false },
		mayAlter: true,
		isView: false,
		nulls: 0,
		refuses: null,
	};
});

const database = {
	query: async (text: string, [parameter]: readonly (string | null)[] = []): Promise<readonly DatabaseRow[]> => {
		if (text.includes("has_table_privilege")) return server.rights ? [server.rights] : [];
		if (text.includes("has_schema_privilege")) return [server.mayCreate];
		if (text.includes("pg_has_role")) return [{ may: server.mayAlter }];
		if (text.includes("atthasdef")) return server.columns;
		if (text.includes("to_regtype(t)"))
			return (JSON.parse(parameter as string) as string[]).flatMap((type) => (typeIds[type] ? [{ type, id: typeIds[type] }] : []));
		if (text.includes("relkind = 'v' as is_view")) return [{ is_view: server.isView }];
		if (text.includes("count(*)")) {
			if (server.nulls === "never answers") throw new Error("no answer");
			return [{ rows: server.nulls }];
		}
		if (text.includes("current_user::text as role")) return [{ role: "app" }];
		if (text.includes("to_regclass($1::text) is not null")) return [{ found: server.isThere }];
		return [];
	},
	transaction: async (statements: readonly Statement[]) => {
		ran.push(statements.map(({ text }) => text.trim().split(/\s/)[0]).join(" "));
		if (server.refuses) throw Object.assign(new Error("refused"), server.refuses);
		return [];
	},
} as unknown as Database;

const check = async (over = {}) => (await checkTables(database, [{ ...layout, ...over }]))[0];

describe("a table", () => {
	it("that is as it must be is no finding; the statement that writes it was tried, and taken back", async () => {
		expect(await check()).toEqual({ table: layout.name, problems: [], warnings: [] });
		expect(ran).toEqual(["with rollback"]);
	});

	it("whose schema may not be used can't be looked at", async () => {
		server.rights = { ...server.rights, is_usable: false };
		expect(await check()).toEqual({
			table: layout.name,
			problems: ['the user may not use the schema public: grant usage on schema "public" to "app";'],
			warnings: [],
			grants: ['grant usage on schema "public" to "app";'],
			isHidden: true,
		});
		expect(ran).toEqual([]);
	});

	it.each(["select", "insert", "update"])(
		"that may not be written for want of %s says how it is granted, and is not tried",
		async (right) => {
			server.rights = { ...server.rights, [`can_${right}`]: false };
			const found = await check();
			expect(found?.problems).toEqual([expect.stringMatching(new RegExp(`^the user lacks ${right}: grant ${right} on .* to "app";$`))]);
			expect(found?.grants).toEqual([found?.problems[0]?.replace(`the user lacks ${right}: `, "")]);
			expect(ran).toEqual([]);
		},
	);

	it("that lacks a column is not tried: the server would name the first alone", async () => {
		server.columns = server.columns.filter(({ name }) => name !== "name");
		expect((await check())?.problems).toEqual(["column name (text) is missing"]);
		expect(ran).toEqual([]);
	});

	it("whose column has another type is a warning where the server takes the statement, and a problem where it does not", async () => {
		server.columns = server.columns.map((each) => (each.name === "name" ? column("name", "int4", false) : each));
		expect(await check()).toMatchObject({
			problems: [],
			warnings: ["column name is int4, not text: a value that it can't hold is a dead letter"],
		});
		server.refuses = { code: "42804" };
		expect(await check()).toMatchObject({
			problems: ["column name is int4, not text", expect.stringMatching(/^no row can be written: SQLSTATE 42804/)],
			warnings: [],
		});
	});

	it("without a key on its id column is told in those words", async () => {
		server.refuses = { code: "42P10" };
		expect((await check())?.problems).toEqual(["column id is neither primary key nor unique: on conflict needs it"]);
	});

	it("is not judged by what passes", async () => {
		server.refuses = { code: "57P01" };
		await expect(check()).rejects.toMatchObject({ code: "57P01" });
	});
});

describe("a table that is missing", () => {
	beforeEach(() => {
		[server.isThere, server.rights] = [false, null];
	});

	it("is a problem where nobody makes it", async () => {
		expect(await check({ create: false })).toMatchObject({
			problems: [expect.stringMatching(/^is missing: run what `pockaffe schema` prints/)],
			warnings: [],
		});
		expect(ran).toEqual([]);
	});

	it("is fine where the daemon may make it, which was tried", async () => {
		expect(await check({ create: true })).toEqual({
			table: layout.name,
			problems: [],
			warnings: [],
			isCreatedAtStart: true,
		});
		expect(ran).toEqual(["create with rollback"]);
	});

	it.each([
		[0, "can't be created"],
		[1, "no row can be written"],
	])("is a problem where the server refuses its statement %i", async (statement, words) => {
		server.refuses = { code: "42704", statement };
		expect((await check({ create: true }))?.problems).toEqual([expect.stringContaining(`${words}: SQLSTATE 42704`)]);
	});

	it("is a problem where it may not be made", async () => {
		server.mayCreate = { may: false, there: true };
		const found = await check({ create: true });
		expect(found?.problems).toEqual([expect.stringMatching(/^is missing and may not be created by this user/)]);
		expect(found?.grants).toEqual([
			expect.stringMatching(/^-- first/),
			expect.stringMatching(/^grant select, insert, update on .* to "app";$/),
		]);
	});

	it("of a type that the server hasn't is not tried", async () => {
		const found = await check({ create: true, columns: [columnOf("name", "txet")] });
		expect(found?.problems).toEqual(["column name: the server has no type txet (the nearest is text)"]);
		expect(ran).toEqual([]);
	});
});

describe("coordinates that may be null", () => {
	const mayBeNull = (...names: string[]) => {
		server.columns = server.columns.map((each) => (names.includes(String(each.name)) ? { ...each, not_null: false } : each));
	};

	it.each([
		[0, "a row with a null there counts"],
		[7, "7 rows have a null there and count"],
		[100_001, "more than 100000 rows have a null there and count"],
		["never answers" as const, "a row with a null there counts"],
	])("(%s rows have one) are a warning", async (nulls, words) => {
		mayBeNull("kafka_ts", "kafka_partition");
		server.nulls = nulls;
		expect((await check())?.warnings).toEqual([
			expect.stringMatching(
				new RegExp(
					`^kafka_ts, kafka_partition may be null: ${words} as older.*alter column kafka_ts set not null, alter column kafka_partition set not null`,
				),
			),
		]);
	});

	it("of a view are none but where rows have one", async () => {
		mayBeNull("kafka_offset");
		server.isView = true;
		expect((await check())?.warnings).toEqual([]);
		server.nulls = 3;
		expect((await check())?.warnings).toHaveLength(1);
	});
});

describe("a table of PocKaffe's own", () => {
	const own = async (over = {}) => (await checkOwnTables(database, [{ name: "letters", isNeeded: false, ...over }]))[0];

	it("that is there, with all it needs, is no finding", async () => {
		expect(await own({ lateColumns: ["name text"] })).toEqual({ table: "letters", problems: [], warnings: [] });
	});

	it.each([
		[{ isNeeded: true }, "problems"],
		[{ isNeeded: false }, "warnings"],
		// One that is whole has to take rows, needed or not.
		[{ isNeeded: false, lateColumns: ["name text"] }, "problems"],
		[{ isNeeded: false, lateColumns: ["other text"] }, "warnings"],
	] as const)("that may not be written: %j is of %s", async (over, where) => {
		server.rights = { ...server.rights, can_update: false };
		const found = await own(over);
		expect(found?.[where].filter((words) => words.startsWith("the user lacks update"))).toHaveLength(1);
		expect(found?.[where === "problems" ? "warnings" : "problems"].filter((words) => words.startsWith("the user lacks"))).toEqual([]);
	});

	it("of an earlier version gets its columns, or says which statement adds them", async () => {
		const late = { lateColumns: ["name text", "omitted jsonb", "state text"] };
		expect(await own(late)).toMatchObject({ problems: [], warnings: ["lacks omitted, state; the daemon adds them"] });
		server.mayAlter = false;
		expect((await own(late))?.warnings).toEqual([
			'lacks omitted, state, and this user may not add them: alter table "letters" add column omitted jsonb, add column state text',
		]);
	});

	it("that is not what it would be made as says so", async () => {
		expect((await own({ outdated: async () => "has an earlier key" }))?.warnings).toEqual(["has an earlier key"]);
		expect((await own({ outdated: async () => null }))?.warnings).toEqual([]);
	});

	it("that is missing is made by the daemon, or is a problem where it is needed", async () => {
		[server.isThere, server.rights] = [false, null];
		expect(await own()).toEqual({ table: "letters", problems: [], warnings: [], isCreatedAtStart: true });
		server.mayCreate = { may: false, there: true };
		const why = expect.stringMatching(/^is missing and may not be created by this user/);
		expect(await own()).toMatchObject({ problems: [], warnings: [why], grants: [expect.anything(), expect.anything()] });
		expect(await own({ isNeeded: true })).toMatchObject({ problems: [why], warnings: [] });
	});

	it("in a schema that is not there may not be made", async () => {
		[server.isThere, server.rights] = [false, null];
		server.mayCreate = { may: true, there: false };
		expect((await own({ name: "other.letters" }))?.warnings).toEqual([expect.stringMatching(/may not be created/)]);
	});
});
