/** Questions to a consumer whose answers the test plays, on a clock that the test moves. */
import { EventEmitter } from "node:events";
import { createRequire } from "node:module";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ClientQueries } from "../../../../src/kafka/client/client-queries.ts";
import { kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";
import { withAddon } from "../../../support/project/with-addon.ts";

type Done = (error: { message: string; code: number } | null, result?: unknown) => void;

const timedOut = { message: "Local: Timed out", code: kafkaErrors.timedOut };

/** `answers`: of one question after the other; an error is one with a code. Without any, a question stays open. */
function asking(...answers: readonly unknown[]) {
	const clock = new ManualClock();
	const left = [...answers];
	const asked: unknown[] = [];
	const open: Done[] = [];
	const answer =
		(read: (...given: unknown[]) => unknown) =>
		(...given: unknown[]) => {
			asked.push(read(...given));
			const done = given.at(-1) as Done;
			const next = left.shift();
			if (next === undefined) open.push(done);
			else if (next !== null && typeof next === "object" && "code" in next) done(next as typeof timedOut);
			else done(null, next);
		};
	const raw = Object.assign(new EventEmitter(), {
		committed: answer((_, timeoutMs) => timeoutMs),
		queryWatermarkOffsets: answer((topic, partition, timeoutMs) => `${topic}/${partition} within ${timeoutMs}`),
		offsetsForTimes: answer((wanted) => (wanted as unknown[])[0]),
	});
	return { clock, asked, open, queries: new ClientQueries(raw as never, clock) };
}

const partitions = [
	{ topic: "t", partition: 4 },
	{ topic: "u", partition: 7 },
];

describe("what a client is asked", () => {
	it("has the committed offsets by partition, and null where none is", async () => {
		const { queries } = asking([
			{ topic: "t", partition: 4, offset: 0 },
			{ topic: "u", partition: 7 },
		]);
		expect(await queries.committed(partitions)).toEqual([
			{ topic: "t", partition: 4, offset: 0 },
			{ topic: "u", partition: 7, offset: null },
		]);
	});

	it("of committed offsets names the partition that the broker can't answer for, with Kafka's code", async () => {
		const { queries } = asking([{ topic: "t", partition: 4, offset: 3 }, new Error("Broker: Topic authorization failed")]);
		await expect(queries.committed(partitions)).rejects.toMatchObject({
			message: "u/7: Broker: Topic authorization failed",
			kafkaCode: kafkaErrors.topicAuthorizationFailed,
		});
	});

	it("has both ends of a log", async () => {
		const { queries, asked } = asking({ lowOffset: 3, highOffset: 9 });
		expect(await queries.watermarks({ topic: "t", partition: 4 })).toEqual({ low: 3, high: 9 });
		expect(asked).toEqual(["t/4 within 2000"]);
	});

	it.each([
		["the first message's offset", [{ offset: 0 }], 0],
		["null where no message is as new", [{ offset: -1 }], null],
		["null where nothing is said", [{}], null],
	])("has, for a time, %s", async (_, answer, offset) => {
		const { queries, asked } = asking(answer);
		expect(await queries.offsetForTime({ topic: "t", partition: 4 }, 1_700)).toBe(offset);
		expect(asked).toEqual([{ topic: "t", partition: 4, offset: 1_700 }]);
	});
});

describe("a question", () => {
	it("without an answer in time is asked five times, or as often as wanted", async () => {
		const { queries, asked } = asking(...Array.from({ length: 8 }, () => timedOut));
		await expect(queries.committed(partitions)).rejects.toMatchObject({ kafkaCode: kafkaErrors.timedOut });
		expect(asked).toEqual([2_000, 2_000, 2_000, 2_000, 2_000]);
		await expect(queries.committed(partitions, 1)).rejects.toMatchObject({ kafkaCode: kafkaErrors.timedOut });
		expect(asked.length).toBe(6);
	});

	it("that is answered with an error is not asked again, and the error keeps its code", async () => {
		const { queries, asked } = asking({ message: "Broker: Not coordinator", code: kafkaErrors.notCoordinator });
		await expect(queries.committed(partitions)).rejects.toMatchObject({ kafkaCode: kafkaErrors.notCoordinator });
		expect(asked.length).toBe(1);
	});

	it("ends by the deadline, and is not asked with too little time", async () => {
		const { queries, asked, clock } = asking([], []);
		queries.endBy(1_500);
		await queries.committed([]);
		await clock.advance(1_490);
		await queries.committed([]);
		await clock.advance(1);
		await expect(queries.committed([])).rejects.toMatchObject({ message: "the client is closing", kafkaCode: kafkaErrors.state });
		expect(asked).toEqual([1_500, 10]);
	});

	it("under way is waited for at the end, and none is asked from then on", async () => {
		const { queries, open } = asking();
		const told: string[] = [];
		const answered = queries.committed([]).then(() => told.push("answered"));
		const ended = queries.end().then(() => told.push("ended"));
		await expect(queries.committed([])).rejects.toMatchObject({ kafkaCode: kafkaErrors.state });
		await settle();
		expect(told).toEqual([]);
		open[0]?.(null, []);
		await Promise.all([answered, ended]);
		expect(told.toSorted()).toEqual(["answered", "ended"]);
	});
});

describe.skipIf(withAddon.skip)("what only the addon can ask", () => {
	afterEach(() => void vi.restoreAllMocks());

	it("is asked of this client and of the broker that gave the last metadata, for as long as one attempt has", async () => {
		const addon = createRequire(import.meta.url)(new URL("../../../../build/Release/pockaffe_native.node", import.meta.url).pathname);
		const calls: unknown[][] = [];
		for (const name of ["topicIds", "topicSettings", "groupMembers"])
			vi.spyOn(addon, name).mockImplementation(async (...given) => {
				calls.push([name, ...given]);
				return { error: 0, message: "", topics: [] };
			});
		const clock = new ManualClock();
		const metadata = { orig_broker_id: 9, orig_broker_name: "", brokers: [], topics: [{ name: "a", partitions: [{}, {}] }] };
		const raw = Object.assign(new EventEmitter(), {
			name: "rdkafka#consumer-7",
			getMetadata: (given: object, done: Done) => {
				calls.push(["metadata", given]);
				done(null, metadata);
			},
		});
		const queries = new ClientQueries(raw as never, clock);
		expect(await queries.brokerSetting("x")).toBe(null);
		expect(calls).toEqual([]);
		raw.emit("ready", {}, { ...metadata, orig_broker_id: 4 });
		await queries.topicIds(["a"]);
		await queries.operationsOn("b");
		await queries.topicSettings(["c"]);
		await queries.brokerSetting("x");
		await queries.group("g");
		expect(calls).toEqual([
			["topicIds", "rdkafka#consumer-7", 4, ["a"], 2_000],
			["topicIds", "rdkafka#consumer-7", 4, ["b"], 2_000, true],
			["topicSettings", "rdkafka#consumer-7", 4, ["c"], 2_000],
			["topicSettings", "rdkafka#consumer-7", 4, ["4"], 2_000, true],
			["groupMembers", "rdkafka#consumer-7", 4, ["g"], 2_000],
		]);
		calls.length = 0;
		expect([...(await queries.metadata())]).toEqual([["a", 2]]);
		queries.endBy(1_500);
		await queries.group("g");
		expect(calls).toEqual([
			["metadata", { allTopics: true, timeout: 2_000 }],
			["groupMembers", "rdkafka#consumer-7", 9, ["g"], 1_500],
		]);
		await queries.end();
		await expect(async () => queries.group("g")).rejects.toMatchObject({ kafkaCode: kafkaErrors.state });
	});
});
