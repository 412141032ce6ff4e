/** In what order a statement writes its rows: writers that take locks in one order can't wait for each other. */
import { describe, expect, it } from "vitest";
import { countsOf, isUnexplained, readFirstUpsert, writeFirstUpsert } from "../../../../src/sink/writer/sql/cas-upsert.ts";
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

describe("what became of a statement's rows", () => {
	const none = { inserted: 0, updated: 0, deleted: 0, suppressed: 0 };
	const row = { written: 6, deleted: 1, candidates_new: 2, fresh: 6, replay: 2, older: 5, total: 9 };

	it("adds up: written rows are new, changed or deleted, and the others stale by their causes", () => {
		const written = { inserted: 2, updated: 3, deleted: 1, suppressed: 0 };
		expect(countsOf(row)).toEqual({ ...written, stale: { replay: 2, older: 1, other_partition: 0 } });
		expect(countsOf({ ...row, total: 20 })).toEqual({ ...written, stale: { replay: 2, older: 5, other_partition: 7 } });
		expect(countsOf({ ...row, replay: 8 }).stale).toEqual({ replay: 3, older: 0, other_partition: 0 });
	});

	it("is as the statement that writes first says of new rows, else no more than were written", () => {
		expect([countsOf({ ...row, inserted: 4 }), countsOf({ ...row, candidates_new: 8 })]).toMatchObject([
			{ inserted: 4, updated: 1 },
			{ inserted: 5, updated: 0 },
		]);
	});

	it("is looked up where rows are neither written nor stale: a trigger kept them out, or somebody was faster", () => {
		expect([
			isUnexplained({ fresh: 3, written: 2 }),
			isUnexplained({ fresh: 2, written: 2 }),
			isUnexplained({ fresh: 1, written: 2 }),
		]).toEqual([true, false, false]);
		const answer = { written: 0, deleted: 0, candidates_new: 3, fresh: 4, replay: 0, older: 0, total: 4 };
		const look = { suppressed: 1, suppressed_new: 1, replay: 9, older: 1, other_partition: 7 };
		expect(countsOf(answer, look)).toEqual({ ...none, suppressed: 1, stale: { replay: 0, older: 1, other_partition: 2 } });
		expect(countsOf(answer, { ...look, suppressed: 9 })).toEqual({
			...none,
			suppressed: 4,
			stale: { replay: 0, older: 0, other_partition: 0 },
		});
		expect(countsOf(answer, { ...look, older: 0, other_partition: 1 }).stale).toEqual({ replay: 2, older: 0, other_partition: 1 });
		expect(countsOf({ ...answer, written: 2 }, { ...look, suppressed: 2, suppressed_new: 2 })).toMatchObject({ inserted: 1, updated: 1 });
	});
});
