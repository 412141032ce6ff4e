import { describe, expect, it } from "vitest";
import { splitTexts, usualSeparators } from "../../../../src/core/rows/joined-texts.ts";
import { PendingBlocks, type RowBatch } from "../../../../src/sink/writer/pending-blocks.ts";
import { blockParameters, rowParameters } from "../../../../src/sink/writer/sql/row-parameters.ts";
import { layoutOf, submissionOf, type TestRow } from "../../../support/fakes/row-submissions.ts";

const layout = layoutOf();
const LARGE = 1e9;

function pendingOf(...submissions: readonly TestRow[][]): PendingBlocks {
	const pending = new PendingBlocks();
	for (const rows of submissions) {
		const submission = submissionOf(layout, rows);
		for (const block of submission.blocks) pending.add(block, submission, 0);
	}
	return pending;
}

function take(pending: PendingBlocks, maxRows = LARGE, maxBytes = LARGE): RowBatch {
	return pending.take(maxRows, maxBytes, layout) as RowBatch;
}

/** Per row sent: id, name, timestamp, offset, partition, and what it is; as the server splits it. */
function sent(batch: RowBatch): (string | null)[][] {
	const parameters = blockParameters(layout, batch.blocks);
	const count = batch.blocks.reduce((sum, { block }) => sum + block.length, 0);
	const columns = parameters.slice(2).map((joined) => splitTexts(joined, count, usualSeparators));
	const [ids = [], names, , ...system] = columns;
	return ids.map((id, row) => [id, names?.[row] ?? null, ...system.map((column) => column[row] ?? null)]);
}

const row = (id: string, offset: number, over: Partial<TestRow> = {}): TestRow => ({
	id,
	offset,
	values: [`${id} ${offset}`, null],
	...over,
});

describe("a batch of pending blocks", () => {
	it("sends of each id the newest of all blocks, by version and not by arrival", () => {
		const batch = take(pendingOf([row("b", 6), row("a", 7)], [row("a", 4, { partition: 1 }), row("b", 9, { partition: 1 })]));
		expect(sent(batch)).toEqual([
			[null, "b 6", "6", "6", "0", "f"],
			["a", "a 7", "7", "7", "0", "f"],
			[null, "a 4", "4", "4", "1", "f"],
			["b", "b 9", "9", "9", "1", "f"],
		]);
		expect([batch.rows, batch.coalesced]).toEqual([2, 2]);
	});

	it("doesn't send what newer rows of the same block stand for, and counts it", () => {
		const pending = pendingOf([row("a", 5), row("b", 6), row("a", 7)], [row("a", 4, { partition: 1 })]);
		expect([pending.rows, pending.bytes, pending.toSend]).toEqual([4, 200, { rows: 3, bytes: 150 }]);
		const batch = take(pending, 2);
		expect(sent(batch)).toEqual([
			["b", "b 6", "6", "6", "0", "f"],
			["a", "a 7", "7", "7", "0", "f"],
		]);
		expect([batch.rows, batch.coalesced, batch.bytes, pending.rows, pending.bytes]).toEqual([2, 1, 100, 1, 50]);
		expect(pending.toSend).toEqual({ rows: 1, bytes: 50 });
	});

	it("takes the last of equal versions, and marks deletes", () => {
		const batch = take(pendingOf([row("a", 1, { isDelete: true })], [row("a", 1), row("b", 2, { isDelete: true, timestamp: -1 })]));
		expect(sent(batch).map(([id, , timestamp, , , kind]) => [id, timestamp, kind])).toEqual([
			[null, "1", "t"],
			["a", "1", "f"],
			["b", "0", "t"],
		]);
	});

	it("says whether a row to be sent is a delete; where none is, no column does", () => {
		const columnsOf = (cut: RowBatch) => blockParameters({ ...layout, withoutDeletes: !cut.hasDeletes }, cut.blocks).length;
		const [none, older, newest] = [
			take(pendingOf([row("a", 1)], [row("a", 2)])),
			take(pendingOf([row("a", 1, { isDelete: true }), row("a", 2)])),
			take(pendingOf([row("a", 1)], [row("b", 2), row("a", 3, { isDelete: true })])),
		];
		expect([none, older, newest].map(({ hasDeletes }) => hasDeletes)).toEqual([false, false, true]);
		expect([columnsOf(none), columnsOf(older), columnsOf(newest)]).toEqual([8, 8, 9]);
		expect(blockParameters({ ...layout, withoutDeletes: true }, none.blocks)[2]).toBe("\x1d\x1ea");
	});

	it("is full at exactly as many rows, or bytes of 50 each, as asked for", () => {
		const three = () => pendingOf([row("a", 1), row("b", 2)], [row("c", 3)], [row("d", 4)]);
		expect([take(three(), 2).rows, take(three(), 3).rows, take(three(), 4).rows]).toEqual([2, 3, 4]);
		expect([take(three(), LARGE, 149).rows, take(three(), LARGE, 150).rows, take(three(), LARGE, 200).rows]).toEqual([2, 3, 4]);
	});

	it("has no more ids than asked for, in whole blocks; a larger block is cut alone", () => {
		const pending = pendingOf([row("a", 1), row("b", 2)], [row("a", 3), row("c", 4)], [row("d", 5)]);
		expect(pending.rows).toBe(5);
		const first = take(pending, 3);
		expect([first.rows, first.coalesced, pending.rows]).toEqual([2, 0, 3]);
		expect(take(pending, 1).rows).toBe(2);
		expect(take(pending, 1).rows).toBe(1);
		expect(pending.take(1, 1, layout)).toBeNull();
		expect([pending.rows, pending.bytes]).toEqual([0, 0]);
	});

	it("has as many blocks as their bytes allow, and as many rows of few ids as wait", () => {
		const pending = pendingOf(...Array.from({ length: 50 }, (_, i) => [row("hot", 2 * i), row("hot", 2 * i + 1)]));
		expect(take(pending, 3, 300).coalesced).toBe(11);
		const rest = take(pending, 3);
		expect([rest.rows, rest.coalesced]).toEqual([1, 87]);
	});

	it("has so many rows that are not sent, and no more: where it can't be written they are taken apart", () => {
		const pending = pendingOf(...Array.from({ length: 50 }, (_, i) => Array.from({ length: 20 }, (_, k) => row("hot", 20 * i + k))));
		// 1,000 bytes a block, 50 of them sent.
		const batch = take(pending, LARGE, 1_000);
		expect([batch.blocks.length, batch.rows, batch.bytes, pending.rows]).toEqual([8, 1, 400, 42 * 20]);
	});

	it("gives the same rows one by one, the superseded ones behind the newest", () => {
		const batch = take(pendingOf([row("b", 1), row("a", 2)], [row("a", 3), row("c", 4, { values: [null, "5"] })]));
		const rows = batch.toPendingRows().take(10, LARGE);
		expect(rows.map(({ id, offset, superseded }) => [id, offset, superseded?.length ?? 0])).toEqual([
			["b", 1, 0],
			["a", 3, 1],
			["c", 4, 0],
		]);
		expect(rowParameters(layout, rows).slice(3, 5)).toEqual(["b 1\x1ea 3\x1e\x1d", "\x1d\x1e\x1d\x1e5"]);
	});

	it("is unusual where a value holds a separator", () => {
		expect(take(pendingOf([row("a", 1)], [row("b", 2, { values: ["x\x1ey", null] })])).isUsual).toBe(false);
		expect(take(pendingOf([row("a", 1)], [row("b", 2, { values: ["\x1d", null] })])).isUsual).toBe(false);
		expect(take(pendingOf([row("a", 1)], [row("b", 2, { values: ["x\x1dy", null] })])).isUsual).toBe(true);
	});
});

describe("pending blocks", () => {
	it("don't pile up for owners that were released while the database is away", () => {
		const pending = new PendingBlocks();
		const kept = submissionOf(layout, [row("kept", 0)]);
		for (const block of kept.blocks) pending.add(block, kept, 0);
		for (let i = 0; i < 10_000; i++) {
			const submission = submissionOf(layout, [row("again", i)]);
			for (const block of submission.blocks) pending.add(block, submission, 0);
			submission.release();
		}
		expect(pending.rows).toBeLessThan(200);
		expect(pending.holds(kept)).toBe(true);
		kept.release();
		expect(pending.holds(kept)).toBe(false);
	});

	it("don't pile up in a second outage either, nor by bytes", () => {
		const pending = new PendingBlocks();
		const add = (rows: TestRow[]) => {
			const submission = submissionOf(layout, rows);
			for (const block of submission.blocks) pending.add(block, submission, 0);
			return submission;
		};
		for (let i = 0; i < 5_000; i++) add([row("first", i)]);
		while (pending.rows > 0) take(pending);
		for (let i = 0; i < 500; i++) add([row("second", i)]).release();
		expect(pending.rows).toBeLessThan(200);
		const large = { length: 1, bytes: Int32Array.of(8 * 1024 * 1024) };
		for (let i = 0; i < 40; i++) {
			const submission = submissionOf(layout, [row("large", i)]);
			for (const block of submission.blocks) pending.add({ ...block, ...large }, submission, 0);
			submission.release();
		}
		expect(pending.bytes).toBeLessThan(64 * 1024 * 1024);
	});

	it("are none of a block without rows", () => {
		const pending = new PendingBlocks();
		const empty = submissionOf(layout, [row("a", 1)]);
		for (const block of empty.blocks) pending.add({ ...block, length: 0 }, empty, 0);
		expect([pending.holds(empty), pending.take(1, 1, layout)]).toEqual([false, null]);
	});
});
