import { EventEmitter } from "eventemitter3";
import { beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { Logger } from "../../../src/core/logger.ts";
import type { GroupConsumerEvents } from "../../../src/kafka/group/group-consumer-parts.ts";
import type { CommitterEvents } from "../../../src/kafka/offsets/offset-committer.ts";
import { DaemonObserver, listenTo } from "../../../src/observe/listeners/daemon-observer.ts";
import type { WrittenFact } from "../../../src/observe/listeners/writer-observer.ts";
import { type CrashFact, CrashLog } from "../../../src/observe/logs/crash-log.ts";
import { LogLimiter } from "../../../src/observe/logs/log-limiter.ts";
import { BURST, PERIOD_MS } from "../../../src/observe/logs/log-storm.ts";
import { readClientStatistics } from "../../../src/observe/metrics/client-statistics.ts";
import { Metrics } from "../../../src/observe/metrics/metrics.ts";
import type { WorkerListener } from "../../../src/worker/worker-parts.ts";
import { deadLetter } from "../../support/fakes/dead-letters.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

interface Entry {
	readonly level: string;
	readonly fields: Record<string, unknown>;
	readonly message: string;
}

const orders2 = { topic: "orders", partition: 2 };
let log: Entry[];
let metrics: Metrics;
let observer: DaemonObserver;
let monotonic: number;

function listLogger(entries: Entry[]): Logger {
	const at = (level: string) => (fields: object, message: string) =>
		void entries.push({ level, fields: fields as Entry["fields"], message });
	return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function crash(overrides: Partial<CrashFact> = {}): CrashFact {
	return {
		...orders2,
		threadId: 4,
		kind: "exception",
		coordinates: { offset: 7, key: "key1" },
		attempt: 1,
		maxAttempts: 5,
		restarts: 0,
		error: {
			name: "TypeError",
			message: "x is not a function",
			stack: "TypeError: x is not a function\n    at handleMessage (file.mjs:3:1)",
		},
		next: { action: "retry", delayMs: 50 },
		...overrides,
	};
}

beforeEach(() => {
	log = [];
	monotonic = 0;
	metrics = new Metrics();
	const clock = { ...systemClock, now: () => 10_000, monotonic: () => monotonic };
	observer = new DaemonObserver({ metrics, logger: listLogger(log), clock, module: "./handler.mjs", makesRows: true });
});

async function seriesValue(series: string): Promise<number | undefined> {
	const line = (await metrics.render()).body.split("\n").find((each) => each.startsWith(`pockaffe_${series} `));
	return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(" ")));
}

describe("observer of shared threads", () => {
	const death = { reason: "out_of_memory" };
	const others = [3, 4].map((partition) => ({ topic: "orders", partition }));

	it("says whose thread ended and for whom, and does not repeat it with every death there", () => {
		observer.workers.threadEndedForOthers({ partition: orders2, death, others });
		observer.workers.threadEndedForOthers({ partition: orders2, death, others });
		observer.workers.threadEndedForOthers({ partition: null, death: { reason: "shared" }, others });
		monotonic = 10_000;
		observer.workers.threadEndedForOthers({ partition: orders2, death, others });
		expect(log.map(({ fields: { held }, message }) => [held, message.slice(0, message.indexOf(":"))])).toEqual([
			[0, "a shared thread ended at orders/2 (out_of_memory)"],
			[0, "a shared thread is replaced, to load its module again"],
			[1, "a shared thread ended at orders/2 (out_of_memory)"],
		]);
		expect(log[0]).toMatchObject({ level: "warn", fields: { ...orders2, others: ["orders/3", "orders/4"] } });
	});

	it("logs a printed line without partition where it can be anybody's", () => {
		observer.workers.printed({
			lines: [
				{ partition: null, stream: "stderr", line: "later" },
				{ partition: orders2, stream: "stdout", line: "now" },
			],
			leftOut: [],
		});
		expect(log).toMatchObject([
			{ fields: { source: "handler", stream: "stderr" }, message: "later" },
			{ fields: { ...orders2, stream: "stdout" }, message: "now" },
		]);
		expect(log[0]?.fields).not.toHaveProperty("partition");
	});
});

describe("observer of the consumer", () => {
	it("listens to the consumer's and the committer's own events", async () => {
		const consumer = new EventEmitter<GroupConsumerEvents>();
		const committer = new EventEmitter<CommitterEvents>();
		listenTo<GroupConsumerEvents>(consumer)(observer.consumer);
		listenTo<CommitterEvents>(committer)(observer.committer);
		consumer.emit("rebalanced", { kind: "assign", partitions: [orders2] });
		consumer.emit("polled", { messages: 10, busyMs: 500 });
		committer.emit("offsets:committed", { offsets: [{ ...orders2, offset: 8 }], durationMs: 250 });
		expect(await seriesValue('rebalances_total{kind="assign"}')).toBe(1);
		expect(await seriesValue('stage_busy_seconds_total{stage="consume"}')).toBe(0.5);
		expect(await seriesValue('stage_busy_seconds_total{stage="commit"}')).toBe(0.25);
		expect(await seriesValue('messages_consumed_total{topic="orders",partition="2"}')).toBe(0);
	});

	it("removes a partition's series when it is released", async () => {
		observer.consumer.rebalanced({ kind: "assign", partitions: [orders2] });
		observer.supervisor.received({ ...orders2, count: 3, bytes: 30, timestampRegressions: 0 });
		expect(await seriesValue('messages_consumed_total{topic="orders",partition="2"}')).toBe(3);
		observer.consumer.rebalanced({ kind: "revoke", partitions: [orders2] });
		expect(await seriesValue('messages_consumed_total{topic="orders",partition="2"}')).toBeUndefined();
	});

	const note = { note: {} };

	it("says where a partition starts and why", () => {
		observer.consumer["start:resolved"]({ ...orders2, offset: 40, from: "latest", kept: null, outOfRange: null, note });
		expect(log[0]?.message).toBe("orders/2 starts at offset 40: latest, nothing was committed");
	});

	it.each([
		["noted", 40, null, "orders/2 starts at offset 40: its offset is no longer stored"],
		[
			"new_log",
			0,
			500,
			"orders/2 starts at offset 0: the topic was deleted and created again, and this is the beginning of the new log (the stored offset was 500)",
		],
	])("warns of a start that somebody should know of: %s", (from, offset, kept, words) => {
		observer.consumer["start:resolved"]({ ...orders2, offset, from, kept, outOfRange: null, note });
		expect(log).toMatchObject([{ level: "warn", message: expect.stringContaining(words) }]);
	});

	it("tells that the database is older than the group's offset, with the commands to choose from", () => {
		const restored = { note: { restored: { from: 30, to: 40 } } };
		observer.consumer["start:resolved"]({ ...orders2, offset: 40, from: "committed", kept: null, outOfRange: null, note: restored });
		expect(log[0]).toMatchObject({ level: "error", fields: { topic: "orders", partition: 2, from: 30, to: 40 } });
		expect(log[0]?.message).toMatch(
			/^orders\/2: the database is older.*Rows of offsets 30 to 39.*--topic orders --partition 2 --to 30`.*--to 40`.*stopped$/,
		);
	});

	it("tells each jump once, at a start as later, with how many offsets are gone, and counts them", async () => {
		observer.consumer.rebalanced({ kind: "assign", partitions: [orders2] });
		expect(await seriesValue('offsets_skipped_total{topic="orders",partition="2",reason="log_begins_after"}')).toBe(0);
		log.length = 0;
		const jump = { position: 3, offset: 10, reason: "log_begins_after" };
		const bounds = { low: 10, high: 15 };
		const outOfRange = { ...jump, kind: "jump" as const, log: bounds };
		observer.consumer["start:resolved"]({ ...orders2, offset: 10, from: "out_of_range", kept: 3, outOfRange, note });
		observer.delivery.jumped({ ...orders2, ...jump, ...bounds });
		const words =
			"orders/2 goes on at offset 10 instead of 3, as kafka.onOffsetOutOfRange says: 7 offsets were removed from the log before they were read (it has 10 to 15)";
		expect(log.map(({ level, message }) => [level, message])).toEqual([
			["warn", words],
			["warn", words],
		]);
		expect(await seriesValue('offsets_skipped_total{topic="orders",partition="2",reason="log_begins_after"}')).toBe(14);
	});

	it("holds back the same error of the client and says how many there were", () => {
		const away = { message: "connection refused", code: -195 };
		for (let times = 0; times < 5; times++) observer.consumer["broker:error"](away);
		expect(log).toHaveLength(1);
		observer.consumer["broker:error"]({ message: "timed out", code: -185 });
		monotonic = 60_000;
		observer.consumer["broker:error"](away);
		expect(log.map(({ fields }) => [fields.code, fields.held])).toEqual([
			[-195, 0],
			[-185, 0],
			[-195, 4],
		]);
	});
});

describe("observer of workers", () => {
	it("is a listener as the partition worker wants it", () => {
		const listener: WorkerListener = observer.workers;
		expect(listener).toBe(observer.workers);
	});

	it("counts outcomes and durations of a run at once", async () => {
		const counts = { row: 3, delete: 1, none: 2, rejected: 7 };
		observer.workers.handled(orders2, { counts, durationsMs: Float64Array.of(1, 2, 3), warnings: ["field x has no column"] });
		observer.workers.handled(orders2, { counts, durationsMs: Float64Array.of(4), warnings: ["field x has no column"] });
		for (const [outcome, count] of Object.entries(counts))
			expect(await seriesValue(`handler_outcomes_total{topic="orders",outcome="${outcome}"}`), outcome).toBe(2 * count);
		expect(await seriesValue('handler_duration_seconds_count{topic="orders"}')).toBe(4);
		expect(await seriesValue('stage_busy_seconds_total{stage="handle"}')).toBeCloseTo(0.01);
		expect(log.map(({ message }) => message)).toEqual(["field x has no column"]);
	});

	it("warns once of a handler that makes no rows, over all partitions and topics", () => {
		const nothing = { counts: { row: 0, delete: 0, none: 60, rejected: 0 }, durationsMs: [], warnings: [] };
		for (const partition of [0, 1, 2]) observer.workers.handled({ topic: "orders", partition }, nothing);
		expect(log.map(({ message }) => message)).toEqual([
			"./handler.mjs: 120 of its first 120 messages gave no row: is a return missing in the handler?",
		]);
	});

	it("counts failed attempts and timeouts, and not what was charged to nobody", async () => {
		for (const kind of ["exception", "bad_outcome", "exit"]) observer.workers.crashed(crash({ kind }));
		observer.workers.crashed(crash({ kind: "timeout" }));
		observer.workers.crashed(crash({ kind: "load", attempt: 0 }));
		observer.workers.crashed(crash({ kind: "timeout", attempt: 0 }));
		expect(await seriesValue('handler_outcomes_total{topic="orders",outcome="failed"}')).toBe(3);
		expect(await seriesValue('handler_outcomes_total{topic="orders",outcome="timeout"}')).toBe(1);
	});

	it("warns of timestamps that go back once per partition and counts them all", async () => {
		const fact = { ...orders2, count: 10, bytes: 100, timestampRegressions: 4 };
		observer.supervisor.received(fact);
		observer.supervisor.received(fact);
		observer.supervisor.received({ ...fact, partition: 1, timestampRegressions: 0 });
		observer.supervisor.received({ ...fact, partition: 3, timestampRegressions: 1 });
		expect(await seriesValue('timestamp_regressions_total{topic="orders",partition="3"}')).toBe(1);
		expect(await seriesValue('timestamp_regressions_total{topic="orders",partition="2"}')).toBe(8);
		expect(log.map(({ level, fields }) => [level, fields.partition])).toEqual([
			["warn", 2],
			["warn", 3],
		]);
	});

	it("tells a growing thread once in a while, with how often that was held back", () => {
		const heldTooMuch = (partition: number, heldMb: number) => observer.workers.heldTooMuch({ topic: "orders", partition }, heldMb);
		for (const partition of [2, 3, 4]) heldTooMuch(partition, 200 + partition);
		monotonic = 10_000;
		heldTooMuch(5, 300);
		expect(log.map(({ level, fields }) => [level, fields.partition, fields.heldMb, fields.held])).toEqual([
			["warn", 2, 202, 0],
			["warn", 5, 300, 2],
		]);
		expect(log[0]?.message).toBe(
			"./handler.mjs holds 202 MiB at orders/2: its thread is replaced; does it keep what it has handled? Else raise workers.maxHeapMb",
		);
	});

	it("counts what is handled a second time and what is only produced, each for itself", async () => {
		const counts = { row: 0, delete: 0, none: 5, rejected: 0 };
		observer.workers.handled(orders2, { counts, records: { only: 3 }, durationsMs: [], warnings: [] });
		observer.workers.repeated(orders2, 7);
		observer.workers.repeated({ topic: "others", partition: 0 }, 2);
		expect(await seriesValue('handler_outcomes_total{topic="orders",outcome="produced"}')).toBe(3);
		expect(await seriesValue('handler_outcomes_total{topic="orders",outcome="repeated"}')).toBe(7);
		expect(await seriesValue('handler_outcomes_total{topic="others",outcome="repeated"}')).toBe(2);
	});

	it("says of a message that is skipped who wants it so", () => {
		observer.workers.skipped(orders2, 7, null);
		observer.workers.skipped(orders2, 8, "ops: known bad");
		expect(log).toEqual([
			{ level: "warn", fields: { ...orders2, offset: 7 }, message: "orders/2 offset 7 is skipped, as handler.onPoison says" },
			{
				level: "warn",
				fields: { ...orders2, offset: 8, why: "ops: known bad" },
				message: "orders/2 offset 8 is skipped, on request: ops: known bad",
			},
		]);
	});

	it("tells a drain that ran into its deadline from one that did not", async () => {
		observer.supervisor.drained({ partitions: [orders2], durationMs: 120, timedOut: false, committed: true, unfinished: 0 });
		observer.supervisor.drained({ partitions: [orders2], durationMs: 8000, timedOut: true, committed: true, unfinished: 3 });
		expect(await seriesValue("drain_timeouts_total")).toBe(1);
		expect(await seriesValue("drain_duration_seconds_count")).toBe(2);
		expect(log.map(({ level }) => level)).toEqual(["info", "warn"]);
	});
});

describe("crash log", () => {
	it("names module, function, coordinates, attempt and what happens next", () => {
		const { message, fields } = new CrashLog("./handler.mjs").record(crash());
		expect(message).toBe(
			'./handler.mjs: the handler threw at orders/2 offset 7 (key "key1", attempt 1 of 5): TypeError: x is not a function; offset 7 is tried again in 50 ms',
		);
		expect(fields).toMatchObject({ module: "./handler.mjs", topic: "orders", partition: 2, offset: 7, key: "key1", next: "retry" });
	});

	it.each([
		["init", "init failed"],
		["bad_outcome", "the handler returned something that is no outcome"],
		["timeout", "the handler did not answer in time"],
		["exit", "the handler ended its thread"],
		["out_of_memory", "the handler ran out of memory"],
		["process", "the handler took the process with it"],
		["exception", "the handler threw"],
	])("says what happened: %s", (kind, words) => {
		expect(new CrashLog("m").record(crash({ kind })).message).toMatch(`m: ${words} at orders/2 offset 7 (`);
	});

	it.each([
		[{ action: "retry", delayMs: 0 }, "offset 7 is tried again at once"],
		[
			{ action: "retry", delayMs: 49.6, inNewThread: true },
			"offset 7 is tried again in 50 ms, for the last time; in a new thread if other messages have been in this one",
		],
		[{ action: "restart", delayMs: 1 }, "a new thread goes on from offset 7 in 1 ms"],
		[
			{ action: "park", delayMs: 900 },
			"the partition is parked at offset 7; it is tried again in 900 ms and as soon as the handler's file changes",
		],
		[{ action: "stop", delayMs: 0 }, "the daemon stops, as configured"],
		[{ action: "dead-letter", delayMs: 0 }, "offset 7 becomes a dead letter"],
		[{ action: "skip", delayMs: 0 }, "offset 7 is skipped, as configured"],
	])("says what happens next: %o", (next, words) => {
		const { message } = new CrashLog("m").record(crash({ next }));
		expect(message.slice(message.indexOf("; ") + 2)).toBe(words);
	});

	it("doesn't promise to try a message again that took the process with it", () => {
		const { message } = new CrashLog("m").record(crash({ kind: "process", next: { action: "park", delayMs: 900 } }));
		expect(message).toMatch(/; the partition is parked at offset 7 until the handler's file changes or it is resumed by hand$/);
	});

	it("tells one failure that was held back as one", () => {
		expect(new CrashLog("m").summary(crash(), 1, 10_000).message).toMatch(/^m: once more within 10 s, last at orders\/2 offset 7 /);
	});

	it("names no maximum for a parked message that is tried again beyond it", () => {
		const { message } = new CrashLog("./handler.mjs").record(crash({ attempt: 6 }));
		expect(message).toContain('at orders/2 offset 7 (key "key1", attempt 6): ');
	});

	it("names the function that was looked for when a module does not load", () => {
		const error = { name: "Error", message: "Cannot find module './missing.mjs'", stack: null };
		const next = { action: "restart", delayMs: 50 };
		const { message } = new CrashLog("./missing.mjs").record(crash({ kind: "load", attempt: 0, error, next }));
		expect(message).toBe(
			"./missing.mjs: handleMessage or handleMessages could not be loaded at orders/2 offset 7 (key \"key1\"): Cannot find module './missing.mjs'; a new thread goes on from offset 7 in 50 ms",
		);
	});

	it("shows the stack of the first failure of a kind only", () => {
		const crashLog = new CrashLog("./handler.mjs");
		const stacks = [crash(), crash({ coordinates: { offset: 8, key: null } }), crash({ kind: "exit" })].map(
			(fact) => (crashLog.record(fact).fields as { error: { stack?: string }; seen: number }).error.stack !== undefined,
		);
		expect(stacks).toEqual([true, false, true]);
	});

	it("tells a storm of one failure in a summary per period, and another failure by itself", async () => {
		const clock = new ManualClock();
		const { workers } = new DaemonObserver({ metrics, logger: listLogger(log), clock, module: "./handler.mjs", makesRows: true });
		for (let offset = 0; offset < 25; offset++) workers.crashed(crash({ coordinates: { offset, key: null } }));
		workers.crashed(crash({ kind: "exit" }));
		workers.crashed(crash({ partition: 3 }));
		expect(log).toHaveLength(BURST + 2);
		await clock.advance(PERIOD_MS);
		expect(log.slice(BURST + 2).map(({ fields, message }) => [fields.repeated, message])).toEqual([
			[15, "./handler.mjs: 15 times more within 10 s, last at orders/2 offset 24 (no key, attempt 1 of 5): TypeError: x is not a function"],
		]);
		// A period without any ends the storm: the next one is told again.
		await clock.advance(PERIOD_MS);
		workers.crashed(crash());
		expect(log).toHaveLength(BURST + 4);
	});
});

describe("a partition that goes on", () => {
	it("is told with the message, how many failures there were and how long it stood", () => {
		observer.workers.recovered(orders2, { offset: 7, failures: 4, stoodMs: 12_431 });
		observer.workers.recovered(orders2, { offset: 8, failures: 1, stoodMs: 52.4 });
		observer.workers.resumed(orders2);
		observer.workers.breakerClosed(orders2, 9);
		observer.supervisor.positionUnparked({ ...orders2, offset: 10 });
		expect(log).toEqual([
			{
				level: "info",
				fields: { ...orders2, offset: 7, failures: 4, stoodMs: 12_431, held: 0 },
				message: "orders/2 goes on: offset 7 is handled, after 4 failures in 12 s",
			},
			expect.objectContaining({ message: "orders/2 goes on: offset 8 is handled, after 1 failure in 0.1 s" }),
			expect.objectContaining({ message: "orders/2 is no longer parked: it goes on" }),
			expect.objectContaining({ message: "orders/2 goes on: offset 9 went well, and dead letters are made again" }),
			expect.objectContaining({ message: "orders/2 goes on at offset 10" }),
		]);
	});

	it("again and again is told in one line for the rest", async () => {
		const clock = new ManualClock();
		const { workers } = new DaemonObserver({ metrics, logger: listLogger(log), clock, module: "./handler.mjs", makesRows: true });
		for (let offset = 0; offset < BURST + 3; offset++) workers.recovered(orders2, { offset, failures: 1, stoodMs: 100 });
		expect(log).toHaveLength(BURST);
		await clock.advance(PERIOD_MS);
		expect(log.slice(BURST).map(({ message }) => message)).toEqual([
			`3 more times partitions of orders went on after failures within 10 s, the last orders/2: offset ${BURST + 2} is handled, after 1 failure in 0.1 s`,
		]);
	});
});

describe("observer of dead letters", () => {
	it("names several that come at once, and tells how many more there were in one line, also where none comes behind", async () => {
		const clock = new ManualClock();
		const { workers } = new DaemonObserver({ metrics, logger: listLogger(log), clock, module: "./handler.mjs", makesRows: true });
		for (let offset = 0; offset < BURST + 3; offset++) workers.deadLettered(deadLetter({ offset, value: Buffer.from("secret") }));
		workers.deadLettered(
			deadLetter({ offset: 90, reason: "row_fault", sqlstate: "22003", table: "events", error: "column amount:\n too large" }),
		);
		const named = "SQLSTATE 23505: constraint events_code (unique_violation)";
		workers.deadLettered(deadLetter({ offset: 92, reason: "row_fault", sqlstate: "23505", table: "events", error: named }));
		workers.deadLettered(deadLetter({ offset: 91, reason: "rejected", error: `no ${"good ".repeat(100)}` }));
		expect(log.map(({ message }) => message)).toEqual([
			...Array.from({ length: BURST }, (_, offset) => `orders/2 offset ${offset} is a dead letter: poison`),
			"orders/2 offset 90 is a dead letter: row_fault (SQLSTATE 22003): column amount: too large",
			`orders/2 offset 92 is a dead letter: row_fault: ${named}`,
			expect.stringMatching(/^orders\/2 offset 91 is a dead letter: rejected: no (good ){59}go…$/),
		]);
		await clock.advance(PERIOD_MS);
		expect(log.slice(BURST + 3).map(({ fields, message }) => [fields.held, message])).toEqual([
			[3, `3 more dead letters of orders within 10 s, the last at orders/2 offset ${BURST + 2}: poison`],
		]);
		expect(JSON.stringify(log)).not.toContain("secret");
	});

	it("counts what is skipped as a letter too, whoever skips it: an alert on letters must not miss it", async () => {
		const { workers } = new DaemonObserver({ metrics, logger: listLogger(log), clock: new ManualClock(), module: "m", makesRows: true });
		workers.skipped({ topic: "orders", partition: 2 }, 7, null);
		workers.skipped({ topic: "orders", partition: 2 }, 8, "ops: known bad");
		workers.deadLettered(deadLetter({ offset: 9 }));
		const counted = ["skipped", "poison"].map((reason) => seriesValue(`dead_letters_total{topic="orders",reason="${reason}"}`));
		expect([...(await Promise.all(counted)), await seriesValue('handler_outcomes_total{topic="orders",outcome="skipped"}')]).toEqual([
			2, 1, 2,
		]);
	});
});

describe("observer of the writer", () => {
	const written: WrittenFact = {
		table: "events",
		rows: 114,
		bytes: 1000,
		trigger: "linger",
		inserted: 3,
		updated: 5,
		deleted: 7,
		suppressed: 23,
		stale: { replay: 11, older: 13, other_partition: 17 },
		coalesced: 16,
		refused: 19,
		durationMs: 5,
		samples: [{ topic: "orders", timestamps: [9000, -1, 9990] }],
	};

	it("sums the results to the rows that handlers returned", async () => {
		observer.writer["batch:written"](written);
		const { body } = await metrics.render();
		const sum = [...body.matchAll(/pockaffe_cas_rows_total\{.*\} (\d+)/g)].reduce((total, [, count]) => total + Number(count), 0);
		expect(sum).toBe(written.rows);
		const results = { inserted: 3, updated: 5, deleted: 7, suppressed: 23, stale: 41, coalesced: 16, refused: 19 };
		for (const [result, count] of Object.entries(results)) {
			expect(await seriesValue(`cas_rows_total{table="events",result="${result}"}`), result).toBe(count);
		}
		for (const [cause, count] of Object.entries(written.stale)) {
			expect(await seriesValue(`stale_rows_total{table="events",cause="${cause}"}`), cause).toBe(count);
		}
		expect(await seriesValue('write_batches_total{trigger="linger"}')).toBe(1);
		expect(await seriesValue('stage_busy_seconds_total{stage="write"}')).toBe(0.005);
		expect(await seriesValue('write_duration_seconds_sum{table="events"}')).toBe(0.005);
		expect(await seriesValue("write_batch_rows_sum")).toBe(114);
		expect(await seriesValue("write_batch_bytes_sum")).toBe(1000);
		expect(await seriesValue('end_to_end_latency_seconds_count{topic="orders"}')).toBe(2);
		expect(await seriesValue('end_to_end_latency_seconds_sum{topic="orders"}')).toBeCloseTo(1.01);
	});

	it("is summed since the start, with what workers and supervisor tell", () => {
		for (let times = 0; times < 2; times++) observer.writer["batch:written"](written);
		observer.supervisor.received({ ...orders2, count: 29, bytes: 1, timestampRegressions: 0 });
		observer.supervisor.received({ topic: "others", partition: 0, count: 2, bytes: 1, timestampRegressions: 0 });
		for (let times = 0; times < 3; times++) observer.workers.restarted(orders2, "exit");
		for (let offset = 0; offset < 4; offset++) observer.workers.deadLettered(deadLetter({ offset }));
		expect(observer.totals).toEqual({ messages: 31, inserted: 6, updated: 10, deleted: 14, stale: 82, restarts: 3, deadLetters: 4 });
	});

	it("tells once per table that a trigger or rule keeps rows out", async () => {
		for (let times = 0; times < 2; times++) observer.writer["batch:written"]({ ...written, suppressed: 4 });
		expect(await seriesValue('cas_rows_total{table="events",result="suppressed"}')).toBe(8);
		observer.writer["batch:written"]({ ...written, table: "others", suppressed: 1 });
		observer.writer["batch:written"]({ ...written, table: "third", suppressed: 0 });
		expect(log.map(({ message }) => message)).toEqual([
			expect.stringMatching(/^events did not take 4 rows.*trigger.*verify/),
			expect.stringMatching(/^others did not take 1 row.*trigger.*verify/),
		]);
	});

	it("says in an error that rows of a table can't be written, with what to do, and that they can again", () => {
		observer.writer["table:failing"]({ table: "events", sqlstate: "57P03", message: "it starts up", hint: "wait" });
		observer.writer["table:failing"]({ table: "others", sqlstate: "40P01", message: "deadlock", hint: null });
		observer.writer["table:unblocked"]({ table: "events" });
		expect(log.map(({ level, fields, message }) => [level, fields, message])).toEqual([
			[
				"error",
				{ table: "events", sqlstate: "57P03", hint: "wait" },
				"rows of events can't be written for now: it starts up; they are sent again until they are written; wait",
			],
			[
				"error",
				{ table: "others", sqlstate: "40P01", hint: null },
				"rows of others can't be written for now: deadlock; they are sent again until they are written",
			],
			["info", { table: "events" }, "events can be written again"],
		]);
		// The same again within a minute is told neither as it comes nor as it goes; another cause is.
		log.length = 0;
		const fails = (sqlstate: string) => observer.writer["table:failing"]({ table: "events", sqlstate, message: "m", hint: null });
		for (let times = 0; times < 2; times++) {
			fails("57P03");
			observer.writer["table:unblocked"]({ table: "events" });
		}
		expect(log).toEqual([]);
		fails("40001");
		observer.writer["table:unblocked"]({ table: "events" });
		monotonic = 60_000;
		fails("57P03");
		expect(log.map(({ level, fields }) => [level, fields.sqlstate])).toEqual([
			["error", "40001"],
			["info", undefined],
			["error", "57P03"],
		]);
	});

	it("counts every retry and logs the same one seldom", async () => {
		const retried = (table: string, sqlstate: string) =>
			observer.writer["write:retried"]({ table, sqlstate, delayMs: 10, message: "words", hint: null });
		for (let times = 0; times < 3; times++) retried("events", "40P01");
		retried("events", "40001");
		retried("others", "40P01");
		monotonic = 10_000;
		retried("events", "40P01");
		expect(await seriesValue('write_retries_total{sqlstate="40P01"}')).toBe(5);
		expect(await seriesValue('write_retries_total{sqlstate="40001"}')).toBe(1);
		expect(log.map(({ fields: { table, sqlstate, held } }) => [table, sqlstate, held])).toEqual([
			["events", "40P01", 0],
			["events", "40001", 0],
			["others", "40P01", 0],
			["events", "40P01", 2],
		]);
	});
});

describe("client statistics", () => {
	const statistics = {
		replyq: 4,
		brokers: {
			"a:9092/1": { nodeid: 1, source: "learned", outbuf_cnt: 2, rtt: { cnt: 5, p50: 1500, p99: 20_000 }, throttle: { cnt: 1, p99: 250 } },
			"a:9092/2": { nodeid: 2, source: "learned", outbuf_cnt: 0, rtt: { cnt: 0, p50: 0, p99: 0 }, throttle: { cnt: 0, p99: 0 } },
			"a:9092/bootstrap": { nodeid: -1, source: "configured", outbuf_cnt: 0 },
			GroupCoordinator: { nodeid: 1, source: "logical", outbuf_cnt: 9 },
		},
		topics: {
			orders: {
				topic: "orders",
				partitions: {
					"0": { partition: 0, desired: true, fetchq_cnt: 10, fetchq_size: 4096, hi_offset: -1001 },
					"1": { partition: 1, desired: false, fetchq_cnt: 0, fetchq_size: 0, hi_offset: 5 },
					"-1": { partition: -1, desired: false, fetchq_cnt: 0, fetchq_size: 0, hi_offset: -1001 },
				},
			},
		},
	};

	it("tell the longest round trip where the percentile lies beyond the client's histogram", () => {
		const rtt = { cnt: 10, outofrange: 2, max: 750_000, p50: 1_000, p99: 0 };
		const [broker] = readClientStatistics(JSON.stringify({ brokers: { a: { nodeid: 1, source: "learned", rtt } } }))?.brokers ?? [];
		expect([broker?.roundTripP50, broker?.roundTripP99]).toEqual([0.001, 0.75]);
	});

	it("come in base units, without sentinels and without what was not measured", () => {
		expect(readClientStatistics(JSON.stringify(statistics))).toEqual({
			replyQueueOperations: 4,
			partitions: [{ topic: "orders", partition: 0, fetchQueueMessages: 10, fetchQueueBytes: 4096, highWatermark: null }],
			brokers: [
				{ broker: 1, queuedRequests: 2, roundTripP50: expect.closeTo(0.0015), roundTripP99: expect.closeTo(0.02), throttleP99: 0.25 },
				{ broker: 2, queuedRequests: 0, roundTripP50: null, roundTripP99: null, throttleP99: null },
			],
		});
		expect(readClientStatistics("not json")).toBeNull();
		expect(readClientStatistics("{}")).toEqual({ replyQueueOperations: null, partitions: [], brokers: [] });
	});

	it("become gauges", async () => {
		observer.consumer.stats({ json: JSON.stringify(statistics) });
		expect(await seriesValue('kafka_fetch_queue_bytes{topic="orders",partition="0"}')).toBe(4096);
		expect(await seriesValue('kafka_broker_round_trip_p99_seconds{broker="1"}')).toBeCloseTo(0.02);
		expect(await seriesValue('kafka_broker_round_trip_p99_seconds{broker="2"}')).toBeUndefined();
	});
});

describe("log limiter", () => {
	it("lets the first of each kind through at once", () => {
		const limiter = new LogLimiter(() => 0, 1000);
		expect([limiter.admit("a"), limiter.admit("a"), limiter.admit("b")]).toEqual([0, null, 0]);
	});
});
