/** What a client tells and passes on, of calls and callbacks of node-rdkafka that the test plays. */
import type rdkafka from "node-rdkafka";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ConsumerClient } from "../../../../src/kafka/client/consumer-client.ts";
import { kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";

afterEach(() => void vi.restoreAllMocks());

const one = { topic: "t", partition: 3 };

/** A client that is not connected. `polls`: what the next ones bring, an error or nothing. */
function open(settings: Record<string, unknown> = {}) {
	const clock = new ManualClock();
	const client = new ConsumerClient({ "group.id": "g", ...settings }, {}, clock);
	const raw = client.raw as InstanceType<typeof rdkafka.KafkaConsumer> & {
		globalConfig: { rebalance_cb(error: number, partitions: object[]): void };
	};
	const calls: string[] = [];
	const polls: ({ message: string; code: number } | null)[] = [];
	const say =
		(name: string) =>
		(...given: unknown[]) =>
			void calls.push(`${name} ${JSON.stringify(given)}`);
	Object.assign(raw, {
		...{ subscribe: say("subscribe"), unsubscribe: say("unsubscribe"), pause: say("pause"), resume: say("resume"), assign: say("assign") },
		...{ incrementalAssign: say("incrementalAssign"), incrementalUnassign: say("incrementalUnassign") },
		assignments: () => [one],
		subscription: () => [],
		setDefaultConsumeTimeout: say("timeout"),
		consume: (count: number, done: (error: object | null, messages: object[]) => void) => {
			calls.push(`consume ${count}`);
			done(polls.shift() ?? null, []);
		},
		disconnect: (done: () => void) => {
			calls.push("disconnect");
			done();
		},
	});
	const told: unknown[] = [];
	for (const event of ["rebalance", "broker:error", "fatal", "stats"] as const)
		client.on(event as "stats", (fact) => void told.push([event, fact]));
	const logged = (fac: string, message: string) => void raw.emit("event.log", { fac, message } as never);
	return { clock, client, raw, calls, polls, told, logged };
}

describe("a client tells", () => {
	it("of a change of its assignment, behind what its log said in the same moment", async () => {
		const { raw, told, logged } = open();
		raw.globalConfig.rebalance_cb(kafkaErrors.revokePartitions, [{ ...one, offset: 7 }]);
		logged("FATAL", "[thrd:main]: Fatal error: Broker: Static consumer fenced by other consumer with same group.instance.id: x");
		await settle();
		expect(told).toEqual([
			["fatal", { message: expect.stringContaining("fenced"), code: kafkaErrors.fencedInstanceId }],
			["rebalance", { code: kafkaErrors.revokePartitions, partitions: [one] }],
		]);
	});

	it("what its broker says, with the code, and with the last failure of a connection", () => {
		const { raw, told, logged } = open();
		raw.emit("event.error", { message: "all broker connections are down" } as never);
		logged("FAIL", "[thrd:k1:1/bootstrap]: k1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: refused");
		raw.emit("event.error", { message: "all broker connections are down" } as never);
		const [first, second] = told as [[string, { message: string }], [string, { message: string }]];
		expect(first).toEqual(["broker:error", { message: "all broker connections are down", code: -187, cause: null }]);
		expect(second[1].message).toBe("all broker connections are down (k1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: refused)");
	});

	it("its statistics as they are", () => {
		const { raw, told } = open();
		raw.emit("event.stats", { message: '{"a":1}' } as never);
		expect(told).toEqual([["stats", { json: '{"a":1}' }]]);
	});

	it("once that it gave up for good, with the reason that its log gives, whichever came first", async () => {
		const { client, clock, polls, told, logged } = open();
		polls.push({ message: "Local: Fatal error", code: kafkaErrors.fatal });
		expect((await client.poll(1, 0)).errors).toMatchObject([{ kafkaCode: kafkaErrors.fatal }]);
		await clock.advance(999);
		expect(told).toEqual([]);
		logged("FATAL", "[thrd:main]: Fatal error: Broker: Unknown member: x");
		await clock.advance(1_000);
		expect(told).toEqual([["fatal", { message: "Broker: Unknown member", code: kafkaErrors.unknownMember }]]);
		polls.push({ message: "Local: Fatal error", code: kafkaErrors.fatal });
		expect((await client.poll(1, 0)).errors).toMatchObject([{ message: "Broker: Unknown member" }]);
	});

	it("that it gave up where its log says nothing within a second", async () => {
		const { client, clock, polls, told } = open();
		polls.push({ message: "Local: Fatal error", code: kafkaErrors.fatal });
		await client.poll(1, 0);
		await clock.advance(1_000);
		expect(told).toEqual([["fatal", { message: "Local: Fatal error", code: kafkaErrors.fatal }]]);
	});

	it("at once that another member has its name; any other error is none of that kind", async () => {
		const { client, clock, polls, told } = open();
		polls.push({ message: "Local: Timed out", code: kafkaErrors.timedOut });
		await client.poll(1, 0);
		await clock.advance(60_000);
		expect(told).toEqual([]);
		polls.push({ message: "fenced", code: kafkaErrors.fencedInstanceId });
		await client.poll(1, 0);
		expect(told).toEqual([["fatal", { message: "fenced", code: kafkaErrors.fencedInstanceId }]]);
	});
});

describe("a client that connects", () => {
	const connecting = (error: object | null, scene = open()) => {
		const asked: object[] = [];
		Object.assign(scene.raw, {
			connect: (options: object, done: (error: object | null) => void) => {
				asked.push(options);
				done(error);
			},
		});
		return { ...scene, asked, connected: scene.client.connect(1_500) };
	};

	it("gives that as much time as it is given", async () => {
		const { connected, asked } = connecting(null);
		await connected;
		expect(asked).toEqual([{ timeout: 1_500 }]);
	});

	it("rejects with Kafka's code and with what its log said of the connection", async () => {
		const scene = open();
		scene.logged("FAIL", "[thrd:x]: k1:1/1: refused");
		const error = { message: "Local: Broker transport failure", code: kafkaErrors.transport };
		await expect(connecting(error, scene).connected).rejects.toMatchObject({
			message: "Local: Broker transport failure (k1:1/1: refused)",
			kafkaCode: kafkaErrors.transport,
			cause: error,
		});
	});
});

describe("a client passes on", () => {
	it("topics by their names, and as regular expressions where they begin with ^", () => {
		const { client, raw } = open();
		const subscribed: unknown[] = [];
		Object.assign(raw, { subscribe: (topics: unknown[]) => subscribed.push(topics) });
		client.subscribe(["orders", "^many\\..*", "a^b"]);
		expect(subscribed).toEqual([["orders", /^many\..*/, "a^b"]]);
	});

	it("the end of a subscription, but not once it closes", async () => {
		const { client, calls } = open();
		client.unsubscribe();
		await client.close();
		client.unsubscribe();
		expect(calls).toEqual(["unsubscribe []", "disconnect"]);
		await expect(client.poll(1, 0)).rejects.toMatchObject({ kafkaCode: kafkaErrors.state });
		await expect(client.consume(1, 0)).rejects.toThrow("the client is closing");
	});

	it("partitions to fetch from their stored offsets", () => {
		const { client, calls } = open();
		client.assignStored([one]);
		expect(calls).toEqual([`assign ${JSON.stringify([[one]])}`]);
	});
});

describe("events without messages", () => {
	it("are served by a short poll for one message, while all assigned partitions are paused", async () => {
		const { client, calls } = open();
		expect(await client.serveEvents()).toEqual({ messages: [], ends: [] });
		const list = JSON.stringify([[one]]);
		expect(calls).toEqual([`pause ${list}`, "timeout [20]", "consume 1", `resume ${list}`]);
	});

	it("are none where the poll fails; partitions of a client that closes meanwhile stay paused", async () => {
		const { client, raw, calls } = open();
		Object.assign(raw, {
			consume: () => {
				void client.close();
				throw new Error("no");
			},
		});
		expect(await client.serveEvents()).toEqual({ messages: [], ends: [] });
		expect(calls.filter((call) => call.startsWith("resume"))).toEqual([]);
	});

	it("are served by a close until its commits have their answers, so that none is lost", async () => {
		const { client, raw, calls } = open();
		const offset = { ...one, offset: 5 };
		const asked: number[] = [];
		Object.assign(raw, {
			commit: () => {},
			committed: (_list: unknown, within: number, done: (error: null, found: object[]) => void) => {
				asked.push(within);
				done(null, [offset]);
			},
		});
		client.subscribe(["t"]);
		const committed = client.commit([offset]);
		await settle();
		let polls = 0;
		Object.assign(raw, {
			consume: (_: number, done: (error: null, messages: object[]) => void) => {
				if (++polls === 3) raw.emit("offset.commit", null as never, [offset] as never);
				done(null, []);
			},
		});
		expect(await client.close({ withinMs: 1_000, onlyIfAnswered: true })).toBe(true);
		await committed;
		expect([polls, calls.at(-1)]).toEqual([3, "disconnect"]);
		// What it asks has no more time than the close.
		expect(asked).toEqual([1_000]);
	});
});

it.each(["a poll", "a question"] as const)("a close waits for %s under way: it still uses the client", async (what) => {
	const { client, raw, calls } = open();
	let end: () => void = () => {};
	Object.assign(raw, {
		consume: (_: number, done: (error: null, messages: object[]) => void) => (end = () => done(null, [])),
		queryWatermarkOffsets: (_t: string, _p: number, _ms: number, done: (error: null, found: object) => void) =>
			(end = () => done(null, { lowOffset: 1, highOffset: 2 })),
	});
	const asked = what === "a poll" ? client.poll(1, 100) : client.watermarks(one);
	await settle();
	const closed = client.close();
	await settle();
	expect(calls).not.toContain("disconnect");
	end();
	expect(await asked).toMatchObject(what === "a poll" ? { batches: [] } : { low: 1, high: 2 });
	expect([await closed, calls.at(-1)]).toEqual([true, "disconnect"]);
});

it("the high watermark of a partition that is paused for long is the broker's, until it is fetched, given away or assigned again", async () => {
	const { client, clock, raw } = open();
	let high = 40;
	Object.assign(raw, {
		getWatermarkOffsets: () => ({ lowOffset: 0, highOffset: 12 }),
		queryWatermarkOffsets: (_t: string, _p: number, _ms: number, done: (error: null, found: object) => void) =>
			done(null, { lowOffset: 1, highOffset: high++ }),
	});
	for (const over of [() => client.resume([one]), () => client.unassign([one], true), () => client.assign([{ ...one, offset: 0 }], true)]) {
		client.pause([one]);
		await clock.advance(5_000);
		expect(client.cachedHighWatermark(one)).toBe(high - 1);
		over();
		expect(client.cachedHighWatermark(one)).toBe(12);
	}
	client.pause([one]);
	await client.close();
	await clock.advance(60_000);
	expect(high).toBe(43);
});

describe("the first record at an offset", () => {
	type Brought = Awaited<ReturnType<ConsumerClient["consume"]>>;
	const nothing: Brought = { messages: [], ends: [] };

	/** A reader whose polls bring these, one second each. */
	async function reading(...polls: Brought[]) {
		const scene = open({
			"group.instance.id": "i",
			"group.protocol": "consumer",
			"partition.assignment.strategy": "range",
			"client.id": "c",
		});
		await scene.clock.advance(7_000);
		const calls: unknown[] = [];
		vi.spyOn(ConsumerClient.prototype, "connect").mockImplementation(async function (this: ConsumerClient, timeoutMs) {
			const { globalConfig, topicConfig } = this.raw as { globalConfig: Record<string, unknown>; topicConfig: object };
			const names = ["group.id", "client.id", "group.instance.id", "group.protocol", "partition.assignment.strategy"];
			calls.push(["connect", timeoutMs, names.map((name) => globalConfig[name]), topicConfig]);
		});
		vi.spyOn(ConsumerClient.prototype, "assign").mockImplementation((...given) => void calls.push(["assign", ...given]));
		vi.spyOn(ConsumerClient.prototype, "consume").mockImplementation(async (...given) => {
			calls.push(["consume", ...given]);
			await scene.clock.advance(1_000);
			return polls.shift() ?? nothing;
		});
		vi.spyOn(ConsumerClient.prototype, "close").mockImplementation(async () => calls.push(["close"]) > 0);
		return { calls, record: scene.client.recordAt({ ...one, offset: 5 }) };
	}

	const message = { ...one, offset: 8, timestamp: 77, key: null, value: null, headers: [] };

	it("is read by a client of its own, which is no member of the group", async () => {
		const { calls, record } = await reading(nothing, { messages: [message, { ...message, offset: 9 }], ends: [] });
		expect(await record).toEqual({ offset: 8, timestamp: 77 });
		expect(calls).toEqual([
			["connect", 10_000, ["g", "c", undefined, undefined, undefined], { "auto.offset.reset": "error" }],
			["assign", [{ ...one, offset: 5 }], false],
			["consume", 1, 100],
			["consume", 1, 100],
			["close"],
		]);
	});

	it("is none at the end of the log", async () => {
		const { calls, record } = await reading({ messages: [], ends: [{ ...one, offset: 5 }] });
		expect([await record, calls.at(-1)]).toEqual([null, ["close"]]);
	});

	it("is waited for ten seconds", async () => {
		const { calls, record } = await reading();
		await expect(record).rejects.toMatchObject({ message: "t/3: no record at offset 5 within 10000 ms", kafkaCode: -1 });
		expect((calls as [string][]).filter(([what]) => what === "consume")).toHaveLength(10);
		expect(calls.at(-1)).toEqual(["close"]);
	});
});
