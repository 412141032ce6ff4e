/** Which column a row is refused for, where the server names none: found with few statements, and none of them leaves anything behind. */
import { beforeEach, expect, it } from "vitest";
import type { Statement } from "../../../../src/sink/database/database.ts";
import { problemOf, type SqlProblem } from "../../../../src/sink/database/sql-faults.ts";
import { RefusedColumn } from "../../../../src/sink/writer/refused/refused-column.ts";
import { columnOf, layoutOf } from "../../../support/fakes/row-submissions.ts";

const layout = layoutOf({ columns: ["a", "b", "c", "d", "e"].map((name) => columnOf(name, "int4")) });
const values = ["1", "2", "3", "4", "5"];
const row = { id: "x", isDelete: false, timestamp: 1, offset: 2, partition: 3, topic: "t", values };

let statements: (readonly Statement[])[];
/** What the server refuses; by the values that it is sent, null for those that were left out. */
let refuses: (sent: readonly (string | null)[]) => string | null;
let search: RefusedColumn;

beforeEach(() => {
	statements = [];
	const transaction = async (sent: readonly Statement[]) => {
		statements.push(sent);
		const [, , , ...columns] = sent[0]?.parameters ?? [];
		const code = refuses(columns.slice(0, values.length).map((text) => (values.includes(text ?? "") ? text : null)));
		if (code !== null) throw Object.assign(new Error("refused"), { code });
		return [];
	};
	search = new RefusedColumn({ transaction }, layout, "the upsert");
});

function problem(over: object = {}): SqlProblem {
	return problemOf({ code: "22003", message: "out of range", ...over });
}

const refusing = (bad: string, code = "22003") => {
	refuses = (sent) => (sent.includes(bad) ? code : null);
};

it.each(values.map((value, index) => [value, "abcde"[index] as string] as const))(
	"the value %s is that of column %s",
	async (bad, name) => {
		refusing(bad);
		const found = await search.named(row, problem());
		expect([found.column, found.code]).toEqual([name, "22003"]);
		expect(found.message).toMatch(new RegExp(`, in column ${name} \\(int4\\)$`));
		expect(statements.length).toBeLessThanOrEqual(5);
		// Every one is taken back.
		expect(new Set(statements.map(([first, second]) => `${first?.text}; ${second?.text}`))).toEqual(new Set(["the upsert; rollback"]));
	},
);

it("the next row is asked first about the column of the one before, and about the others where it is another", async () => {
	refusing("4");
	await search.named(row, problem());
	const first = statements.splice(0).length;
	expect((await search.named(row, problem())).column).toBe("d");
	expect(statements.splice(0)).toHaveLength(1);
	refusing("1");
	expect((await search.named(row, problem())).column).toBe("a");
	expect(statements.length).toBeGreaterThan(first);
});

it("a row that is refused whatever its values are has none, and a function that did so is not asked about again", async () => {
	refuses = () => "22003";
	const byFunction = problem({ where: "PL/pgSQL function checked() line 3 at RAISE" });
	expect([byFunction.isOfFunction, await search.named(row, byFunction)]).toEqual([true, byFunction]);
	expect(statements.splice(0).length).toBeGreaterThan(0);
	expect(await search.named(row, byFunction)).toEqual(byFunction);
	expect(statements).toEqual([]);
	await search.named(row, problem());
	expect(statements.length).toBeGreaterThan(0);
});

it("a column is not blamed for another fault than the row's", async () => {
	refusing("2", "23505");
	expect((await search.named(row, problem())).column).toBeNull();
});

it("a row without values has none", async () => {
	refuses = () => "22003";
	expect((await search.named({ ...row, values: values.map(() => null) }, problem())).column).toBeNull();
});

it.each([
	["the server names it", { column_name: "b" }, {}],
	["it is no matter of a value", { code: "23503" }, {}],
	["a check of the table refuses it", { code: "23514", table_name: "events" }, {}],
	["it is a delete, which has no values", {}, { isDelete: true }],
])("nobody is asked where %s", async (_, over, ofRow) => {
	refuses = () => "22003";
	const known = problem(over);
	expect(await search.named({ ...row, ...ofRow }, known)).toEqual(known);
	expect(statements).toEqual([]);
});

it("a domain's check, which names no table, is a matter of a value", async () => {
	refusing("5", "23514");
	expect((await search.named(row, problem({ code: "23514" }))).column).toBe("e");
});

it.each(["CONNECTION_CLOSED", "55P03"])(
	"%s is no answer: the problem stays as it is, and the next row is asked about anew",
	async (code) => {
		refuses = () => code;
		expect(await search.named(row, problem())).toEqual(problem());
		refusing("3");
		expect((await search.named(row, problem())).column).toBe("c");
	},
);

it.each(["CONNECTION_CLOSED", "55P03", "28P01"])(
	"a function that was asked about without an answer (%s) is asked about again",
	async (code) => {
		refuses = () => code;
		const byFunction = problem({ where: "PL/pgSQL function checked() line 3 at RAISE" });
		expect(await search.named(row, byFunction)).toEqual(byFunction);
		refusing("3");
		expect((await search.named(row, byFunction)).column).toBe("c");
	},
);
