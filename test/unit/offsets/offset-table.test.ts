import { expect, it } from "vitest";
import type { Database, DatabaseRow } from "../../../src/sink/database/database.ts";
import { OffsetTable } from "../../../src/sink/offsets/offset-table.ts";
import { settle } from "../../support/fakes/manual-clock.ts";

const zero = { topic: "orders", partition: 0 };
const one = { topic: "orders", partition: 1 };

/**
 * A table whose looks are answered when the test says so. It notes the offsets that are stored, and under which epoch. `missed`: no row is
 * what a store expects.
 */
function open({ missed = false } = {}) {
	const stored: { partition: number; next_offset: number; epoch: string }[] = [];
	let epoch = 0;
	let answerLook = () => {};
	const rowOf = ({ topic, partition, next_offset = 0 }: Record<string, unknown>, of: string): DatabaseRow => ({
		topic,
		partition,
		next_offset: String(next_offset),
		epoch: of,
		written_at: "1",
	});
	const database = {
		async query(text: string, [, entries]: readonly unknown[] = []): Promise<DatabaseRow[]> {
			if (typeof entries !== "string" || !entries.startsWith("[")) return [{ found: true }];
			const list = JSON.parse(entries) as (Record<string, unknown> & (typeof stored)[number])[];
			if (text.includes("set epoch =")) return list.map((each) => rowOf(each, String(++epoch)));
			if (text.includes("set next_offset =")) {
				if (missed) return [];
				stored.push(...list.map(({ partition, next_offset, epoch: under }) => ({ partition, next_offset, epoch: under })));
				return list.map((each) => rowOf(each, each.epoch));
			}
			await new Promise<void>((resolve) => (answerLook = resolve));
			return list.map((each) => rowOf(each, each.epoch ?? "0"));
		},
	} as unknown as Database;
	return { table: new OffsetTable({ database, table: "pockaffe_offsets", consumerGroup: "g" }), stored, answerLook: () => answerLook() };
}

it("an offset whose row is found changed is not told once its partition is claimed anew: the row is that of the claim before, or the new one's", async () => {
	const { table, stored, answerLook } = open({ missed: true });
	for (const claimsFirst of [false, true]) {
		await table.claim([zero, one]);
		const late = table.store([
			{ ...zero, offset: 120 },
			{ ...one, offset: 7 },
		]);
		const claim = claimsFirst ? table.claim([zero]) : settle().then(() => table.claim([zero]));
		await claim;
		await settle();
		answerLook();
		expect((await late).map(({ partition, kind }) => [partition, kind])).toEqual([[1, "changed"]]);
	}
	expect(stored).toEqual([]);
});

it("an offset that waits for a look is not stored for a claim that came meanwhile: it was finished for the one before", async () => {
	const { table, stored, answerLook } = open();
	await table.claim([zero, one]);
	const look = table.look([zero, one]);
	const late = table.store([
		{ ...zero, offset: 120 },
		{ ...one, offset: 7 },
	]);
	await table.claim([zero]);
	answerLook();
	expect([await look, await late]).toEqual([[], []]);
	expect(stored).toEqual([{ partition: 1, next_offset: 7, epoch: "2" }]);
	await table.store([{ ...zero, offset: 78 }]);
	expect(stored.at(-1)).toEqual({ partition: 0, next_offset: 78, epoch: "3" });
});
