/** How much partitions may have in hand: who is paused, who goes on, and when more should come slowly. */
import { describe, expect, it } from "vitest";
import { partitionName, type TopicPartition } from "../../../src/core/messages/message.ts";
import { BackPressure, isShut } from "../../../src/supervisor/back-pressure.ts";
import type { Child, Supervised } from "../../../src/supervisor/supervisor-parts.ts";

interface Hand {
	unfinished: number;
	queued: number;
	underway: number;
	bytes: number;
}

type FakeChild = Pick<Child, "queue">;

/** So many partitions, of 100 messages and 1,000 bytes together. */
function open(count: number) {
	const hands: Hand[] = Array.from({ length: count }, () => ({ unfinished: 0, queued: 0, underway: 0, bytes: 0 }));
	const told: string[] = [];
	const tell = (what: string) => (partitions: readonly TopicPartition[]) =>
		void told.push(...partitions.map(({ partition }) => `${what} ${partition}`));
	const all = hands.map(
		(hand, partition): Supervised<FakeChild> => ({
			...{
				topic: "t",
				partition,
				epoch: 1,
				suspicion: null,
				paused: false,
				pausedByHand: false,
				parked: null,
				resuming: false,
				draining: null,
			},
			lastTimestamp: 0,
			child: {
				queue: {
					...{ handed: 0, handedTo: 0 },
					get queued() {
						return hand.queued;
					},
					get underway() {
						return hand.underway;
					},
					get bytes() {
						return hand.bytes;
					},
				},
			},
		}),
	);
	const children = new Map(all.map((each) => [partitionName(each), each]));
	const pressure = new BackPressure<FakeChild>({
		children,
		offsets: { of: ({ partition }) => ({ logId: null, position: 0, committable: 0, unfinished: hands[partition]?.unfinished ?? 0 }) },
		valve: { pause: tell("pause"), resume: tell("resume") },
		limits: { maxQueuedMessages: 100, maxQueuedBytes: 1_000 },
	});
	const has = (partition: number, hand: Partial<Hand>) => Object.assign(hands[partition] as Hand, hand);
	return { pressure, all: all as [Supervised<FakeChild>, Supervised<FakeChild>], children, told, has };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("a partition", () => {
	it("is paused at its share of the messages, and not one below it", () => {
		const { pressure, all, told, has } = open(2);
		has(0, { unfinished: 49 });
		pressure.received(all[0]);
		expect([told, all[0].paused]).toEqual([[], false]);
		has(0, { unfinished: 50 });
		pressure.received(all[0]);
		expect([told, all[0].paused, all[1].paused]).toEqual([["pause 0"], true, false]);
	});

	it("is paused again where the client lost the pause, and more messages come", () => {
		const { pressure, all, told, has } = open(2);
		has(0, { unfinished: 50 });
		pressure.received(all[0]);
		has(0, { unfinished: 60 });
		pressure.received(all[0]);
		expect([told, all[0].paused]).toEqual([["pause 0", "pause 0"], true]);
	});

	it("is paused at its share of the bytes as well", () => {
		const { pressure, all, told, has } = open(2);
		has(1, { unfinished: 1, bytes: 499 });
		pressure.received(all[1]);
		expect(told).toEqual([]);
		has(1, { bytes: 500 });
		pressure.received(all[1]);
		expect(told).toEqual(["pause 1"]);
	});

	it("goes on below half of its share, looked at once for all that finished in a turn", async () => {
		const { pressure, all, told, has } = open(2);
		has(0, { unfinished: 50 });
		pressure.received(all[0]);
		has(0, { unfinished: 25 });
		pressure.finished(all[0]);
		await turn();
		expect(told).toEqual(["pause 0"]);
		has(0, { unfinished: 24 });
		for (let times = 0; times < 3; times++) pressure.finished(all[0]);
		expect(told).toEqual(["pause 0"]);
		await turn();
		expect([told, all[0].paused, all[0].resuming]).toEqual([["pause 0", "resume 0"], false, false]);
	});

	it("that was never paused is not resumed, nor one that is given away, nor one that is another's by then", async () => {
		const { pressure, all, children, told, has } = open(2);
		pressure.finished(all[0]);
		await turn();
		has(0, { unfinished: 50 });
		has(1, { unfinished: 50 });
		for (const each of all) pressure.received(each);
		has(0, { unfinished: 0 });
		has(1, { unfinished: 0 });
		all[0].draining = Promise.resolve(true);
		children.set(partitionName(all[1]), { ...all[1] });
		for (const each of all) pressure.finished(each);
		await turn();
		expect(told).toEqual(["pause 0", "pause 1"]);
	});

	it("that a person holds, or that is parked, is not fetched from though its queue has room", async () => {
		const { pressure, all, told, has } = open(2);
		for (const partition of [0, 1]) has(partition, { unfinished: 50 });
		for (const each of all) pressure.received(each);
		all[0].pausedByHand = true;
		all[1].parked = { code: "out_of_range", message: "", sinceMs: 0 };
		for (const partition of [0, 1]) has(partition, { unfinished: 0 });
		for (const each of all) pressure.finished(each);
		await turn();
		expect([told, all.map(({ paused }) => paused)]).toEqual([
			["pause 0", "pause 1"],
			[false, false],
		]);
	});

	it("with nothing in hand is full only while there is no room at all", () => {
		const { pressure, all, told, has } = open(2);
		expect(pressure.isFull(all[0])).toBe(false);
		has(0, { unfinished: 50 });
		pressure.received(all[0]);
		expect(pressure.isFull(all[0])).toBe(true);
		has(0, { unfinished: 49 });
		expect([pressure.isFull(all[0]), told]).toEqual([false, ["pause 0", "resume 0"]]);
	});
});

describe("more should come slowly", () => {
	const crowd = (hands: readonly Partial<Hand>[], change: (all: readonly Supervised<FakeChild>[]) => void = () => {}) => {
		const { pressure, all, has } = open(2);
		for (const [partition, hand] of hands.entries()) has(partition, hand);
		change(all);
		return pressure.isCrowded;
	};
	const half = { unfinished: 25, queued: 10, underway: 15 };

	it("where each has half of its share in hand, or more", () => {
		expect(crowd([half, { ...half, unfinished: 40 }])).toBe(true);
		expect(crowd([half, { ...half, unfinished: 24 }])).toBe(false);
		expect(crowd([half, { unfinished: 1, queued: 1, bytes: 250 }])).toBe(true);
	});

	it("not where one can't go on by itself: nothing of it is queued or under way", () => {
		expect(crowd([half, { unfinished: 30 }])).toBe(false);
		expect(crowd([half, { unfinished: 30, queued: 1 }])).toBe(true);
		expect(crowd([half, { unfinished: 30, underway: 1 }])).toBe(true);
		expect(crowd([half, { unfinished: 30, queued: 7, underway: 7 }])).toBe(true);
	});

	it("whatever those have that nothing is fetched of, but not where that is all", () => {
		expect(crowd([half, {}], ([, second]) => Object.assign(second as object, { paused: true }))).toBe(true);
		expect(crowd([half, half], (all) => void all.map((each) => Object.assign(each, { pausedByHand: true })))).toBe(false);
	});

	it("not while one is given away: its results come by polls", () => {
		expect(crowd([half, half], ([first]) => Object.assign(first as object, { draining: Promise.resolve(true) }))).toBe(false);
	});

	it("not with no partition", () => {
		expect(open(0).pressure.isCrowded).toBe(false);
	});
});

it("nothing is fetched of what is paused, held or parked", () => {
	const parked = { code: "c", message: "m", sinceMs: 0 };
	const shut = [
		{ paused: true, pausedByHand: false, parked: null },
		{ paused: false, pausedByHand: true, parked: null },
		{ paused: false, pausedByHand: false, parked },
	];
	expect([...shut.map(isShut), isShut({ paused: false, pausedByHand: false, parked: null })]).toEqual([true, true, true, false]);
});
