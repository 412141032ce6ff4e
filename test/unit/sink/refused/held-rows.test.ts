/** What waits behind held rows, and in which order it goes on. The lanes are told apart from the writer that knows when to look again. */
import { expect, it } from "vitest";
import { problemOf } from "../../../../src/sink/database/sql-faults.ts";
import type { Submission } from "../../../../src/sink/writer/pending-blocks.ts";
import { HeldRows, type HeldRowsParts } from "../../../../src/sink/writer/refused/held-rows.ts";
import type { RowTask } from "../../../../src/sink/writer/row-writer.ts";
import { settle } from "../../../support/fakes/manual-clock.ts";
import { owner, pendingRow } from "../../../support/fakes/pending-row.ts";
import { layoutOf } from "../../../support/fakes/row-submissions.ts";

const layout = layoutOf();
const problem = problemOf({ code: "23503" });

/** One held row of partition 0, while the lanes have others of it. */
function scene() {
	const lanes = { holds: true, moves: true };
	const stuck = { is: false };
	const tried: number[] = [];
	const wentOn: string[] = [];
	/** A row of a partition with stuck rows may wait for one of those. */
	const write = async (_: unknown, { rows, held }: RowTask) => {
		tried.push(...rows.map(({ offset }) => offset));
		if (stuck.is) for (const row of rows) held(row, problem);
	};
	const parts = {
		writers: new Map([[layout.name, { layout, write }]]),
		awaited: { takes: () => false, hasWait: () => false },
		isInLanes: () => lanes.holds,
		isMovingInLanes: () => lanes.holds && lanes.moves,
		isStuck: () => stuck.is,
		goOn: ({ name }: Submission & { name: string }) => wentOn.push(name),
		rested: () => {},
		limits: { maxRows: 10, maxBytes: 1_000, answerMs: 1_000 },
		monotonic: () => 0,
		ended: new AbortController().signal,
	};
	const held = new HeldRows(parts as unknown as HeldRowsParts);
	held.hold(pendingRow(1, { owner: owner() }), problem, { table: layout.name, trigger: "linger", since: 0 });
	/** True if it waits behind the held row; otherwise it goes on at once. */
	const comes = (name: string) => {
		const isTaken = held.takes({ name, topic: "t", partition: 0, blocks: [], released: false } as unknown as Submission);
		if (!isTaken) wentOn.push(name);
		return isTaken;
	};
	return { held, lanes, stuck, tried, wentOn, comes };
}

it("what comes while held rows are about to be tried waits too, and goes on behind what came before it", async () => {
	const { held, lanes, tried, wentOn, comes } = scene();
	expect(comes("first")).toBe(true);
	// The rows of this partition are written; the lane goes on with other rows of its batch, and says so at the end.
	lanes.holds = false;
	expect(comes("second")).toBe(true);
	expect([tried, wentOn]).toEqual([[], []]);
	held.moved();
	await settle();
	expect([tried, wentOn]).toEqual([[1], ["first", "second"]]);
	expect(comes("third")).toBe(false);
});

it("nothing waits where the lanes that have its rows are stuck, and what waited before goes on first", () => {
	const { lanes, tried, wentOn, comes } = scene();
	expect(comes("first")).toBe(true);
	lanes.moves = false;
	expect(comes("second")).toBe(false);
	expect([tried, wentOn]).toEqual([[], ["first", "second"]]);
});

it("nothing waits behind rows that were tried in vain while a row of their partition is stuck, but behind untried ones it does", async () => {
	const { held, lanes, stuck, tried, wentOn, comes } = scene();
	stuck.is = true;
	lanes.holds = false;
	expect(comes("first")).toBe(true);
	held.moved();
	await settle();
	expect([tried, wentOn]).toEqual([[1], ["first"]]);
	expect(comes("second")).toBe(false);
	held.hold(pendingRow(2, { id: "another", owner: owner() }), problem, { table: layout.name, trigger: "linger", since: 0 });
	expect(comes("third")).toBe(true);
	stuck.is = false;
	held.moved();
	await settle();
	expect([tried, wentOn]).toEqual([
		[1, 1, 2],
		["first", "second", "third"],
	]);
});

it("a row that missed the one that was stuck is tried once more behind it: the stuck row may be written while the statement is under way", async () => {
	const { held, lanes, stuck, tried, wentOn, comes } = scene();
	stuck.is = true;
	lanes.holds = false;
	expect(comes("first")).toBe(true);
	held.moved();
	// The statement has read; now the stuck row is written, and the answer says what was read.
	stuck.is = false;
	await settle();
	expect([tried, wentOn]).toEqual([[1, 1], ["first"]]);
});

it("figures count held rows with what they superseded, and all that waits behind them, from the oldest on", () => {
	const { held } = scene();
	const [inTable, at] = [{ table: layout.name, trigger: "linger" as const }, pendingRow(5, { id: "b", owner: owner() })];
	const { rows, bytes, since } = held.figures;
	expect([rows, bytes > 0, since]).toEqual([1, true, 0]);
	held.hold(at, problem, { ...inTable, since: 700 });
	const blocks = [
		{ messages: Int32Array.of(1, 2, 3), bytes: Int32Array.of(10, 20, 30) },
		{ messages: Int32Array.of(4), bytes: Int32Array.of(5) },
	];
	held.takes({ topic: "t", partition: 0, blocks, released: false } as unknown as Submission);
	expect(held.figures).toEqual({ rows: 2 + 4, bytes: 2 * bytes + 65, since: 0 });
});

it("figures are nothing where nothing is held", () => {
	const held = new HeldRows({ monotonic: () => 0 } as unknown as HeldRowsParts);
	expect(held.figures).toEqual({ rows: 0, bytes: 0, since: null });
});
