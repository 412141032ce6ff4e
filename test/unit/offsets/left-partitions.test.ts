import { expect, it } from "vitest";
import { LeftPartitions } from "../../../src/kafka/offsets/left-partitions.ts";

const partition = { topic: "orders", partition: 0 };

it("a partition goes on where it begins at the place of the log at which it was left, and only then", () => {
	const left = new LeftPartitions();
	const comesBack = (logId: string | null, offset: number) => {
		left.left(partition, { logId: "a", offset: 10 });
		return left.goesOn(partition, { logId, offset });
	};
	expect([comesBack("a", 10), comesBack("a", 11), comesBack("a", 9), comesBack("b", 10), comesBack(null, 10)]).toEqual([
		true,
		false,
		false,
		false,
		false,
	]);
	// It is asked of each time it comes, and was not left since.
	expect(left.goesOn(partition, { logId: "a", offset: 10 })).toBe(false);
	expect(left.goesOn({ topic: "orders", partition: 1 }, { logId: "a", offset: 10 })).toBe(false);
});
