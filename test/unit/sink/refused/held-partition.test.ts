/** Rows of a partition that wait for others of it: who is still waited for. */
import { expect, it } from "vitest";
import { problemOf } from "../../../../src/sink/database/sql-faults.ts";
import { type AtomicMessage, sizeOf } from "../../../../src/sink/writer/atomic/atomic-run.ts";
import { figuresOf, HeldPartition } from "../../../../src/sink/writer/refused/held-partition.ts";
import type { PendingRow } from "../../../../src/sink/writer/sql/pending-rows.ts";
import { SupersededRows } from "../../../../src/sink/writer/sql/superseded-rows.ts";
import { owner, pendingRow } from "../../../support/fakes/pending-row.ts";

const problem = problemOf({ code: "23505" });

function held(row: PendingRow) {
	return { table: "contacts", row, trigger: "linger" as const, since: 0, problem };
}

it("a row that nobody waits for any more leaves, and what it stands for of a new owner's takes its place", () => {
	const former = { ...owner(), released: true };
	const superseded = new SupersededRows({ kind: "offset" });
	const present = owner();
	superseded.push(pendingRow(3, { owner: present }));
	superseded.push(pendingRow(5, { owner: present }));
	const partition = new HeldPartition();
	partition.add(held(pendingRow(9, { owner: former, superseded })));
	partition.add(held(pendingRow(7, { id: "other", owner: former })));
	expect(partition.rows.map(({ row }) => [row.id, row.offset, row.superseded?.length])).toEqual([["hot", 5, 1]]);
});

it("rows come in the log's order, however they came", () => {
	const partition = new HeldPartition();
	for (const offset of [10, 9, 100]) partition.add(held(pendingRow(offset, { id: String(offset) })));
	expect(partition.rows.map(({ row }) => row.offset)).toEqual([9, 10, 100]);
});

it("figures count superseded rows and their bytes, and the oldest arrival of all", () => {
	const superseded = new SupersededRows({ kind: "offset" });
	superseded.push({ ...pendingRow(3), bytes: 7 });
	const rows = [
		{ ...held({ ...pendingRow(9, { superseded }), bytes: 30 }), since: 500 },
		{ ...held({ ...pendingRow(8), bytes: 200 }), since: 400 },
		{ ...held({ ...pendingRow(7), bytes: 1_000 }), since: 600 },
	];
	expect(figuresOf(rows)).toEqual({ rows: 4, bytes: 1_237, since: 400 });
	expect(figuresOf([])).toEqual({ rows: 0, bytes: 0, since: null });
	const message = (rows: number, bytes: number, since: number) =>
		({ rows: Array(rows).fill(null), bytes, since }) as unknown as AtomicMessage;
	expect(sizeOf([message(2, 30, 500), message(3, 200, 400), message(1, 1_000, 600)])).toEqual({ rows: 6, bytes: 1_230, since: 400 });
});
