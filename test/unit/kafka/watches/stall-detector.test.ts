import { describe, expect, it } from "vitest";
import { LagClock } from "../../../../src/kafka/offsets/lag-clock.ts";
import { type Position, StallDetector } from "../../../../src/kafka/watches/stall-detector.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

const partition = { topic: "t", partition: 0 };

function watch(positions: () => readonly Position[], watermarks = { low: 0, high: 100 }, isWaiting = () => false) {
	const told: string[] = [];
	const clock = new ManualClock(1_000_000);
	const detector = new StallDetector({
		clock,
		positions,
		watermarks: async () => watermarks,
		fetchAgain: () => told.push("fetched again"),
		isWaiting,
		lastError: () => "Local: Not implemented",
		stalled: (_, reason) => told.push(reason),
		moving: () => told.push("moving"),
	});
	const look = async (times: number) => {
		for (let i = 0; i < times; i++) await detector.look();
	};
	return { detector, told, look, watermarks, clock };
}

describe("StallDetector", () => {
	it("tells a partition that stands still while its log goes on, with the client's last error, and when it moves again", async () => {
		let position = 7;
		const { detector, told, look } = watch(() => [{ ...partition, position, idle: true }]);
		await look(2);
		expect(told).toEqual([]);
		// Once, before it is told: a client that met the end of a log that has grown since goes on with that.
		await look(1);
		expect(told).toEqual(["fetched again"]);
		await look(5);
		expect(told.splice(0, 1)).toEqual(["fetched again"]);
		expect(told).toEqual(["stands still at offset 7 while the log goes on to 100 (last error of the client: Local: Not implemented)"]);
		expect(detector.reasonOf(partition)).toBe(told[0]);
		position = 8;
		await look(1);
		expect(told.at(-1)).toBe("moving");
		expect(detector.reasonOf(partition)).toBeNull();
	});

	it("says since when each stands still, until it moves or is given away", async () => {
		const positions = [0, 1, 2].map((number) => ({ topic: "t", partition: number, position: 7, idle: number !== 2 }));
		const { detector, look, clock } = watch(() => positions);
		await clock.advance(300);
		await look(4);
		await clock.advance(50);
		await look(1);
		const message = expect.stringMatching(/^stands still at offset 7/);
		const stall = (number: number) => ({ code: "parked", where: { topic: "t", partition: number }, message, sinceMs: 1_000_300 });
		expect(detector.stalls).toEqual([stall(0), stall(1)]);
		positions[0] = { topic: "t", partition: 0, position: 8, idle: true };
		expect(detector.stalls).toEqual([stall(1)]);
		positions.splice(1, 1);
		expect(detector.stalls).toEqual([]);
	});

	it("takes one that waits for the end of a transaction for no standstill", async () => {
		let isWaiting = true;
		const { told, look } = watch(
			() => [{ ...partition, position: 7, idle: true }],
			{ low: 0, high: 100 },
			() => isWaiting,
		);
		await look(10);
		expect(told).toEqual([]);
		isWaiting = false;
		await look(4);
		expect(told.at(-1)).toContain("stands still at offset 7");
	});

	it("leaves a position outside the log to who looks after those, at the first look at which it stands", async () => {
		const { detector, told, look } = watch(() => [{ ...partition, position: 200, idle: true }]);
		await look(2);
		expect([told, detector.reasonOf(partition)]).toEqual([["fetched again"], null]);
	});

	it.each([
		["at the end of its log", { position: 100, idle: true }],
		["with messages in hand", { position: 7, idle: false }],
	])("leaves a partition alone %s", async (_, state) => {
		const { told, look } = watch(() => [{ ...partition, ...state }]);
		await look(6);
		expect(told).toEqual([]);
	});

	it("forgets a partition that was released", async () => {
		let assigned = true;
		const { detector, told, look } = watch(() => (assigned ? [{ ...partition, position: 7, idle: true }] : []));
		await look(4);
		expect(detector.reasonOf(partition)).toBe(told[1]);
		assigned = false;
		await look(1);
		expect([detector.reasonOf(partition), told.length]).toEqual([null, 2]);
		// Assigned again it begins anew.
		assigned = true;
		await look(3);
		expect([detector.reasonOf(partition), told.slice(2)]).toEqual([null, ["fetched again"]]);
	});
});

describe("LagClock", () => {
	it("gives the time of the oldest delivery that isn't finished", () => {
		const clock = new LagClock();
		clock.received(partition, 10, 1_000);
		clock.received(partition, 20, 2_000);
		expect(clock.oldest(partition, 9)).toBe(1_000);
		expect(clock.oldest(partition, 10)).toBe(2_000);
		expect(clock.oldest(partition, 20)).toBeNull();
		clock.received(partition, 30, 3_000);
		clock.forget(partition);
		expect(clock.oldest(partition, 0)).toBeNull();
	});

	it("takes the first instant of all for a time, and forgets since when a partition waited once it is given away or goes on", () => {
		const clock = new LagClock();
		const at = (committable: number, highWatermark: number | null, now: number) =>
			clock.oldestKnown(partition, { committable, highWatermark }, now);
		clock.received(partition, 10, 0);
		expect([clock.oldest(partition, 0), at(0, 20, 300)]).toEqual([0, 0]);
		expect([at(10, 20, 400), at(10, 20, 500)]).toEqual([400, 400]);
		clock.forget(partition);
		expect(at(10, 20, 600)).toBe(600);
		// Nothing is left to wait for: what comes later waits from then on.
		expect([at(10, 10, 700), at(10, 11, 800)]).toEqual([null, 800]);
		clock.received(partition, 12, 750);
		expect([at(10, 12, 900), at(12, 13, 1_000)]).toEqual([750, 1_000]);
	});

	it("gives since when a partition is seen to wait where nobody here knows the age of what it waits for", () => {
		const clock = new LagClock();
		const at = (committable: number, highWatermark: number | null, now: number) =>
			clock.oldestKnown(partition, { committable, highWatermark }, now);
		expect([at(5, 5, 100), at(5, null, 200)]).toEqual([null, null]);
		expect([at(5, 9, 300), at(5, 20, 400)]).toEqual([300, 300]);
		// It came a bit further, and waits at another place.
		expect([at(7, 20, 500), at(7, 20, 600)]).toEqual([500, 500]);
		clock.received(partition, 10, 450);
		expect(at(7, 20, 700)).toBe(450);
		expect([at(20, 20, 800), at(20, 25, 900)]).toEqual([null, 900]);
		// A message without a timestamp has an age all the same.
		clock.received(partition, 25, -1);
		expect(at(20, 25, 1_000)).toBe(900);
		clock.forget(partition);
		expect(at(20, 25, 1_100)).toBe(1_100);
		// As old as Unix itself, but known.
		clock.received(partition, 26, 0);
		expect(at(20, 25, 1_200)).toBe(0);
	});
});
