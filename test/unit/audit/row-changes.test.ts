/** What a reprocess changes in a table, and what it leaves alone: by what was found, and whose messages are meant. */
import { describe, expect, it } from "vitest";
import { type Orphan, RowChanges, type RowChangesParts } from "../../../src/audit/rows-anew/row-changes.ts";
import type { ExpectedRow } from "../../../src/sink/comparison/expected-rows.ts";
import type { RowFinding, RowOrigin } from "../../../src/sink/comparison/table-comparison.ts";

/** The stretch holds offsets 10 to 19. */
function changing(overrides: Partial<RowChangesParts> = {}) {
	const written: unknown[][] = [];
	const lowered: string[] = [];
	const asked: (readonly Orphan[])[] = [];
	const changes = new RowChanges({
		table: "events",
		onlyTopic: "t",
		isMeant: ({ topic, offset }) => topic === "t" && offset >= 10 && offset < 20,
		write: async (replacements) =>
			void written.push(replacements.map(({ id, row, stored }) => [id, row?.offset ?? null, stored?.offset ?? null])),
		orphaned: async (candidates) => {
			asked.push(candidates);
			return candidates;
		},
		lowered: (id) => lowered.push(id),
		mayBeBefore: () => false,
		...overrides,
	});
	return { changes, written, lowered, asked };
}

function made(offset: number, timestamp = 5): ExpectedRow {
	return { id: "a", topic: "t", partition: 0, offset, timestamp } as ExpectedRow;
}

function stored(offset: number, timestamp = 5): RowOrigin {
	return { topic: null, partition: 0, offset, timestamp, deleted: false };
}

function found(kind: RowFinding["kind"], of: RowOrigin | null, sqlstate: string | null = null): RowFinding {
	return { kind, table: "events", id: "a", expected: null, stored: of, columns: [], sqlstate };
}

const none = { changed: 0, added: 0, removed: 0, same: 0, moved: 0 };

describe("what was found changes", () => {
	it.each([
		["the same message's row, where it is different now", "different", made(12), stored(12), { changed: 1 }, ["a", 12, 12]],
		["nothing that is of a message outside the stretch", "different", made(30), stored(30), {}, null],
		["nothing where another message's row is there by now", "different", made(12), stored(13), { moved: 1 }, null],
		["nothing where another log's message is, by its time", "different", made(12), stored(12, 6), { moved: 1 }, null],
		["nothing to an older row of the same message", "newer", made(12), stored(25), { moved: 1 }, null],
		["a row that is missing", "missing", made(12), null, { added: 1 }, ["a", 12, null]],
		["none that is missing outside the stretch", "missing", made(30), null, {}, null],
		["an older row in a newer one", "older", made(12), stored(3), { changed: 1 }, ["a", 12, null]],
		["none that would be of a message outside", "older", made(30), stored(3), {}, null],
		["a row that nobody makes any more into none", "extra", null, stored(12), { removed: 1 }, ["a", null, 12]],
		["no such row of a message outside", "extra", null, stored(3), {}, null],
		["a newer row that its message no longer makes into the one that counts", "newer", made(12), stored(15), { changed: 1 }, ["a", 12, 15]],
	] as const)("%s", async (_, kind, row, there, counts, change) => {
		const { changes, written } = changing();
		changes.found(found(kind, there), false, row);
		await changes.conclude();
		expect([changes.counts, written, changes.refused]).toEqual([{ ...none, ...counts }, change ? [[change]] : [], []]);
	});

	it("nothing where the server refuses the new row: that is told, of the stretch alone", async () => {
		const { changes, written } = changing();
		changes.found(found("unwritable", null, "22003"), false, made(12));
		changes.found(found("unwritable", null, "22003"), false, made(30));
		await changes.conclude();
		expect([changes.refused, written, changes.counts]).toEqual([
			[{ table: "events", id: "a", sqlstate: "22003", message: "the server refuses the row" }],
			[],
			none,
		]);
	});
});

describe("rows whose message makes none any more", () => {
	it("are asked for together, and only those that were handled are lowered", async () => {
		const { changes, written, lowered, asked } = changing({ orphaned: async (candidates) => candidates.filter(({ id }) => id === "b") });
		for (const id of ["a", "b"]) changes.found({ ...found("extra", stored(12)), id }, false, null);
		await changes.relieve();
		expect([written, lowered, asked]).toEqual([[], [], []]);
		await changes.conclude();
		expect([written, lowered, changes.counts]).toEqual([[[["b", null, 12]]], ["b"], { ...none, removed: 1 }]);
	});

	it("or makes it with an older version, are asked for as well", async () => {
		const { changes, written, lowered, asked } = changing();
		changes.found(found("newer", stored(12)), false, made(12));
		await changes.conclude();
		await changes.conclude();
		expect([written, lowered, asked.length]).toEqual([[[["a", 12, 12]]], ["a"], 1]);
	});

	it("wait where a message before the stretch may have made the row that counts", async () => {
		const { changes, written, lowered } = changing({ mayBeBefore: ({ offset }) => offset === 12 });
		for (const offset of [12, 13]) changes.found({ ...found("extra", stored(offset)), id: `row of ${offset}` }, false, null);
		await changes.conclude();
		expect([changes.orphans.map(({ id }) => id), written, lowered]).toEqual([
			["row of 12"],
			[[["row of 13", null, 13]]],
			["row of 12", "row of 13"],
		]);
		for (const orphan of changes.orphans) changes.settled(orphan, made(2));
		await changes.relieve();
		expect([written[1], changes.counts]).toEqual([[["row of 12", 2, 12]], { ...none, removed: 1, changed: 1 }]);
	});
});

it("what is as it has to be is counted, matches and purged deletes alike, and nothing is written without a change", async () => {
	const { changes, written } = changing();
	changes.matched(["a", "b", "c"]);
	changes.purged(["d", "e"]);
	await changes.relieve();
	expect([changes.counts, written]).toEqual([{ ...none, same: 5 }, []]);
});

it("changes are written once: behind a relief they are gone", async () => {
	const { changes, written } = changing();
	changes.found(found("missing", null), false, made(12));
	await changes.relieve();
	await changes.relieve();
	await changes.conclude();
	expect(written).toEqual([[["a", 12, null]]]);
});
