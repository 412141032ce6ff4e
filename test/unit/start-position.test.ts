import { describe, expect, it } from "vitest";
import type { TopicPartition } from "../../src/core/message.ts";
import type { OffsetStore } from "../../src/kafka/offset-store.ts";
import { FirstStart, resolveStartPositions, type StartFrom, type StartQueries } from "../../src/kafka/start-position.ts";

const partition = { topic: "t", partition: 0 };

function store(committed: number | null, elsewhere?: number): Pick<OffsetStore, "claim" | "elsewhere"> {
	const all = (offset: number | null) => async (partitions: readonly TopicPartition[]) => partitions.map((each) => ({ ...each, offset }));
	return { claim: all(committed), ...(elsewhere === undefined ? {} : { elsewhere: all(elsewhere) }) };
}

function queries(forTime: number | null = 42): StartQueries {
	return {
		watermarks: async () => ({ low: 5, high: 99 }),
		offsetForTime: async () => forTime,
	};
}

function firstStart(): FirstStart {
	const first = new FirstStart();
	first.seen([{ ...partition, offset: null }]);
	return first;
}

describe("the start position", () => {
	it.each([
		["earliest", 5, "earliest"],
		["latest", 99, "latest"],
		[1_700_000_000_000, 42, "timestamp"],
	] as const)("is resolved to a number where nothing is committed: %s", async (startFrom: StartFrom, offset, from) => {
		const {
			starts: [start],
		} = await resolveStartPositions([partition], startFrom, firstStart(), queries(), store(null));
		expect(start).toEqual({ ...partition, offset, committed: null, from });
	});

	it("of a partition that has begun and of which nothing is stored any more is the beginning, whatever it was at first", async () => {
		const first = firstStart();
		first.begun(partition);
		const { starts } = await resolveStartPositions([partition], "latest", first, queries(), store(null, 80));
		expect(starts).toEqual([{ ...partition, offset: 5, committed: null, from: "beginning" }]);
	});

	it("is the end where no message is as young as the timestamp", async () => {
		const {
			starts: [start],
		} = await resolveStartPositions([partition], 1_700_000_000_000, firstStart(), queries(null), store(null));
		expect(start).toMatchObject({ offset: 99, from: "timestamp" });
	});

	it("is the committed offset wherever there is one", async () => {
		const {
			starts: [start],
		} = await resolveStartPositions([partition], "latest", firstStart(), queries(), store(17));
		expect(start).toEqual({ ...partition, offset: 17, committed: 17, from: "committed" });
	});

	it("is the beginning for a partition that appeared later", async () => {
		const {
			starts: [start],
		} = await resolveStartPositions([{ topic: "t", partition: 1 }], "latest", firstStart(), queries(), store(null));
		expect(start).toMatchObject({ offset: 5, from: "beginning" });
	});

	it("is the beginning for partitions of a topic of which the group had committed others before", async () => {
		const first = new FirstStart();
		first.seen([
			{ topic: "t", partition: 0, offset: 3 },
			{ topic: "t", partition: 1, offset: null },
		]);
		const {
			starts: [start],
		} = await resolveStartPositions([{ topic: "t", partition: 1 }], "latest", first, queries(), store(null));
		expect(start).toMatchObject({ offset: 5, from: "beginning" });
	});

	it("is the beginning of a topic that was made again after every first start", async () => {
		const first = firstStart();
		first.end();
		const {
			starts: [start],
		} = await resolveStartPositions([partition], "latest", first, queries(), store(null));
		expect(start).toMatchObject({ offset: 5, from: "beginning" });
	});

	it.each([
		["latest", 20, 20, "kafka"],
		["latest", 200, 99, "latest"],
		["latest", 2, 5, "kafka"],
		["earliest", 20, 5, "earliest"],
	] as const)("under %s with %i in another store is the lower one, and in the log", async (startFrom, elsewhere, offset, from) => {
		const {
			starts: [start],
		} = await resolveStartPositions([partition], startFrom, firstStart(), queries(), store(null, elsewhere));
		expect(start).toMatchObject({ offset, from, committed: null });
	});

	it("of one partition that the broker can't be asked about doesn't keep the others", async () => {
		const watermarks = async ({ partition: number }: TopicPartition) => {
			if (number === 1) throw new Error("no leader");
			return { low: 5, high: 99 };
		};
		const both = [partition, { topic: "t", partition: 1 }];
		const { starts, failed } = await resolveStartPositions(both, "earliest", firstStart(), { ...queries(), watermarks }, store(null));
		expect([starts.map((each) => each.partition), failed.map((each) => each.partition.partition)]).toEqual([[0], [1]]);
	});

	it("is not guessed when the broker can't be asked", async () => {
		const broken = { ...queries(), watermarks: () => Promise.reject(new Error("timed out")) };
		const { starts, failed } = await resolveStartPositions([partition], "latest", firstStart(), broken, store(null));
		expect([starts, failed]).toEqual([[], [{ partition, error: new Error("timed out") }]]);
	});
});
