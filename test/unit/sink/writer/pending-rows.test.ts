import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../../src/core/random.ts";
import { chainOf, type PendingRow, PendingRows } from "../../../../src/sink/writer/sql/pending-rows.ts";
import { owner, pendingRow as row } from "../../../support/fakes/pending-row.ts";
import { layoutOf } from "../../../support/fakes/row-submissions.ts";

const layout = layoutOf({ version: { kind: "offset" } });

/** The offsets that go to the server one after the other while each is refused. */
function refusals(pending: PendingRows): number[] {
	const offsets: number[] = [];
	for (;;) {
		const [taken] = pending.take(1, 1_000);
		if (!taken) return offsets;
		offsets.push(taken.offset);
		const { superseded } = taken;
		taken.superseded = null;
		if (superseded) pending.putBack(superseded);
	}
}

describe("versions of one id", () => {
	it.each([
		["ascending", (i: number, _: number) => i],
		["descending", (i: number, n: number) => n - i],
		["in any order", (i: number, n: number) => (i * 7_919) % n],
	])("cost no more each the more of them wait (%s)", (_, offsetAt) => {
		const pending = new PendingRows(layout);
		let looks = 0;
		for (let i = 0; i < 40_000; i++) {
			const offset = offsetAt(i, 40_000);
			const get = () => {
				looks++;
				return offset;
			};
			pending.add(Object.defineProperty(row(offset), "offset", { get }));
		}
		// Where each of them passes all the others it is hundreds of millions.
		expect(looks).toBeLessThan(40_000 * 10);
		expect([[...pending].length, pending.size]).toEqual([40_000, 1]);
	});

	it.each([1, 2, 3])("go to the server from the newest to the oldest while each is refused (seed %i)", (seed) => {
		const random = seededRandom(seed);
		const offsets = Array.from({ length: 300 }, (_, i) => i).sort(() => random() - 0.5);
		const pending = new PendingRows(layout);
		for (const offset of offsets) pending.add(row(offset));
		expect(refusals(pending)).toEqual(Array.from({ length: 300 }, (_, i) => 299 - i));
		expect([[...pending], pending.size]).toEqual([[], 0]);
	});

	it("of one message: the last goes first, the one before it when that is refused", () => {
		const pending = new PendingRows(layout);
		const rows = ["a", "b", "c"].map((name) => row(5, { values: [name] }));
		for (const each of [row(1), ...rows, row(2)]) pending.add(each);
		const taken: unknown[] = [];
		for (let [next] = pending.take(1, 100); next; [next] = pending.take(1, 100)) {
			taken.push(next.values[0] ?? next.offset);
			if (next.superseded) pending.putBack(next.superseded);
			next.superseded = null;
		}
		expect(taken).toEqual(["c", "b", "a", 2, 1]);
	});

	it("behind a refused row give way to the same version that came since, which is refused for itself", () => {
		const pending = new PendingRows(layout);
		for (const name of ["first", "last"]) pending.add(row(5, { values: [name] }));
		const [refused] = pending.take(1, 100) as [PendingRow];
		for (const name of ["first again", "last again"]) pending.add(row(5, { values: [name] }));
		pending.putBack(refused.superseded as NonNullable<PendingRow["superseded"]>);
		const [next] = pending.take(1, 100) as [PendingRow];
		expect(next.values).toEqual(["last again"]);
		expect([...chainOf(next)]).toHaveLength(3);
	});
});

describe("rows of owners that were released", () => {
	it("don't pile up behind the same versions of later owners", () => {
		const pending = new PendingRows(layout);
		let last = owner();
		for (let assignment = 0; assignment < 50; assignment++) {
			last.released = true;
			last = owner();
			// Ids with one version, and one with many that are not the newest of it.
			for (let i = 0; i < 100; i++) pending.add(row(i, { id: `id-${i}`, owner: last }));
			for (let i = 0; i < 100; i++) pending.add(row(i, { owner: last }));
			if (assignment === 0) pending.add(row(1_000, { partition: 1 }));
		}
		expect([...pending].length).toBeLessThan(100 + 2 * 101 + 1);
		const newest = pending.take(1_000, 100_000);
		expect(newest.filter(({ owner: of }) => of === last)).toHaveLength(100);
		const hot = newest.find(({ id }) => id === "hot") as PendingRow;
		const waiting = [...chainOf(hot)].filter(({ owner: of }) => of === last);
		expect(new Set(waiting.map(({ offset }) => offset)).size).toBe(100);
		expect([...pending]).toEqual([]);
	});

	it("are not fallen back to: their messages come again", () => {
		const pending = new PendingRows(layout);
		const gone = owner();
		for (const each of [row(1), row(2, { owner: gone }), row(3)]) pending.add(each);
		gone.released = true;
		expect(refusals(pending)).toEqual([3, 1]);
	});

	it("are written all the same where they are the newest", () => {
		const pending = new PendingRows(layout);
		const gone = owner();
		pending.add(row(2, { owner: gone }));
		gone.released = true;
		pending.add(row(1));
		const [newest] = pending.take(1, 100) as [PendingRow];
		expect([newest.offset, ...[...chainOf(newest)].map(({ offset }) => offset)]).toEqual([2, 2, 1]);
	});
});

it("rows are taken up to so many ids or about so many bytes, at least one, in the order in which they came", () => {
	const pending = new PendingRows(layout);
	const ids = (taken: readonly PendingRow[]) => taken.map(({ id }) => id).join("");
	for (const [offset, id] of [..."abcdefgh"].entries()) pending.add({ ...row(offset, { id }), bytes: 10, order: offset });
	expect([ids(pending.take(2, 1_000)), ids(pending.take(9, 20)), ids(pending.take(9, 29)), ids(pending.take(9, 5))]).toEqual([
		"ab",
		"cd",
		"ef",
		"g",
	]);
	expect([pending.size, ids(pending.take(9, 1_000)), pending.take(9, 1_000)]).toEqual([1, "h", []]);
});
