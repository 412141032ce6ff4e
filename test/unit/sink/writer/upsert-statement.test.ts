/** In what order a statement writes its rows: writers that take locks in one order can't wait for each other. */
import { expect, it } from "vitest";
import { readFirstUpsert, writeFirstUpsert } from "../../../../src/sink/writer/sql/cas-upsert.ts";
import { maxCharacters, orderColumn } from "../../../../src/sink/writer/sql/row-parameters.ts";
import { layoutOf } from "../../../support/fakes/row-submissions.ts";

const layout = layoutOf();
/** What the insert reads, as far as its conflicts. */
const source = (statement: string) => /insert into .*?\n {2}(select .*?)\n {2}on conflict/s.exec(statement)?.[1];

it("by id, for everybody, in either form", () => {
	expect(source(readFirstUpsert(layout))).toMatch(/ from incoming where not is_stale order by "id"$/);
	expect(source(writeFirstUpsert(layout))).toMatch(/ n order by "id"$/);
});

it("as they are given, where one row takes over what another gives up", () => {
	expect(source(readFirstUpsert(layout, { inGivenOrder: true }))).toMatch(
		new RegExp(` where not is_stale order by ${orderColumn(layout)}$`),
	);
	expect(orderColumn(layout)).not.toBe('"id"');
});

it.each<[type: string, most: number | null]>([
	["varchar(3)", 3],
	["varchar", Number.POSITIVE_INFINITY],
	["char(12)", 12],
	["char", 1],
	["text", null],
	["int4", null],
	["varchar(3)[]", null],
	["char[]", null],
])("%s has at most %s characters", (type, most) => {
	expect(maxCharacters(type)).toBe(most);
});
