/** A partition that the member has and no worker serves stands still: that is told, unless it lasts for moments. */
import { expect, it } from "vitest";
import { UnservedPartitions } from "../../../src/daemon/unserved-partitions.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const place = (partition: number) => ({ topic: "orders", partition });

function open() {
	const clock = new ManualClock(1_000_000);
	const fetched = new Set([0, 1, 2]);
	const served = new Set(["orders/0"]);
	const unserved = new UnservedPartitions({
		clock,
		fetched: () => [...fetched].map((partition) => ({ ...place(partition), offset: 7 })),
		isServed: (name) => served.has(name),
	});
	const told = () => unserved.problems.map(({ where, sinceMs }) => [where?.partition, sinceMs]);
	return { clock, fetched, served, unserved, told };
}

it("is told with its partition once a minute has passed, and not before", async () => {
	const { clock, unserved, told } = open();
	unserved.look();
	await clock.advance(59_999);
	unserved.look();
	expect(told()).toEqual([]);
	await clock.advance(1);
	expect(told()).toEqual([
		[1, 1_000_000],
		[2, 1_000_000],
	]);
	expect(unserved.problems[0]).toEqual({
		code: "starting",
		where: place(1),
		message: expect.stringContaining("reads nothing of it"),
		sinceMs: 1_000_000,
	});
});

it("is no problem any more the moment a worker has it, or it is not read here any more", async () => {
	const { clock, fetched, served, unserved, told } = open();
	unserved.look();
	await clock.advance(60_000);
	served.add("orders/1");
	fetched.delete(2);
	expect(told()).toEqual([]);
});

it("has another minute when it lost its worker again", async () => {
	const { clock, served, unserved, told } = open();
	unserved.look();
	served.add("orders/1");
	await clock.advance(40_000);
	unserved.look();
	served.delete("orders/1");
	unserved.look();
	await clock.advance(59_000);
	expect(told()).toEqual([[2, 1_000_000]]);
	await clock.advance(1_000);
	expect(told()).toEqual([
		[1, 1_040_000],
		[2, 1_000_000],
	]);
});
