/** Rows under ids that the server takes for equal: found as newer or extra under the one, though the other's message wrote them. */
import { describe, expect, it } from "vitest";
import { EqualIds } from "../../../../src/sink/comparison/equal-ids.ts";
import type { ExpectedRow, ExpectedRows } from "../../../../src/sink/comparison/expected-rows.ts";
import type { RowFinding, RowOrigin } from "../../../../src/sink/comparison/table-comparison.ts";
import { layoutOf } from "../../../support/fakes/row-submissions.ts";

const stored = (offset: number, over: Partial<RowOrigin> = {}): RowOrigin => ({
	topic: null,
	partition: 0,
	offset,
	timestamp: 5,
	deleted: false,
	...over,
});
const finding = (kind: RowFinding["kind"], id: string, of: RowOrigin | null): RowFinding => ({
	kind,
	table: "events",
	id,
	expected: null,
	stored: of,
	columns: [],
	sqlstate: null,
});
const row = (id: string, offset: number, timestamp = 5) => ({ id, partition: 0, offset, timestamp }) as ExpectedRow;

/** The server takes ids for equal whose texts differ in capitals alone. */
function comparing() {
	const told: string[] = [];
	const asked: string[][][] = [];
	const query = async (_: string, [ids]: readonly (string | null)[] = []) => {
		const pairs = JSON.parse(ids as string) as string[][];
		asked.push(pairs);
		return pairs.flatMap(([one, other], index) => (one?.toLowerCase() === other?.toLowerCase() ? [{ number: index + 1 }] : []));
	};
	const relieved: string[] = [];
	const equal = new EqualIds({ query } as never, layoutOf(), {
		matched: (ids) => told.push(`matched ${ids}`),
		purged: (ids) => told.push(`purged ${ids}`),
		found: ({ kind, id }, isOptional) => told.push(`${kind} ${id}${isOptional ? " optional" : ""}`),
		relieve: async () => void relieved.push("relieved"),
	});
	const conclude = (rows: readonly ExpectedRow[]) => {
		async function* sorted() {
			for (const each of rows) yield [each];
		}
		return equal.conclude({ sorted } as unknown as ExpectedRows);
	};
	return { equal, told, asked, relieved, conclude };
}

describe("a row that is found under one id", () => {
	it("and was written under an equal one is no difference: newer counts as a match, extra as nothing", async () => {
		const { equal, told, asked, conclude } = comparing();
		equal.found(finding("newer", "a", stored(7)), false, row("a", 3));
		equal.found(finding("extra", "b", stored(9)), false, null);
		expect(told).toEqual([]);
		await conclude([row("A", 7), row("B", 9), row("c", 11)]);
		expect([told, asked]).toEqual([
			["matched a"],
			[
				[
					["a", "A"],
					["b", "B"],
				],
			],
		]);
	});

	it("and was written by a message of an id that is not equal is told as it was found, optional or not", async () => {
		const { equal, told, conclude } = comparing();
		equal.found(finding("newer", "a", stored(7)), true, row("a", 3));
		equal.found(finding("extra", "b", stored(9)), false, null);
		await conclude([row("x", 7), row("y", 9)]);
		expect(told).toEqual(["newer a optional", "extra b"]);
	});

	it.each([
		["another partition", row("A", 7), stored(7, { partition: 1 })],
		["another offset", row("A", 8), stored(7)],
		["another time, so another log", row("A", 7, 6), stored(7)],
		["its own id", row("a", 7), stored(7)],
	])("is not explained by a message of %s", async (_, candidate, of) => {
		const { equal, told, asked, conclude } = comparing();
		equal.found(finding("extra", "a", of), false, null);
		await conclude([candidate]);
		expect([told, asked]).toEqual([["extra a"], []]);
	});
});

it("what can't be of an equal id is told at once, and nothing is read for it", async () => {
	const { equal, told, relieved, conclude } = comparing();
	equal.found(finding("missing", "a", null), false, row("a", 3));
	equal.found(finding("older", "b", stored(3)), false, row("b", 4));
	equal.found(finding("different", "c", stored(3)), true, row("c", 3));
	equal.matched(["d"]);
	equal.purged(["e"]);
	await equal.relieve();
	expect([told, relieved]).toEqual([["missing a", "older b", "different c optional", "matched d", "purged e"], ["relieved"]]);
	await conclude([]);
	expect(told).toHaveLength(5);
});

it("two rows of one place are both looked at", async () => {
	const { equal, told, conclude } = comparing();
	for (const id of ["a", "b"]) equal.found(finding("extra", id, stored(7)), false, null);
	await conclude([row("A", 7)]);
	expect(told).toEqual(["extra b"]);
});

it("pairs are asked about a thousand at a time", async () => {
	const { equal, asked, conclude } = comparing();
	const ids = Array.from({ length: 1_001 }, (_, index) => `id-${index}`);
	for (const [index, id] of ids.entries()) equal.found(finding("extra", id, stored(index)), false, null);
	await conclude(ids.map((id, index) => row(id.toUpperCase(), index)));
	expect(asked.map(({ length }) => length)).toEqual([1_000, 1]);
});
