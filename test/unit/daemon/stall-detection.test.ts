/** What the daemon's parts say to the detector of standstills, and what follows from one. */
import { EventEmitter } from "eventemitter3";
import { beforeEach, expect, it } from "vitest";
import { buildStallDetector } from "../../../src/daemon/stall-detection.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const still = { topic: "orders", partition: 0 };
const supervised = () => ({
	...{ ...still, paused: false, pausedByHand: false, parked: null as object | null },
	child: { queue: { queued: 0, underway: 0 } },
});
let clock: ManualClock;
let child: ReturnType<typeof supervised>;
let consumer: EventEmitter & { readonly client: object; readonly replaceClient: () => void };
let told: string[];
let high: number;
let isWaiting: boolean;

beforeEach(() => {
	[clock, child, told, high, isWaiting] = [new ManualClock(), supervised(), [], 90, false];
	consumer = Object.assign(new EventEmitter(), {
		client: { watermarks: async () => ({ low: 0, high }) },
		replaceClient: () => told.push("another client"),
	});
});

/** Half a minute: six looks. */
async function watched(): Promise<string[]> {
	const detector = buildStallDetector(
		{
			consumer,
			ledger: { of: () => ({ position: 70 }) },
			supervisor: { children: new Map([["orders/0", child]]) },
			transactions: { isWaiting: () => isWaiting },
			fetchAgain: ({ position }: { position: number }) => told.push(`fetch again at ${position}`),
		} as never,
		clock,
		{
			stalled: ({ topic, partition }, reason) => told.push(`${topic}/${partition} stalled: ${reason}`),
			moving: ({ topic, partition }) => told.push(`${topic}/${partition} moves`),
		},
	);
	detector.start();
	await clock.advance(30_000);
	detector.dispose();
	return told;
}

it("a partition that stands before messages is fetched again, and then told with the client's last words", async () => {
	const watching = watched();
	consumer.emit("consume:failed", { message: "no codec" });
	expect((await watching).slice(0, 2)).toEqual(["fetch again at 70", expect.stringMatching(/^orders\/0 stalled: .*no codec/)]);
	expect(told.filter((words) => words.includes("stalled"))).toHaveLength(1);
	expect(told).not.toContain("another client");
});

it("a client that met an unknown topic is replaced once, for it may fetch a topic that is no more", async () => {
	const watching = watched();
	consumer.emit("topic:unknown");
	expect((await watching).filter((words) => words === "another client")).toHaveLength(1);
});

it.each<[why: string, change: () => void]>([
	["has nothing before it", () => (high = 70)],
	["is paused", () => (child.paused = true)],
	["is paused by hand", () => (child.pausedByHand = true)],
	["is parked", () => (child.parked = {})],
	["has messages in its queue", () => (child.child.queue.queued = 1)],
	["has messages in hand", () => (child.child.queue.underway = 1)],
	["waits for the end of a transaction", () => (isWaiting = true)],
])("a partition that %s does not stand still", async (_, change) => {
	change();
	expect((await watched()).filter((words) => words.includes("stalled"))).toEqual([]);
});
