/** What the observer says of the group and its offsets: how loud, and with which numbers. */
import { beforeEach, describe, expect, it } from "vitest";
import { observeCommitter, observeConsumer, observeDelivery } from "../../../src/observe/listeners/consumer-observer.ts";
import type { ObserverParts } from "../../../src/observe/listeners/observer-parts.ts";
import { Metrics } from "../../../src/observe/metrics/metrics.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const orders2 = { topic: "orders", partition: 2 };
let log: [level: string, message: string, fields: Record<string, unknown>][];
let metrics: Metrics;
let clock: ManualClock;
let parts: ObserverParts;

beforeEach(() => {
	log = [];
	metrics = new Metrics();
	clock = new ManualClock();
	const at = (level: string) => (fields: object, message: string) => void log.push([level, message, fields as Record<string, unknown>]);
	const logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
	parts = { metrics, logger, clock } as unknown as ObserverParts;
});

async function series(name: string): Promise<number | undefined> {
	const line = (await metrics.render()).body.split("\n").find((each) => each.startsWith(`pockaffe_${name} `));
	return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(" ")));
}

describe("partitions", () => {
	it("that the group took away without asking are a warning, given and taken ones are not, and each kind is counted", async () => {
		const { rebalanced } = observeConsumer(parts);
		const times = { assign: 3, revoke: 2, lost: 1 } as const;
		for (const kind of ["assign", "revoke", "lost"] as const)
			for (let time = 0; time < times[kind]; time++) rebalanced({ kind, partitions: [orders2] });
		expect(log.map(([level, message]) => `${level} ${message.split(":")[0]}`)).toEqual([
			...Array(3).fill("info partitions assigned"),
			...Array(2).fill("info partitions revoked"),
			"warn partitions lost",
		]);
		for (const [kind, count] of Object.entries(times)) expect(await series(`rebalances_total{kind="${kind}"}`), kind).toBe(count);
		expect(log[5]?.[2]).toEqual({ partitions: ["orders/2"] });
	});

	it("that an eager rebalance gives back keep their counters; those of a partition that is gone are forgotten with the next assignment", async () => {
		const consumer = observeConsumer({ ...parts, isEager: true });
		const orders3 = { topic: "orders", partition: 3 };
		consumer.rebalanced({ kind: "assign", partitions: [orders2, orders3] });
		for (const each of [orders2, orders3]) consumer["offset:set"]({ ...each, to: 30, committed: 10, again: 0, passedOver: 20 });
		consumer.rebalanced({ kind: "revoke", partitions: [orders2] });
		consumer.rebalanced({ kind: "revoke", partitions: [orders3] });
		consumer.rebalanced({ kind: "assign", partitions: [orders2] });
		const skipped = (partition: number) => series(`offsets_skipped_total{topic="orders",partition="${partition}",reason="offsets_set"}`);
		expect([await skipped(2), await skipped(3)]).toEqual([20, undefined]);
		consumer.rebalanced({ kind: "lost", partitions: [orders2] });
		expect(await skipped(2)).toBeUndefined();
	});

	it("that were set elsewhere are a warning where something is passed over, which is counted", async () => {
		const consumer = observeConsumer(parts);
		consumer.rebalanced({ kind: "assign", partitions: [orders2] });
		log = [];
		consumer["offset:set"]({ ...orders2, to: 30, committed: 10, again: 0, passedOver: 20 });
		consumer["offset:set"]({ ...orders2, to: 4, committed: null, again: 7, passedOver: 0 });
		expect(log.map(([level, message]) => [level, message])).toEqual([
			["warn", "orders/2 was set from 10 to 30: 0 offsets are read again, 20 are passed over"],
			["info", "orders/2 was set from nothing committed to 4: 7 offsets are read again, 0 are passed over"],
		]);
		expect(await series('offsets_skipped_total{topic="orders",partition="2",reason="offsets_set"}')).toBe(20);
	});

	it("of a group whose members send few heartbeats may stand still at a restart: a warning with the interval", () => {
		observeConsumer(parts)["heartbeats:rare"]({ intervalMs: 5_000 });
		expect(log).toEqual([["warn", expect.stringContaining("every 5000 ms"), { intervalMs: 5_000 }]]);
	});

	it("of topics that changed while a static member was away are named by what became of them", () => {
		const outdated = observeConsumer(parts)["assignment:outdated"];
		outdated({ gone: [orders2], unread: [{ topic: "orders", partition: 3 }] });
		outdated({ gone: [], unread: [orders2] });
		outdated({ gone: [orders2], unread: [] });
		expect(log.map(([, message]) => /\((.*)\)/.exec(message)?.[1])).toEqual([
			"orders/2 no longer there; orders/3 begun by nobody",
			"orders/2 begun by nobody",
			"orders/2 no longer there",
		]);
		expect(log[0]?.[2]).toEqual({ gone: ["orders/2"], unread: ["orders/3"] });
	});

	it("of a member that can't connect or look are waited for: a warning with the cause and when it is tried again", () => {
		const consumer = observeConsumer(parts);
		const fact = { message: "refused", failures: 3, retryInMs: 250.4 };
		consumer["connect:failed"](fact);
		consumer["look:failed"]({ ...fact, isOfDatabase: true });
		consumer["look:failed"]({ ...fact, isOfDatabase: false });
		const told = { failures: 3, retryInMs: 250.4 };
		expect(log).toEqual([
			["warn", "Kafka: refused; tried again in 250 ms", told],
			["warn", "the group's positions can't be read from the database yet: refused; tried again in 250 ms", told],
			["warn", "the group's offsets can't be read yet: refused; tried again in 250 ms", told],
		]);
	});

	it("that can't start yet are told once in a while each, with how often that was held back", async () => {
		const failed = observeConsumer(parts)["start:failed"];
		const fact = { message: "no answer", failures: 1, retryInMs: 150.4 };
		for (let times = 0; times < 3; times++) failed({ ...orders2, ...fact });
		failed({ topic: "orders", partition: 3, ...fact });
		await clock.advance(10_000);
		failed({ ...orders2, ...fact });
		expect(log.map(([level, message, { held }]) => [level, message.slice(0, 35), held])).toEqual([
			["warn", "orders/2 can't start yet: no answer", 0],
			["warn", "orders/3 can't start yet: no answer", 0],
			["warn", "orders/2 can't start yet: no answer", 2],
		]);
		expect(log[0]?.[1]).toContain("tried again in 150 ms");
	});
});

describe("commits", () => {
	it("are counted by what became of them, and a failure is told once in a while by its code", async () => {
		const committer = observeCommitter(parts);
		for (let times = 0; times < 2; times++) committer["offsets:committed"]({ offsets: [], durationMs: 750 });
		for (const code of [27, 27, 16]) committer["offsets:commit_failed"]({ message: "refused", code });
		expect(await series('offset_commits_total{result="committed"}')).toBe(2);
		expect(await series('offset_commits_total{result="failed"}')).toBe(3);
		expect(await series('stage_busy_seconds_total{stage="commit"}')).toBe(1.5);
		expect(log.map(([level, , { code, held }]) => [level, code, held])).toEqual([
			["warn", 27, 0],
			["warn", 16, 0],
		]);
	});
});

describe("offsets that are not what was stored last", () => {
	it.each([
		["taken_over", 9, 12, /another member took the offsets over/],
		["changed", 9, 4, /the table of offsets says 4, and this daemon had stored 9: it was restored.*read from 4 on/],
		["changed", 9, 9, /the table of offsets says 9, as this daemon had stored, but its row is older/],
		["gone", 9, null, /its row in the table of offsets is gone, and this daemon had stored 9/],
	] as const)("%s (stored %s, found %s)", async (kind, expected, found, words) => {
		observeDelivery(parts).offsetsDisplaced([{ ...orders2, kind, expected, found }]);
		expect(log).toEqual([["error", expect.stringMatching(words), { ...orders2, kind, expected, found }]]);
		expect(await series(`offsets_displaced_total{kind="${kind}"}`)).toBe(1);
	});

	it.each([
		[9, 4, "says 4, and this daemon had noted 9"],
		[9, 9, "says 9, as this daemon had noted, but is older than what was written last"],
		[9, null, "is gone, and this daemon had noted 9"],
	])("a note (noted %s, found %s)", (expected, found, words) => {
		observeDelivery(parts).notesDisplaced([{ ...orders2, kind: "changed", expected, found }]);
		expect(log).toEqual([
			["warn", expect.stringContaining(`orders/2: its note in the database ${words}: `), { ...orders2, expected, found }],
		]);
	});

	it("of a topic that went are told by what became of it", () => {
		const { logsRemade } = observeDelivery(parts);
		logsRemade([orders2], "made_again");
		logsRemade([orders2], "deleted");
		expect(log.map(([, message]) => message.slice(0, 47))).toEqual([
			"orders/2 was deleted and created again: the mem",
			"orders/2 was deleted, and messages not read yet",
		]);
	});

	it("a jump over a lost end tells how much is lost, and counts what is passed over, never less than nothing", async () => {
		observeConsumer(parts).rebalanced({ kind: "assign", partitions: [orders2] });
		log = [];
		observeDelivery(parts).jumped({ ...orders2, position: 50, offset: 30, reason: "log_ends_before", low: 10, high: 30 });
		expect(log[0]?.[1]).toContain("the log lost its last 20 offsets (it has 10 to 30)");
		expect(log[0]?.[2]).toMatchObject({ skipped: 0 });
		expect(await series('offsets_skipped_total{topic="orders",partition="2",reason="log_ends_before"}')).toBe(0);
	});

	it("what can't be told to Kafka or stored is told once in a while", async () => {
		const delivery = observeDelivery(parts);
		for (let times = 0; times < 2; times++) delivery.mirrorFailed("away");
		for (let times = 0; times < 2; times++) delivery.logsNotForgotten("away");
		await clock.advance(10_000);
		delivery.mirrorFailed("away");
		expect(log.map(([, message, { held }]) => [message.slice(0, 12), held])).toEqual([
			["Kafka's copy", 0],
			["it could not", 0],
			["Kafka's copy", 1],
		]);
	});
});
