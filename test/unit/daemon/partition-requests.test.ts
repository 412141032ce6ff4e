/** What people ask of partitions: who carries it out, and what they are told. Supervisor, ledger and consumer are the test's. */
import { beforeEach, describe, expect, it } from "vitest";
import { PartitionRequests } from "../../../src/daemon/partition-requests.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const orders = { topic: "orders", partition: 1 };
let clock: ManualClock;
let done: string[];
/** By name; those that are assigned here. */
let children: Map<string, { pausedByHand: boolean }>;
let answer: Promise<string> | null;
let moved: object[] | null;

beforeEach(() => {
	[clock, done, answer, moved] = [new ManualClock(), [], Promise.resolve("skipped"), [{ committed: 5 }]];
	children = new Map([["orders/1", { pausedByHand: false }]]);
});

const requests = () =>
	new PartitionRequests({
		clock,
		supervisor: {
			children,
			control: ({ topic, partition }: typeof orders, action: string) => {
				done.push(`${action} ${topic}/${partition}`);
				return children.has(`${topic}/${partition}`);
			},
			skip: (_: unknown, offset: number, why: string) => {
				done.push(`skip ${offset} ${why}`);
				return answer;
			},
		} as never,
		ledger: { of: ({ partition }: typeof orders) => (partition === 1 ? { position: 90 } : undefined) } as never,
		consumer: {
			move: async (wanted: readonly { to: number }[]) => {
				done.push(`move to ${wanted.map(({ to }) => to)}`);
				return moved;
			},
		} as never,
		watermarks: async () => ({ low: 10, high: 100 }),
		decideAgain: ({ topic, partition }) => done.push(`decide again ${topic}/${partition}`),
	});

describe("control of a partition", () => {
	it("is the supervisor's; a resume also decides again about a position outside the log", () => {
		const { control } = { control: (action: "pause" | "resume" | "restart") => requests().control(orders, action) };
		expect([control("pause"), control("restart"), control("resume")]).toEqual([true, true, true]);
		expect(done).toEqual(["pause orders/1", "restart orders/1", "resume orders/1", "decide again orders/1"]);
	});

	it("decides nothing about a partition of another member", () => {
		children.clear();
		expect([requests().control(orders, "resume"), done]).toEqual([false, ["resume orders/1"]]);
	});
});

describe("a skip", () => {
	it("of a message that was received is the supervisor's, and its answer is passed on at once", async () => {
		expect(await requests().skip(orders, 89, "nobody needs it")).toEqual({ outcome: "skipped", position: 90 });
		expect([done, clock.pending]).toEqual([["skip 89 nobody needs it"], []]);
	});

	it("of a message that was not received yet is none: it says where the partition stands, and if it is paused by hand", async () => {
		expect(await requests().skip(orders, 90, "why")).toEqual({ outcome: "ahead", position: 90 });
		children.set("orders/1", { pausedByHand: true });
		expect(await requests().skip(orders, 90, "why")).toEqual({ outcome: "ahead", position: 90, isPaused: true });
		expect(done).toEqual([]);
	});

	it("of a partition of another member is none", async () => {
		expect(await requests().skip({ topic: "orders", partition: 2 }, 3, "why")).toBeNull();
		answer = null;
		expect(await requests().skip(orders, 3, "why")).toBeNull();
	});

	it("of a message that the handler has is answered after three seconds, and stays asked for", async () => {
		answer = new Promise(() => {});
		const asked = requests().skip(orders, 3, "why");
		await clock.advance(2_999);
		expect(clock.pending).toEqual([1]);
		await clock.advance(1);
		expect(await asked).toEqual({ outcome: "asked", position: 90 });
	});
});

describe("offsets", () => {
	it("are set by the consumer, and a partition that was paused by hand is paused again", async () => {
		children.set("orders/2", { pausedByHand: true });
		const wanted = [1, 2].map((partition) => ({ topic: "orders", partition, to: 50 + partition }));
		expect(await requests().setOffsets("a", wanted as never)).toMatchObject({ outcome: "set", offsets: moved });
		expect(done).toEqual(["move to 51,52", "pause orders/2"]);
	});

	it("of a partition of another member, or outside the log, are refused", async () => {
		const ask = (partition: number, to: number) => requests().setOffsets("a", [{ topic: "orders", partition, to }] as never);
		expect(await ask(7, 50)).toMatchObject({ outcome: "refused" });
		expect(await ask(1, 101)).toMatchObject({ outcome: "refused" });
		expect(done).toEqual([]);
	});
});
