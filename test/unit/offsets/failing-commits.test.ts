import { describe, expect, it } from "vitest";
import { FailingCommits } from "../../../src/kafka/offsets/failing-commits.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const partitions = (...numbers: number[]) => numbers.map((partition) => ({ topic: "orders", partition }));

function watch(assigned = new Set([0, 1, 2, 3, 4, 5, 6, 7])) {
	const clock = new ManualClock();
	return { clock, assigned, failing: new FailingCommits(clock, ({ partition }) => assigned.has(partition)) };
}

describe("commits that fail", () => {
	it("are told after half a minute, with the partitions, the store's words and since when; one for all that fail alike", async () => {
		const { clock, failing } = watch();
		const sinceMs = clock.now();
		failing.failed(partitions(0), "SQLSTATE 42501: permission denied", 0);
		await clock.advance(10_000);
		failing.failed(partitions(0, 1), "SQLSTATE 42501: permission denied", 0);
		await clock.advance(19_999);
		expect(failing.problems).toEqual([]);
		await clock.advance(1);
		expect(failing.problems).toMatchObject([{ code: "commits_failing", where: null, sinceMs }]);
		expect(failing.problems[0]?.message).toContain("the offsets of orders/0 can't be committed: SQLSTATE 42501: permission denied; ");
		await clock.advance(10_000);
		expect(failing.problems[0]?.message).toContain("orders/0, orders/1 can't");
		// Since the first of them, in whatever order they were heard of.
		failing.failed(partitions(2), "SQLSTATE 42501: permission denied", 60_000);
		expect(failing.problems).toMatchObject([{ sinceMs: clock.now() - 60_000 }]);
		failing.committed(partitions(2));
		expect(failing.problems).toMatchObject([{ sinceMs }]);
		failing.failed(partitions(1), "another reason", 0);
		expect(failing.problems.map(({ message }) => /^the offsets of (.*?) can't/.exec(message)?.[1])).toEqual(["orders/0", "orders/1"]);
	});

	it("count from when the commit was begun, where it got no answer for so long", () => {
		const { clock, failing } = watch();
		failing.failed(partitions(0), "no answer to the commit within 30000 ms", 30_000);
		expect(failing.problems).toMatchObject([{ sinceMs: clock.now() - 30_000 }]);
	});

	it("are over with a commit of that partition, and with the partition", () => {
		const { assigned, failing } = watch();
		failing.failed(partitions(0, 1, 2), "away", 30_000);
		failing.committed(partitions(0));
		expect(failing.problems[0]?.message).toContain("the offsets of orders/1, orders/2 can't");
		assigned.delete(1);
		expect(failing.problems[0]?.message).toContain("the offsets of orders/2 can't");
		failing.committed(partitions(2));
		expect(failing.problems).toEqual([]);
		// Assigned again it begins anew.
		assigned.add(1);
		expect(failing.problems).toEqual([]);
	});

	it("of many partitions name a few", () => {
		const { failing } = watch();
		failing.failed(partitions(0, 1, 2, 3, 4, 5, 6, 7), "away", 30_000);
		expect(failing.problems[0]?.message).toMatch(/orders\/4 and 3 more partitions can't/);
	});
});
