/** What becomes of the rows of a batch, by what the server answers to its parts: told apart by their offsets. */
import { expect, it } from "vitest";
import { type RowTarget, writeRows } from "../../../../src/sink/writer/refused/row-isolation.ts";
import type { PendingRow } from "../../../../src/sink/writer/sql/pending-rows.ts";
import { pendingRow } from "../../../support/fakes/pending-row.ts";
import { columnOf, layoutOf } from "../../../support/fakes/row-submissions.ts";
import { rowsOf } from "../../../support/postgres/memory-database.ts";

const layout = layoutOf({ columns: [columnOf("name", "text")] });
const rows = (...offsets: number[]): PendingRow[] => offsets.map((offset) => pendingRow(offset, { id: `id-${offset}`, values: ["x"] }));

/** Writes the rows to a server that fails with a code at these offsets. */
async function write(
	offsets: readonly number[],
	failing: Readonly<Record<number, string>>,
	over: Partial<Pick<RowTarget, "budget" | "search">> = {},
	countsOf = (count: number): object => ({ written: count, candidates_new: count, fresh: count, total: count }),
) {
	const sent: number[][] = [];
	const query = async (text: string, parameters: readonly (string | null)[] = []) => {
		const found = rowsOf(layout, parameters as string[], true).map(({ offset }) => offset);
		sent.push(text === "in order" ? [-1, ...found] : found);
		const code = found.map((offset) => failing[offset]).find((each) => each !== undefined);
		if (code) throw Object.assign(new Error("refused"), { code, severity: "ERROR" });
		return [{ deleted: 0, replay: 0, older: 0, ...countsOf(found.length) }];
	};
	const statements = { byId: "by id", inOrder: "in order" };
	const target = { database: { query }, layout, statements, budget: { held: 9 }, search: null, ...over };
	const { written, refused, held, stuck, left, problem, counts } = await writeRows(target as RowTarget, rows(...offsets), false);
	const at = (all: readonly PendingRow[]) => all.map(({ offset }) => offset).join();
	const why = (all: typeof refused) => all.map(({ row, problem: met }) => `${row.offset} ${met.code}`).join();
	return {
		sent,
		counts,
		target,
		fates: {
			written: at(written),
			refused: why(refused),
			held: why(held),
			stuck: why(stuck),
			left: at(left),
			problem: problem?.code ?? null,
		},
	};
}
const none = { written: "", refused: "", held: "", stuck: "", left: "", problem: null };

it("the counts of the parts add up, each by its name, and nothing counts that was refused", async () => {
	// Of 1 row, of 2 and of 3: no two of their sums are the same.
	const counts = (count: number) => ({
		total: 64 * count,
		written: 20 * count,
		deleted: 3 * count,
		candidates_new: 5 * count,
		fresh: 20 * count,
		replay: 7 * count,
		older: 11 * count,
	});
	const { fates, counts: sum } = await write([1, 2, 3, 4, 5, 6, 7], { 4: "22003" }, {}, counts);
	expect(fates).toEqual({ ...none, written: "1,2,3,5,6,7", refused: "4 22003" });
	expect(sum).toEqual({ inserted: 30, updated: 72, deleted: 18, suppressed: 0, stale: { replay: 42, older: 66, other_partition: 156 } });
});

it("rows that a trigger keeps out are counted over all parts, too", async () => {
	const counts = (count: number) => ({ total: count, written: 0, fresh: count, suppressed: count, suppressed_new: 0, other_partition: 0 });
	expect((await write([1, 2, 3], { 2: "22003" }, {}, counts)).counts).toMatchObject({ inserted: 0, updated: 0, suppressed: 2 });
});

it("where nothing is written nothing is counted", async () => {
	const { counts } = await write([1], { 1: "22003" });
	expect(counts).toEqual({ inserted: 0, updated: 0, deleted: 0, suppressed: 0, stale: { replay: 0, older: 0, other_partition: 0 } });
});

it("rows that other rows are in the way of go in the log's order, and the one that still fails is held", async () => {
	const { fates, sent, target } = await write([1, 2, 3], { 3: "23505" });
	expect(fates).toEqual({ ...none, written: "1,2", held: "3 23505" });
	expect(sent).toEqual([
		[1, 2, 3],
		[-1, 1, 2, 3],
		[-1, 1, 2],
		[-1, 3],
	]);
	expect(target.budget.held).toBe(8);
});

it("when as many are held as may be, the others are held untried", async () => {
	const { fates, sent } = await write([1, 2, 3, 4, 5], { 1: "23503", 2: "23503" }, { budget: { held: 2 } });
	expect(fates).toEqual({ ...none, held: "1 23503,2 23503,3 23503,4 23503,5 23503" });
	expect(sent).not.toContainEqual([-1, 4, 5]);
});

it("what is nobody's row leaves all of them, and what is left of a half leaves the other", async () => {
	expect((await write([1, 2, 3, 4], { 2: "57P01", 3: "22003" })).fates).toEqual({ ...none, left: "1,2,3,4", problem: "57P01" });
	expect((await write([1, 2, 3, 4], { 1: "22003", 2: "57P01" })).fates).toEqual({
		...none,
		refused: "1 22003",
		left: "2,3,4",
		problem: "57P01",
	});
});

it("a single row that is said to conflict with itself waits, for somebody to mend what finds it several times", async () => {
	const { fates } = await write([1, 2, 3], { 2: "21000" });
	expect(fates).toEqual({ ...none, written: "1", left: "2,3", problem: "21000" });
});

const search = (failures: number) => ({ search: { failures, alone: 0, answered: 0 } });

it("a search takes rows apart that fail alone, and what it was told counts as an answer", async () => {
	const over = search(9);
	const { fates } = await write([1, 2, 3, 4], { 2: "XX000", 3: "22003" }, over);
	expect(fates).toEqual({ ...none, written: "1,4", refused: "3 22003", stuck: "2 XX000" });
	expect(over.search).toEqual({ failures: 7, alone: 1, answered: 3 });
});

it("a search ends with its last failure, and where three rows fail alone and none has an answer", async () => {
	const always = { 1: "XX000", 2: "XX000", 3: "XX000", 4: "XX000", 5: "XX000" };
	expect((await write([1, 2, 3, 4, 5], always, search(9))).fates).toEqual({
		...none,
		stuck: "1 XX000,2 XX000,3 XX000",
		left: "4,5",
		problem: "XX000",
	});
	expect((await write([1, 2, 3, 4], always, search(2))).fates).toEqual({ ...none, left: "1,2,3,4", problem: "XX000" });
	expect((await write([1, 2, 3, 4], always, search(1))).sent).toEqual([[1, 2, 3, 4]]);
});

it("outside a search nobody is taken apart for what may pass", async () => {
	const { fates, sent } = await write([1, 2], { 1: "XX000" });
	expect([fates, sent.length]).toEqual([{ ...none, left: "1,2", problem: "XX000" }, 1]);
});
