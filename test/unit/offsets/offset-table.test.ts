import { beforeEach, describe, expect, it } from "vitest";
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

describe("the table of offsets, by what the server answers", () => {
	type Row = Record<string, unknown>;
	/** The rows by partition, and which of them the next statement that writes will match. */
	let rows: Record<number, Row>;
	let matches: readonly number[];
	let sent: [kind: string, entries: Row[]][];
	let refuses: string | null;

	beforeEach(() => {
		[rows, matches, sent, refuses] = [{}, [], [], null];
	});

	const kindOf = (text: string) =>
		/^create table/.test(text) ? "create" : /^select o/.test(text) ? "stored" : (/^(?:insert|update)/.exec(text)?.[0] ?? "look");
	const database = {
		query: async (text: string, [, entries = "[]"]: readonly string[] = []) => {
			const kind = kindOf(text);
			if (kind === "create" || kind === "look") {
				if (kind === "create") sent.push([kind, []]);
				return [{ found: kind === "look" && text.includes("attname") }];
			}
			const list: Row[] = JSON.parse(entries);
			sent.push([kind, list]);
			if (refuses !== null) throw Object.assign(new Error("refused"), { code: refuses });
			const asked = list.map(({ partition }) => partition as number);
			return asked.filter((each) => rows[each] && (kind === "stored" || matches.includes(each))).map((each) => rows[each]);
		},
	} as unknown as Database;

	const row = (partition: number, next_offset: number, epoch = 4, written_at = 1_000, log: Row = {}) => {
		rows[partition] = {
			topic: "orders",
			partition,
			next_offset: String(next_offset),
			epoch: String(epoch),
			written_at: String(written_at),
			...log,
		};
	};
	const at = (partition: number, offset: number) => ({ topic: "orders", partition, offset });
	const partitions = (...numbers: number[]) => numbers.map((partition) => ({ topic: "orders", partition }));
	const opened = (readOnly = false) => new OffsetTable({ database, table: "offsets", consumerGroup: "g", readOnly });

	async function claimed(...numbers: number[]) {
		const table = opened();
		for (const each of numbers) row(each, 10 * each);
		matches = numbers;
		await table.claim(partitions(...numbers));
		matches = [];
		sent = [];
		return table;
	}

	it("an offset that was not stored is told with what is there instead, once", async () => {
		const table = await claimed(1, 2, 3, 4, 5, 6, 7);
		row(1, 15, 5);
		delete rows[2];
		row(3, 29);
		row(4, 40, 4, 999);
		row(5, 51);
		row(6, 67);
		row(7, 70, 3);
		const offsets = [at(1, 11), at(2, 21), at(3, 31), at(4, 41), at(5, 51), at(6, 61), at(7, 71), at(8, 81)];
		const displaced = [
			{ topic: "orders", partition: 1, kind: "taken_over", expected: 10, found: 15 },
			{ topic: "orders", partition: 2, kind: "gone", expected: 20, found: null },
			{ topic: "orders", partition: 3, kind: "changed", expected: 30, found: 29 },
			{ topic: "orders", partition: 4, kind: "changed", expected: 40, found: 40 },
			{ topic: "orders", partition: 6, kind: "changed", expected: 60, found: 67 },
			{ topic: "orders", partition: 7, kind: "changed", expected: 70, found: 70 },
			{ topic: "orders", partition: 8, kind: "taken_over", expected: 0, found: null },
		];
		// Of partition 5 an earlier statement may have stored it.
		expect(await table.store(offsets)).toEqual(displaced);
		sent = [];
		await table.store(offsets);
		expect(sent[0]).toEqual([
			"update",
			[expect.objectContaining({ partition: 5, lowest: 50, highest: 51, epoch: "4", written_at: 1_000 })],
		]);
	});

	it("what was stored is what has to be there from then on, and no earlier time of it", async () => {
		const table = await claimed(1, 2);
		row(1, 17, 4, 3_000);
		matches = [1];
		expect(await table.store([at(1, 17)])).toEqual([]);
		row(1, 17, 4, 2_000);
		await table.look(partitions(1, 2));
		matches = [];
		row(1, 17, 4, 2_999);
		expect(await table.look(partitions(1, 2))).toEqual([{ topic: "orders", partition: 1, kind: "changed", expected: 17, found: 17 }]);
		const looked = sent.filter(([kind]) => kind === "update").at(-1);
		expect(looked?.[1]).toEqual([
			{ topic: "orders", partition: 1, epoch: "4", lowest: 17, highest: 17, written_at: 3_000 },
			{ topic: "orders", partition: 2, epoch: "4", lowest: 20, highest: 20, written_at: 1_000 },
		]);
	});

	it("nobody is asked about partitions that are not claimed", async () => {
		const table = opened();
		await table.look(partitions(1));
		await table.forget(partitions(1));
		expect([await table.set([]), await table.store([]), sent]).toEqual([[], [], []]);
	});

	it("offsets are read with their logs, as far as these are known; a partition without one is null", async () => {
		row(1, 10, 4, 0, { topic_id: "id", reached_ts: "7", reached_ts_offset: "9" });
		row(2, 20, 4, 0, { topic_id: null, reached_ts: "7", reached_ts_offset: "9" });
		row(3, 30, 4, 0, { topic_id: "id", reached_ts: "7", reached_ts_offset: null });
		row(4, 40, 4, 0, { topic_id: null, reached_ts: "7", reached_ts_offset: null });
		const witness = { offset: 9, timestamp: 7 };
		expect(await opened().stored(partitions(1, 2, 3, 4, 5))).toEqual([
			{ ...at(1, 10), log: { id: "id", witness } },
			{ ...at(2, 20), log: { id: null, witness } },
			{ ...at(3, 30), log: { id: "id", witness: null } },
			at(4, 40),
			{ topic: "orders", partition: 5, offset: null },
		]);
	});

	it("partitions begin where they are told, or where somebody else began them meanwhile; those that are lost are left out", async () => {
		const table = await claimed(1, 2);
		row(1, 11);
		row(2, 20, 5);
		row(3, 34);
		matches = [1, 3];
		const begun = await table.begin([at(1, 11), at(2, 21), at(3, 31)]);
		expect(begun).toEqual([at(1, 11), at(3, 34)]);
		const [[, stored = []] = [], , [kind, inserted = []] = []] = sent;
		expect([stored.map(({ anew }) => anew), kind, inserted.map(({ partition }) => partition)]).toEqual([[true, true], "insert", [3]]);
		sent = [];
		matches = [3];
		await table.store([at(3, 35)]);
		expect(sent).toEqual([["update", [expect.objectContaining({ partition: 3, next_offset: 35, lowest: 34, highest: 34, anew: false })]]]);
	});

	it("offsets that another one stood in the way of were not set", async () => {
		row(1, 10);
		row(2, 20);
		matches = [1];
		const table = opened();
		expect(
			await table.set([
				{ ...at(1, 10), replaces: 5 },
				{ ...at(2, 20), replaces: null },
			]),
		).toEqual(partitions(2));
		expect(sent[0]?.[1].map(({ replaces }) => replaces)).toEqual([5, null]);
	});

	it("a table that was dropped is made again by who may write to it, and for no other error", async () => {
		const codes = ["42P01", "42703", "57P01"];
		const made: boolean[] = [];
		for (const [readOnly, code] of [false, true].flatMap((each) => codes.map((one) => [each, one] as const))) {
			sent = [];
			refuses = code;
			await expect(opened(readOnly).stored(partitions(1))).rejects.toMatchObject({ code });
			made.push(sent.some(([kind]) => kind === "create"));
		}
		expect(made).toEqual([true, true, false, false, false, false]);
	});
});
