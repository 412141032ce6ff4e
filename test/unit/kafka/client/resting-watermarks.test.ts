/** The lag of partitions that are paused: their watermarks are asked for, because nothing is fetched there. */
import { expect, it } from "vitest";
import { partitionName, type TopicPartition } from "../../../../src/core/messages/message.ts";
import { RestingWatermarks } from "../../../../src/kafka/client/resting-watermarks.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";

const at = (partition: number) => ({ topic: "t", partition });

/** Logs with these ends; null: the broker does not answer. */
function open(ends: (number | null)[]) {
	const clock = new ManualClock();
	const asked: string[] = [];
	const ask = async (partition: TopicPartition) => {
		asked.push(partitionName(partition));
		const high = ends[partition.partition];
		if (high === null || high === undefined) throw new Error("away");
		return { high };
	};
	const watermarks = new RestingWatermarks(clock, ask);
	return { watermarks, clock, asked, ends };
}

it("are asked for every five seconds while a partition is paused, and not after a short pause", async () => {
	const { watermarks, clock, asked, ends } = open([7, 9]);
	watermarks.paused([at(0), at(1)]);
	await clock.advance(4_999);
	watermarks.over([at(1)]);
	await clock.advance(1);
	expect([asked, watermarks.of(at(0)), watermarks.of(at(1))]).toEqual([["t/0"], 7, null]);
	ends[0] = 12;
	watermarks.paused([at(0)]);
	await clock.advance(5_000);
	expect([asked, watermarks.of(at(0))]).toEqual([["t/0", "t/0"], 12]);
});

it("are not asked for of a partition that was paused a moment before the others are asked for", async () => {
	const { watermarks, clock, asked } = open([7, 9]);
	watermarks.paused([at(0)]);
	await clock.advance(4_000);
	watermarks.paused([at(1)]);
	await clock.advance(1_000);
	expect(asked).toEqual(["t/0"]);
	await clock.advance(5_000);
	expect(asked).toEqual(["t/0", "t/0", "t/1"]);
});

it("hold while the broker does not answer, and keep no other from being asked for", async () => {
	const { watermarks, clock, ends } = open([7, 9]);
	watermarks.paused([at(0), at(1)]);
	await clock.advance(5_000);
	[ends[0], ends[1]] = [null, 10];
	await clock.advance(5_000);
	expect([watermarks.of(at(0)), watermarks.of(at(1))]).toEqual([7, 10]);
});

it("are forgotten where a partition is fetched again or given away, and nothing is asked for then", async () => {
	const { watermarks, clock, asked } = open([7]);
	watermarks.paused([at(0)]);
	await clock.advance(5_000);
	watermarks.over([at(0)]);
	expect(watermarks.of(at(0))).toBeNull();
	await clock.advance(60_000);
	expect([asked, clock.pending]).toEqual([["t/0"], []]);
});

it("are not asked for once the client closes", async () => {
	const { watermarks, clock, asked } = open([7]);
	watermarks.paused([at(0)]);
	watermarks.end();
	await clock.advance(60_000);
	watermarks.paused([at(0)]);
	await settle();
	expect([asked, clock.pending]).toEqual([[], []]);
});
