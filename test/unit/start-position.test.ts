import { describe, expect, it } from "vitest";
import { FirstStart, resolveStartPositions, type StartFrom, type StartQueries } from "../../src/kafka/start-position.ts";

const partition = { topic: "t", partition: 0 };

function queries(committed: number | null, forTime: number | null = 42): StartQueries {
	return {
		committed: async (partitions) => partitions.map((each) => ({ ...each, offset: committed })),
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
		const [start] = await resolveStartPositions([partition], startFrom, firstStart(), queries(null));
		expect(start).toEqual({ ...partition, offset, committed: null, from });
	});

	it("is the end where no message is as young as the timestamp", async () => {
		const [start] = await resolveStartPositions([partition], 1_700_000_000_000, firstStart(), queries(null, null));
		expect(start).toMatchObject({ offset: 99, from: "timestamp" });
	});

	it("is the committed offset wherever there is one", async () => {
		const [start] = await resolveStartPositions([partition], "latest", firstStart(), queries(17));
		expect(start).toEqual({ ...partition, offset: 17, committed: 17, from: "committed" });
	});

	it("is the beginning for a partition that appeared later", async () => {
		const [start] = await resolveStartPositions([{ topic: "t", partition: 1 }], "latest", firstStart(), queries(null));
		expect(start).toMatchObject({ offset: 5, from: "beginning" });
	});

	it("is the beginning for partitions of a topic of which the group had committed others before", async () => {
		const first = new FirstStart();
		first.seen([
			{ topic: "t", partition: 0, offset: 3 },
			{ topic: "t", partition: 1, offset: null },
		]);
		const [start] = await resolveStartPositions([{ topic: "t", partition: 1 }], "latest", first, queries(null));
		expect(start).toMatchObject({ offset: 5, from: "beginning" });
	});

	it("is not guessed when the broker can't be asked", async () => {
		const broken = { ...queries(null), watermarks: () => Promise.reject(new Error("timed out")) };
		await expect(resolveStartPositions([partition], "latest", firstStart(), broken)).rejects.toThrow("timed out");
	});
});
