/** Records of a handler as they are packed, one by one. */
import { expect, it } from "vitest";
import { recordAt, sizeOfRecord, withoutRecordsOf } from "../../../src/core/messages/records.ts";
import { RecordPacker } from "../../../src/worker/inside/rows/record-packer.ts";

it("a record is found among others, and is as large as its key, value and headers", () => {
	const packer = new RecordPacker({ topics: null, keeps: true });
	const produce = [
		{ topic: "t", key: "a", value: "bcd" },
		{ topic: "t", key: null, value: "efghi", headers: [["h", "12"]] },
		{ topic: "t", key: "jk", value: null },
		{ topic: "t" },
	];
	packer.add(0, produce, 0, 0, 1_000);
	const [block] = (packer.take()?.blocks ?? []) as [Parameters<typeof recordAt>[0]];
	const told = produce.map((_, index) => {
		const { key, value, headers } = recordAt(block, index);
		return [sizeOfRecord(block, index), key && `${key}`, value && `${value}`, headers.map(([name, content]) => `${name}=${content}`)];
	});
	expect(told).toEqual([
		[1 + 3, "a", "bcd", []],
		// 4 bytes for their number, 4 for each length.
		[5 + 4 + (4 + 1) + (4 + 2), null, "efghi", ["h=12"]],
		[2, "jk", null, []],
		[0, null, null, []],
	]);
});

it("a block without the records of a message has those of the others as they were", () => {
	const packer = new RecordPacker({ topics: null, keeps: true });
	const at = (message: number, ...values: readonly string[]) =>
		packer.add(
			message,
			values.map((value) => ({ topic: "t", key: `k${value}`, value, partition: message + 5, timestamp: 100 + message })),
			message,
			0,
			1_000,
		);
	at(0, "a", "bb");
	at(1, "ccc");
	at(2, "dddd", "eeeee");
	const [block] = (packer.take()?.blocks ?? []) as [Parameters<typeof recordAt>[0]];
	const told = (without: number) => {
		const rest = withoutRecordsOf(block, new Map([[without, null]]));
		const { length, messages, indexes, partitions, timestamps } = rest;
		const values = Array.from({ length }, (_, index) => String(recordAt(rest, index).value));
		return { values, of: [messages, indexes, partitions, timestamps].map((each) => [...each]) };
	};
	const whole = told(9);
	expect(whole.values).toEqual(["a", "bb", "ccc", "dddd", "eeeee"]);
	const picked = (...kept: number[]) => ({
		values: kept.map((index) => whole.values[index]),
		of: whole.of.map((each) => kept.map((index) => each[index])),
	});
	expect(told(0)).toEqual(picked(2, 3, 4));
	expect(told(1)).toEqual(picked(0, 1, 3, 4));
	expect(told(2)).toEqual(picked(0, 1, 2));
});
