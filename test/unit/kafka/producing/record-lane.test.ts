/** A topic's records between handlers and broker: what they are found by, and what is free when they are gone. */
import { describe, expect, it } from "vitest";
import type { RecordBlock } from "../../../../src/core/messages/records.ts";
import { type Parcel, RecordLane, type RecordSource } from "../../../../src/kafka/producing/record-lane.ts";
import { RecordPacker } from "../../../../src/worker/inside/rows/record-packer.ts";

const source = { released: false } as RecordSource;

function blockOf(records: number): RecordBlock {
	const packer = new RecordPacker({ topics: null, keeps: true });
	packer.add(
		0,
		Array.from({ length: records }, () => ({ topic: "out", value: "v" })),
		0,
		1,
		1e9,
	);
	return packer.take()?.blocks[0] as RecordBlock;
}

/** So many parcels of two records each. */
function laneOf(parcels: number): { lane: RecordLane; all: Parcel[] } {
	const lane = new RecordLane();
	for (let i = 0; i < parcels; i++) lane.push(source, blockOf(2), 2 * i);
	return { lane, all: [...lane.parcels()] };
}

describe("a lane", () => {
	it("finds a record by its number, and none whose parcel is gone", () => {
		const { lane, all } = laneOf(3);
		expect(lane.find(3)).toMatchObject({ parcel: all[1], from: 1 });
		lane.drop(all[1] as Parcel);
		expect([lane.find(2), lane.find(3), lane.find(6), lane.find(-1)]).toEqual([null, null, null, null]);
	});

	it("frees the bytes of a parcel once", () => {
		const { lane, all } = laneOf(2);
		const [first, second] = all as [Parcel, Parcel];
		const { bytes } = lane;
		expect(lane.take(1, 1e9)).toMatchObject({ parcel: first, from: 0, to: 1 });
		expect([lane.drop(first), lane.drop(first), lane.done(first, 0), lane.done(first, 1)]).toEqual([bytes / 2, 0, 0, 0]);
		expect([lane.bytes, lane.handed, lane.handedBytes]).toEqual([bytes / 2, 0, 0]);
		expect([lane.done(second, 0), lane.done(second, 1), lane.isEmpty]).toEqual([0, bytes / 2, true]);
	});

	it("keeps few of those that are gone behind one that stays, and goes on where it was", () => {
		const { lane } = laneOf(2);
		const [, second] = [...lane.parcels()] as [Parcel, Parcel];
		const handed = () => lane.take(2, 1e9)?.parcel;
		expect([handed(), handed()]).toEqual([...lane.parcels()]);
		const block = blockOf(2);
		for (let i = 2; i < 10_000; i++) {
			lane.push(source, block, 2 * i);
			const parcel = handed() as Parcel;
			expect(parcel.first).toBe(2 * i);
			for (const index of [0, 1]) lane.done(parcel, index);
		}
		expect(lane.length).toBeLessThan(2_100);
		lane.push(source, blockOf(2), 20_000);
		expect([handed()?.first, lane.first()]).toEqual([20_000, null]);
		lane.giveBack({ parcel: second, from: 0, to: 2 });
		expect([handed(), lane.find(3)?.parcel, lane.find(4)]).toEqual([second, second, null]);
		expect(lane.handed).toBe(6);
	});

	it("finds none whose parcel is gone from the list, and is not taken for the first that is left", () => {
		const { lane, all } = laneOf(1_100);
		for (const parcel of all.slice(0, 1_050)) lane.drop(parcel);
		expect([lane.find(0), lane.find(2_099)]).toEqual([null, null]);
		expect(lane.find(2_100)).toMatchObject({ parcel: all[1_050], from: 0 });
	});
});
