/** When a client closes, and what it hears in librdkafka's log, on calls of node-rdkafka that the test answers. */
import { describe, expect, it } from "vitest";
import { ConsumerClient } from "../../../../src/kafka/client/consumer-client.ts";
import { kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

type Answer = (error: { message: string; code: number } | null, result?: unknown) => void;

function openClient() {
	const clock = new ManualClock();
	const client = new ConsumerClient({ "group.id": "g" }, {}, clock);
	const raw = client.raw as object;
	const calls: string[] = [];
	let coordinator: { message: string; code: number } | null = { message: "Local: Timed out", code: kafkaErrors.timedOut };
	Object.assign(raw, {
		subscribe: () => {},
		committed: (_: unknown, timeoutMs: number, answer: Answer) => {
			calls.push("committed");
			void clock.advance(coordinator ? timeoutMs : 1).then(() => answer(coordinator, [{ topic: "t", partition: 0 }]));
		},
		disconnect: (done: () => void) => {
			calls.push("disconnect");
			done();
		},
	});
	return {
		client,
		clock,
		calls,
		answers: (error: typeof coordinator) => {
			coordinator = error;
		},
		logged: (fac: string, message: string) => (raw as { emit(event: string, log: unknown): void }).emit("event.log", { fac, message }),
	};
}

describe("a close that waits for the coordinator's answers", () => {
	it("is none while it doesn't answer: the client would hang", async () => {
		const { client, calls } = openClient();
		client.subscribe(["t"]);
		expect(await client.close({ withinMs: 2_500, onlyIfAnswered: true })).toBe(false);
		expect(calls).not.toContain("disconnect");
		expect([calls.length > 0, client.hangs]).toEqual([true, false]);
	});

	it.each([
		["with offsets", null],
		["with the first error of Kafka's list", { message: "Broker: Offset out of range", code: 1 }],
		["with an error of its own", { message: "Broker: Group authorization failed", code: 30 }],
	])("closes once it answers %s", async (_, error) => {
		const { client, calls, answers } = openClient();
		client.subscribe(["t"]);
		answers(error);
		expect(await client.close({ withinMs: 2_500, onlyIfAnswered: true })).toBe(true);
		expect(calls).toEqual(["committed", "disconnect"]);
	});

	it("has nobody to wait for where it never subscribed", async () => {
		const { client, calls } = openClient();
		expect(await client.close({ withinMs: 2_500, onlyIfAnswered: true })).toBe(true);
		expect(calls).toEqual(["disconnect"]);
	});

	it("is asked for once: a second one waits for the first, whatever the coordinator says", async () => {
		const { client, calls } = openClient();
		client.subscribe(["t"]);
		expect(await client.close({ withinMs: 2_500 })).toBe(true);
		expect(await client.close({ withinMs: 2_500, onlyIfAnswered: true })).toBe(true);
		expect(calls).toEqual(["disconnect"]);
	});
});

it("a close that takes longer than it may is told as such, and the client hangs until it has closed", async () => {
	const { client, clock } = openClient();
	let end = () => {};
	Object.assign(client.raw as object, {
		disconnect: (done: () => void) => {
			end = done;
		},
	});
	const closed = client.close({ withinMs: 2_500 });
	await clock.advance(2_499);
	expect(client.hangs).toBe(true);
	await clock.advance(1);
	expect([await closed, client.hangs]).toEqual([false, true]);
	end();
	expect([await client.close({ withinMs: 2_500 }), client.hangs]).toEqual([true, false]);
});

it("what node-rdkafka tells by the log alone is an event each: a lost session, a late poll, and once the end of the client", () => {
	const { client, logged } = openClient();
	const told: string[] = [];
	client.on("session:lost", ({ message }) => told.push(`session: ${message}`));
	client.on("poll:late", () => told.push("poll"));
	client.on("fatal", ({ message, code }) => told.push(`fatal: ${message} (${code})`));
	logged("SESSTMOUT", "[thrd:main]: Consumer group session timed out");
	logged("MAXPOLL", "[thrd:main]: Application maximum poll interval exceeded");
	logged("REBALANCE", "[thrd:main]: Group g is rebalancing");
	for (let times = 0; times < 2; times++)
		logged("FATAL", "[thrd:main]: Fatal error: Broker: Static consumer fenced by other consumer with same group.instance.id: too late");
	expect(told).toEqual([
		"session: [thrd:main]: Consumer group session timed out",
		"poll",
		"fatal: Broker: Static consumer fenced by other consumer with same group.instance.id (82)",
	]);
});

it("the high watermark of the last fetch is known once there was one, and no longer once the client closes", async () => {
	const { client } = openClient();
	const highs = [-1001, 0, 42];
	Object.assign(client.raw as object, {
		getWatermarkOffsets: () => {
			const highOffset = highs.shift();
			if (highOffset === undefined) throw new Error("Local: Unknown partition");
			return { lowOffset: 7, highOffset };
		},
	});
	const asked = () => client.cachedHighWatermark({ topic: "t", partition: 0 });
	expect([asked(), asked(), asked(), asked()]).toEqual([null, 0, 42, null]);
	highs.push(43);
	await client.close();
	expect(asked()).toBe(null);
});
