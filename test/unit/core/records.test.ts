/** Records of a handler as they are packed, one by one. */
import { expect, it } from "vitest";
import { recordAt, sizeOfRecord } from "../../../src/core/messages/records.ts";
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
