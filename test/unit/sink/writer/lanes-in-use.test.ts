import { expect, it } from "vitest";
import { LanesInUse } from "../../../../src/sink/writer/tuning/lanes-in-use.ts";

it("one lane is used while it takes what comes, all from when it is left behind until a second without", () => {
	const lanes = new LanesInUse(3);
	const counts = [
		[false, 0],
		[true, 10],
		[false, 20],
		[true, 500],
		[false, 1_500],
		[false, 1_501],
		[true, 9_000],
	].map(([isBehind, now]) => {
		lanes.answered(isBehind as boolean, now as number);
		return lanes.count;
	});
	expect(counts).toEqual([1, 3, 3, 3, 3, 1, 3]);
});

it("a single connection has a single lane", () => {
	const lanes = new LanesInUse(1);
	lanes.answered(true, 0);
	expect(lanes.count).toBe(1);
});
