/** Lanes of many topics: which are silent, what shares a limit, and what a client still holds for nobody. */
import { describe, expect, it } from "vitest";
import type { RecordBlock } from "../../../../src/core/messages/records.ts";
import type { RecordSource } from "../../../../src/kafka/producing/record-lane.ts";
import { leaderlessWords, recordProblems } from "../../../../src/kafka/producing/record-problems.ts";
import { TopicLanes } from "../../../../src/kafka/producing/topic-lanes.ts";
import { RecordPacker } from "../../../../src/worker/inside/rows/record-packer.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

const from = { topic: "orders", partition: 2 };

function scene() {
	const clock = new ManualClock();
	const lanes = new TopicLanes(clock);
	let number = 0;
	/** So many records for the topic, of which the client has some. */
	const push = (topic: string, records: number, handed = 0, source: object = from) => {
		const packer = new RecordPacker({ topics: null, keeps: true });
		const values = Array.from({ length: records }, () => ({ topic, value: "value" }));
		packer.add(0, values, 0, 1, 1e9);
		const lane = lanes.of(topic);
		lane.records.push({ released: false, ...source } as RecordSource, packer.take()?.blocks[0] as RecordBlock, number);
		number += records;
		if (handed > 0) lane.records.take(handed, 1e9);
		return lane;
	};
	const done = (topic: string, index = 0) => {
		const [parcel] = lanes.of(topic).records.parcels();
		if (parcel) lanes.of(topic).records.done(parcel, index);
	};
	return { clock, lanes, push, done };
}

describe("a topic", () => {
	it("is silent once nothing of its oldest records was acknowledged for more than ten seconds", async () => {
		const { clock, lanes, push, done } = scene();
		const lane = push("a", 3, 3);
		await clock.advance(10_000);
		expect(lanes.silentMs(lane)).toBe(null);
		await clock.advance(1);
		expect(lanes.silentMs(lane)).toBe(10_001);
		lane.silence = "no leader";
		done("a");
		expect([lanes.silentMs(lane), lane.silence]).toEqual([null, null]);
		await clock.advance(20_000);
		expect(lanes.silentMs(lane)).toBe(20_000);
		// A new client begins from anew.
		lanes.begin();
		expect(lanes.silentMs(lane)).toBe(null);
	});

	it("without records is never silent, and begins to count with the first", async () => {
		const { clock, lanes, push, done } = scene();
		const lane = push("a", 1);
		done("a");
		await clock.advance(60_000);
		expect(lanes.silentMs(lane)).toBe(null);
		push("a", 1);
		expect(lanes.silentMs(lane)).toBe(null);
		await clock.advance(11_000);
		expect(lanes.silentMs(lane)).toBe(11_000);
	});

	it("moves for a source partition while it is not blocked, and while that one's records move", async () => {
		const { clock, lanes, push } = scene();
		const lane = push("a", 2, 2);
		expect([lanes.isMoving(from), lanes.isMoving({ ...from, partition: 3 }), lanes.isMoving({ ...from, topic: "other" })]).toEqual([
			...[true, false, false],
		]);
		lane.trouble = { message: "missing", sinceMs: 1 };
		expect(lanes.isMoving(from)).toBe(false);
		lane.trouble = null;
		await clock.advance(15_000);
		expect(lanes.isMoving(from)).toBe(false);
		// Behind silent ones a parcel of its own moves by itself, for ten seconds.
		push("a", 1, 0, { topic: "orders", partition: 3 });
		await clock.advance(10_000);
		expect([lanes.isMoving(from), lanes.isMoving({ ...from, partition: 3 })]).toEqual([false, true]);
		await clock.advance(1);
		expect(lanes.isMoving({ ...from, partition: 3 })).toBe(false);
	});
});

describe("what the client has", () => {
	it("counts for all topics together, but a silent topic has a limit to itself", async () => {
		const { clock, lanes, push } = scene();
		expect(lanes.hasHanded).toBe(false);
		const silent = push("silent", 5, 4);
		await clock.advance(11_000);
		const [a, b] = [push("a", 3, 2), push("b", 2, 1)];
		const records = (lane: typeof a) => lanes.handedBeside(lane).records;
		expect([records(silent), records(a), records(b), lanes.hasHanded]).toEqual([4, 3, 3, true]);
		expect(lanes.handedBeside(a).bytes).toBe(a.records.handedBytes + b.records.handedBytes);
		expect(lanes.handedBeside(silent).bytes).toBe(silent.records.handedBytes);
	});

	it("of records that nobody waits for is counted until it has reported as many, or is gone", () => {
		const { lanes, push } = scene();
		const lane = push("a", 3, 2);
		const { handedBytes, bytes } = lane.records;
		const [parcel] = lane.records.parcels();
		expect([lanes.drop(lane.records, parcel as never), lanes.leftBytes]).toEqual([bytes, handedBytes]);
		lanes.leftReported();
		expect(lanes.leftBytes).toBe(handedBytes);
		lanes.leftReported();
		expect(lanes.leftBytes).toBe(0);
		push("a", 2, 2, { ...from, released: true });
		push("b", 2, 1, { ...from, released: true });
		push("b", 1);
		const kept = 1;
		const all = lanes.of("a").records.bytes + lanes.of("b").records.bytes;
		const freed = lanes.dropReleased();
		expect([freed, [...lanes.of("b").records.parcels()].length]).toEqual([all - lanes.of("b").records.bytes, kept]);
		expect(lanes.leftBytes).toBeGreaterThan(0);
		lanes.clientGone();
		expect(lanes.leftBytes).toBe(0);
	});
});

it("what others still wait for is not counted as held for nobody", () => {
	const { lanes, push } = scene();
	push("a", 2, 2);
	const lane = push("a", 3, 3);
	const [first, second] = [...lane.records.parcels()];
	const before = lane.records.handedBytes;
	lanes.drop(lane.records, first as never);
	expect([lane.records.handed, lanes.leftBytes]).toEqual([3, before - lane.records.handedBytes]);
	lanes.leftReported();
	expect(lanes.leftBytes).toBeGreaterThan(0);
	lanes.leftReported();
	expect(lanes.leftBytes).toBe(0);
	expect([...lane.records.parcels()]).toEqual([second]);
});

it("a hundred topics are kept; from then on those that are idle are forgotten, and no others", () => {
	const { lanes, push, done } = scene();
	for (let i = 0; i < 96; i++) lanes.of(`idle-${i}`).state = "open";
	lanes.of("new");
	Object.assign(lanes.of("stopped"), { state: "open", isStopped: true });
	push("full", 1).state = "open";
	push("done", 1, 1).state = "open";
	done("done");
	expect([...lanes]).toHaveLength(100);
	lanes.of("idle-0");
	expect([...lanes]).toHaveLength(100);
	lanes.of("another");
	expect([...lanes].map(({ topic }) => topic)).toEqual(["new", "stopped", "full", "another"]);
	expect(lanes.get("idle-0")).toBeUndefined();
});

describe("what holds records up", () => {
	it("is a blocked topic that has records, or the client's trouble where there is none", () => {
		const { clock, lanes, push } = scene();
		const trouble = { message: "no broker", sinceMs: 7 };
		expect(recordProblems(lanes, trouble, clock)).toEqual([{ code: "produce_blocked", where: null, ...trouble }]);
		push("a", 1).trouble = { message: "missing", sinceMs: 5 };
		lanes.of("empty").trouble = { message: "missing too", sinceMs: 6 };
		const blocked = { code: "produce_blocked", where: { topic: "a", partition: null }, message: "missing", sinceMs: 5 };
		expect(recordProblems(lanes, trouble, clock)).toEqual([blocked]);
		expect(recordProblems(lanes, null, clock)).toEqual([blocked]);
	});

	it("is a topic that nobody acknowledges, since when, and why if that is known; not while the client is the trouble", async () => {
		const { clock, lanes, push } = scene();
		const lane = push("a", 1);
		const since = clock.now();
		await clock.advance(12_400);
		const message = `Kafka has acknowledged none of the oldest records for topic a for 12 s, and ${lane.records.bytes} bytes wait`;
		expect(recordProblems(lanes, null, clock)).toEqual([
			{ code: "produce_blocked", where: { topic: "a", partition: null }, message, sinceMs: since },
		]);
		lane.silence = "no leader";
		expect(recordProblems(lanes, null, clock)[0]?.message).toBe(`${message}: no leader`);
		expect(recordProblems(lanes, { message: "no broker", sinceMs: 7 }, clock).map(({ where }) => where)).toEqual([null]);
	});

	it("are partitions without a leader, by their numbers", () => {
		const why = "no leader: the broker is down, or can't write to its disk (its log says which)";
		expect([[], [3], [1, 4]].map(leaderlessWords)).toEqual([null, `partition 3 has ${why}`, `partitions 1, 4 have ${why}`]);
	});
});
