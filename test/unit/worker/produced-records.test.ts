/** What a handler wants produced: how it is read, and how a message's offset waits for it. */
import { describe, expect, it } from "vitest";
import { recordAt } from "../../../src/core/messages/records.ts";
import { OutcomeCollector } from "../../../src/worker/inside/outcome-collector.ts";
import { RecordPacker } from "../../../src/worker/inside/rows/record-packer.ts";
import { contradictionIn } from "../../../src/worker/outcomes/answer-check.ts";
import type { BatchOutcome } from "../../../src/worker/thread/handler-thread.ts";
import { rowsFor } from "../../support/fakes/fake-thread.ts";
import { settle } from "../../support/fakes/manual-clock.ts";
import { layoutOf } from "../../support/fakes/row-submissions.ts";
import { WorkerHarness } from "../../support/fakes/worker-harness.ts";

const timestamps = [100, -1, 102];

function collector(over: { produces?: readonly string[]; keepsRecords?: boolean; maxOutcomeBytes?: number } = {}): OutcomeCollector {
	const collecting = new OutcomeCollector({ tables: [layoutOf({ name: "events" })], maxOutcomeBytes: 1_000, lenient: false, ...over });
	collecting.begin({ from: 10, offsets: [0, 1, 2], timestamps });
	return collecting;
}

/** The outcome of messages 10, 11, …, one by one. */
function outcomeOf(outcomes: readonly unknown[], over: Parameters<typeof collector>[0] = {}): BatchOutcome {
	const collecting = collector(over);
	for (const [index, outcome] of outcomes.entries()) collecting.add(10 + index, outcome);
	return collecting.take(10 + outcomes.length);
}

/** Records as text: message.index topic key=value partition@timestamp headers. */
function told({ records }: BatchOutcome): string[] {
	return (records?.blocks ?? []).flatMap((block) =>
		Array.from({ length: block.length }, (_, i) => {
			const { key, value, headers } = recordAt(block, i);
			const place = `${block.messages[i]}.${block.indexes[i]} ${block.topic}`;
			return `${place} ${key}=${value} ${block.partitions[i]}@${block.timestamps[i]} ${headers.map((header) => header.join(":")).join(",")}`;
		}),
	);
}

describe("records that an outcome holds", () => {
	it("are packed by topic, in order, with their message's timestamp where they have none", () => {
		const outcome = outcomeOf([
			{
				produce: [
					{ topic: "a", key: "k", value: Buffer.from("1") },
					{ topic: "b", value: null },
					{ topic: "a", key: null, value: "ä" },
				],
			},
			null,
			[
				{
					id: "x",
					fields: {},
					produce: [
						{
							topic: "a",
							value: "",
							partition: 3,
							timestamp: 7,
							headers: [
								["h", "1"],
								["h", null],
							],
						},
					],
				},
				{ produce: [{ topic: "b", key: new Uint8Array([120]) }] },
			],
		]);
		expect(told(outcome)).toEqual([
			"10.0 a k=1 -1@100 ",
			"10.2 a null=ä -1@100 ",
			"12.0 a null= 3@7 h:1,h:",
			"10.1 b null=null -1@100 ",
			"12.1 b x=null -1@102 ",
		]);
		expect(outcome.records).toMatchObject({ count: 5, only: 1 });
		expect(outcome.counts).toEqual({ row: 1, delete: 0, none: 1, rejected: 0 });
		expect(contradictionIn(outcome)).toBeNull();
	});

	it("are nothing where there are none", () => {
		expect(outcomeOf([{ id: "x", fields: {} }, { id: "y", fields: {}, produce: [] }, null]).records).toBeUndefined();
		expect(outcomeOf([{ produce: [] }]).counts.none).toBe(1);
	});

	it("do not hand on where their message itself came from", () => {
		const headers = ["pockaffe-source", "pockaffe-source-index", "pockaffe-source-timestamp", "pockaffe-source-group", "x"].map((name) => [
			name,
			"1",
		]);
		expect(told(outcomeOf([{ produce: [{ topic: "a", headers }] }]))).toEqual(["10.0 a null=null -1@100 x:1"]);
	});

	it("are checked and not kept where nothing is produced", () => {
		const outcome = outcomeOf([{ produce: [{ topic: "a" }] }], { keepsRecords: false });
		expect([outcome.records, outcome.recordsLeftOut]).toEqual([{ blocks: [], count: 0, only: 1 }, true]);
		expect("recordsLeftOut" in outcomeOf([null], { keepsRecords: false })).toBe(false);
		expect("recordsLeftOut" in outcomeOf([{ produce: [{ topic: "a" }] }])).toBe(false);
		expect(contradictionIn(outcome)).toBeNull();
		expect(() => outcomeOf([{ produce: [{}] }], { keepsRecords: false })).toThrow("must name its topic");
	});

	it("leave nothing behind where the outcome is bad, or is taken back", () => {
		const collecting = collector();
		collecting.add(10, { produce: [{ topic: "a", value: "1" }] });
		const mark = collecting.mark();
		expect(() => collecting.add(11, { produce: [{ topic: "a", value: "2" }, { topic: "b" }, { topic: "c", value: 3 }] })).toThrow("value");
		collecting.add(11, { produce: [{ topic: "b", value: "2" }] });
		collecting.rollBack(mark);
		collecting.add(11, { produce: [{ topic: "a", value: "3" }] });
		expect(told(collecting.take(12))).toEqual(["10.0 a null=1 -1@100 ", "11.0 a null=3 -1@-1 "]);
	});

	it.each<[produce: unknown, words: string | RegExp]>([
		[{ topic: "a" }, "produce must be a list of records, not an object with topic"],
		[[null], "produce[0] must be {topic, key?, value?, headers?, partition?, timestamp?}, not null"],
		[[{ value: "1" }], "a record must name its topic, which is undefined here"],
		[[{ topic: "a b" }], '"a b" is no name of a topic'],
		[[{ topic: "." }], '"." is no name of a topic'],
		[[{ topic: ".." }], '".." is no name of a topic'],
		[[{ topic: "a", valeu: "1" }], "a record has topic, key, value, headers, partition and timestamp, but no valeu"],
		[[{ topic: "a", value: { n: 1 } }], "a record's value must be a Buffer, a string or null, not an object with n"],
		[[{ topic: "a", value: Promise.resolve("1") }], "not a Promise: is an await missing?"],
		[[{ topic: "a", key: 5 }], "a record's key must be a Buffer, a string or null, not a number"],
		[[{ topic: "a", partition: -1 }], "a record's partition must be a whole number, 0 or more"],
		[[{ topic: "a", timestamp: new Date() }], "a record's timestamp must be milliseconds, a whole number, not a Date"],
		[[{ topic: "a", headers: { h: "1" } }], "a record's headers must be a list of [name, value], not an object with h"],
		[[{ topic: "a", headers: ["h"] }], "a record's headers must be a list of [name, value], and one of them is a string"],
		[[{ topic: "a", headers: [["h", 1]] }], "a record's header must be a Buffer, a string or null, not a number"],
		[[{ topic: "a", headers: [["h", "a\0b"]] }], 'header "h": a value with a NUL byte can\'t be sent'],
		[[{ topic: "a", headers: [["h", Buffer.of(97, 0)]] }], 'header "h": a value with a NUL byte can\'t be sent'],
		[[{ topic: "a", headers: [["h", Uint8Array.of(0xff)]] }], 'header "h": a value that is not UTF-8 can\'t be sent'],
		[[{ topic: "a", value: "x".repeat(2_000) }], /the outcome has 2\d+ bytes, more than handler.maxOutcomeBytes \(1000\)/],
		[new Array(1_000), "a list of 1000 records is more than handler.maxOutcomeBytes (1000) can be"],
	])("say what is wrong: %o", (produce, words) => {
		expect(() => outcomeOf([{ produce }])).toThrow(words);
	});

	it("count with what each costs beside, and their headers with what packs them", () => {
		const bytesOf = (records: readonly object[]) => new RecordPacker({ topics: null, keeps: true }).add(0, records, 0, 0, 1_000);
		expect(bytesOf([{ topic: "a" }])).toEqual({ bytes: 40, count: 1 });
		// 4 for the headers' count, 8 for the lengths of each; "ä" is two bytes.
		const headers = [
			["h", "ä12"],
			["hh", null],
		];
		const record = { topic: "a", key: "12", value: Buffer.alloc(5), headers };
		expect(bytesOf([record, { topic: "b", value: "1" }])).toEqual({ bytes: 40 + 2 + 5 + (4 + 9 + 4 + 10) + 40 + 1, count: 2 });
	});

	it("have room for headers, however many: what is packed grows", () => {
		const headers = Array.from({ length: 100 }, (_, i) => [`h${i}`, "v".repeat(300 + i)]);
		const packer = new RecordPacker({ topics: null, keeps: true });
		packer.add(0, [{ topic: "a", value: "1", headers }], 0, 0, 1_000_000);
		const [block] = (packer.take()?.blocks ?? []) as [never];
		expect(recordAt(block, 0).headers.map(([name, value]) => [name, `${value}`])).toEqual(headers);
	});

	it("go to topics of handler.produces only, where that is said", () => {
		expect(told(outcomeOf([{ produce: [{ topic: "a" }] }], { produces: ["a", "b"] }))).toHaveLength(1);
		expect(() => outcomeOf([{ produce: [{ topic: "c" }] }], { produces: ["a", "b"] })).toThrow(
			'topic "c" is not in handler.produces (a, b)',
		);
	});

	it("are not taken alone where their row has an id that it inherits", () => {
		class Row {
			produce = [{ topic: "a" }];
			get id() {
				return "x";
			}
		}
		expect(() => outcomeOf([new Row()])).toThrow("an outcome is nothing, {id, fields}");
		expect(() => outcomeOf([Object.create({ id: "x" }, { produce: { value: [{ topic: "a" }], enumerable: true } })])).toThrow(
			"an outcome is",
		);
	});

	it("are no part of a rejection, nor of a row without an id", () => {
		expect(() => outcomeOf([{ reject: "no", produce: [] }])).toThrow("a rejected message produces nothing");
		expect(() => outcomeOf([{ fields: {}, produce: [{ topic: "a" }] }])).toThrow("a row must have an id; records alone are {produce: […]}");
	});

	it("that do not add up are found", () => {
		const good = outcomeOf([
			{
				produce: [
					{ topic: "a", value: "1" },
					{ topic: "a", value: "2" },
				],
			},
		]);
		const [block] = good.records?.blocks ?? [];
		const broken = (over: object, count = 2) =>
			contradictionIn({ ...good, records: { blocks: [{ ...block, ...over } as never], count, only: 1 } });
		expect(broken({})).toBeNull();
		expect(broken({}, 3)).toBe("the handler gave 3 records and 2 were packed");
		expect(broken({ messages: Int32Array.of(10, 11) })).toMatch("a record is of message 11");
		expect(broken({ starts: Int32Array.of(0, 0) })).toMatch("begins at byte 0, and the one before it ends at 1");
		expect(broken({ bytes: new Uint8Array(3) })).toMatch("have 2 bytes, and 3 were packed");
		expect(broken({ lengths: Int32Array.of(1) })).toMatch("a block of 2 records");
	});
});

/** A record of each of these messages. */
function recordsOf(messages: readonly number[]) {
	const packer = new RecordPacker({ topics: null, keeps: true });
	for (const message of messages) packer.add(message, [{ topic: "out", value: "v" }], 0, 1, 1_000);
	return { records: { ...(packer.take() as { blocks: never; count: number }), only: 0 } };
}

const none = (messages: number) => ({ row: 0, delete: 0, none: messages, rejected: 0 });

describe("a message that produces", () => {
	it("is finished when the broker has its records and its rows are durable, whichever comes last", async () => {
		const h = new WorkerHarness();
		await h.running(2);
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0, 1])], ...recordsOf([0, 1, 1]) }));
		h.submissions[0]?.settledAll([0]);
		h.records[0]?.settledAll([1]);
		h.submissions[0]?.settledAll([1]);
		expect(h.finished).toEqual([]);
		h.records[0]?.settledAll([1]);
		expect(h.finished).toEqual([1]);
		h.records[0]?.settledAll([0]);
		expect(h.finished).toEqual([1, 0]);
	});

	it("is named with the topic that refuses its record where the breaker withholds its letter", async () => {
		const h = new WorkerHarness({ breaker: { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 1 } });
		await h.running(1);
		await h.act(() => h.thread.handled({ ...recordsOf([0]), counts: none(1) }));
		await h.act(() => h.records[0]?.refused(0, { table: "topic out", rowId: "record 0", sqlstate: "kafka_10", message: "too large" }));
		const words = "the last at orders/2 offset 0: row_fault, topic out refuses its record with kafka_10; correct the cause";
		expect(h.worker.troubles).toMatchObject([{ code: "parked", message: expect.stringContaining(words) }]);
	});

	it("becomes a dead letter where the broker refuses a record, and is finished with it", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled({ ...recordsOf([0, 0]), counts: none(1) }));
		const fault = { table: "topic out", rowId: "record 1", sqlstate: "kafka_10", message: "too large" };
		await h.act(() => h.records[0]?.refused(0, fault));
		expect(h.letters).toMatchObject([{ offset: 0, reason: "row_fault", sqlstate: "kafka_10", table: "topic out", rowId: "record 1" }]);
		expect(h.finished).toEqual([]);
		h.records[0]?.settledAll([0]);
		expect(h.finished).toEqual([0]);
	});

	it("holds up nothing but its partition's next run, while the broker is slow", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		h.recordsFull = true;
		await h.act(() => h.thread.handled({ ...recordsOf([0]), counts: none(1) }));
		await h.deliver(1);
		expect(h.runs).toEqual(["0"]);
		h.recordsFull = false;
		await h.act(() => h.room());
		expect(h.runs).toEqual(["0", "1"]);
	});

	it.each<[fate: string, tell: (h: WorkerHarness) => void]>([
		["taken", (h) => h.records[0]?.settledAll([0])],
		["refused", (h) => h.records[0]?.refused(0, { table: "topic out", rowId: "record 0", sqlstate: "kafka_10", message: "too large" })],
	])("lets its partition go on when its last record is %s, though others fill the room and its row is not written", async (_, tell) => {
		const h = new WorkerHarness();
		await h.running(1);
		h.recordsFull = true;
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0])], ...recordsOf([0]) }));
		await h.deliver(1);
		expect(h.runs).toEqual(["0"]);
		await h.act(() => tell(h));
		expect(h.runs).toEqual(["0", "1"]);
	});

	it("is not waited for by a partition that produces nothing, nor once what it gave is done", async () => {
		const h = new WorkerHarness();
		h.recordsFull = true;
		await h.running(1);
		await h.act(() => h.thread.handled({ counts: none(1) }));
		await h.deliver(1);
		expect(h.runs).toEqual(["0", "1"]);
	});

	it("ends its run early where it makes more than the broker takes", async () => {
		const h = new WorkerHarness();
		await h.running(3);
		h.recordsFull = true;
		await h.act(() => h.thread.handledSoFar([0], { ...recordsOf([0]), counts: none(1) }));
		expect(h.thread.calls).toContain("cut short");
	});

	it("is drained with its records, unless nothing moves", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled({ ...recordsOf([0]), counts: none(1) }));
		let [isDrained, isBlocked] = [false, false];
		void h.worker.drain("revoked", () => isBlocked).then(() => (isDrained = true));
		await settle();
		expect(isDrained).toBe(false);
		isBlocked = true;
		h.worker.nudge();
		await settle();
		expect(isDrained).toBe(true);
	});

	it("counts no more once its partition was given away", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled({ ...recordsOf([0]), counts: none(1) }));
		expect(h.records[0]?.released).toBe(false);
		void h.worker.stop("revoked");
		await settle();
		expect(h.records[0]?.released).toBe(true);
		h.records[0]?.settledAll([0]);
		expect(h.finished).toEqual([]);
	});

	it("is finished by a later finishedTo only behind the records of that answer", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled({ finishedTo: null, counts: none(1) }));
		await h.deliver(1);
		await h.act(() => h.thread.handled({ finishedTo: 1, ...recordsOf([0]), counts: none(1) }));
		expect(h.finished).toEqual([]);
		h.records[0]?.settledAll([0]);
		expect(h.finished.toSorted()).toEqual([0, 1]);
	});
});

describe("handler.dropRepeats", () => {
	const header = (offset: number): [string, Buffer][] => [
		["pockaffe-source", Buffer.from(`in/0/${offset}`)],
		["pockaffe-source-index", Buffer.from("0")],
	];

	it("finishes what was produced again without a call, and hands over the rest", async () => {
		const h = new WorkerHarness({ dropRepeats: true });
		await h.running(1);
		await h.act(() => h.thread.handled());
		await h.deliver(1, { key: null, value: null, headers: header(5) });
		await h.act(() => h.thread.handled());
		await h.deliver(1, { key: null, value: null, headers: header(5) });
		await h.deliver(1, { key: null, value: null, headers: header(6) });
		expect(h.runs).toEqual(["0", "1", "3"]);
		expect(h.finished).toEqual([0, 1, 2]);
	});

	it("drops nothing where it is off", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled());
		await h.deliver(2, { headers: header(5) });
		expect(h.runs).toEqual(["0", "1 2"]);
	});
});
