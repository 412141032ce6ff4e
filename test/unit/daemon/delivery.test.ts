/** How the parts between Kafka and the committed offset hear of each other. What each does with it is told by its own tests. */
import { EventEmitter } from "eventemitter3";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { tableLayouts } from "../../../src/config/table-layouts.ts";
import { Delivery } from "../../../src/daemon/delivery.ts";
import { RestoredPartitions } from "../../../src/kafka/group/restored-partitions.ts";
import { AccessWatch } from "../../../src/kafka/watches/access-watch.ts";
import { LogWatch } from "../../../src/kafka/watches/log-watch.ts";
import { PositionGuard } from "../../../src/kafka/watches/position-guard.ts";
import { StandingTransactions } from "../../../src/kafka/watches/standing-transactions.ts";
import { HandKeeper } from "../../../src/sink/offsets/hand-keeper.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const place = { topic: "orders", partition: 1 };
/** Calls of the parts' methods, in order. */
let told: string[];
let deadLetters: EventEmitter;
let records: EventEmitter;
let clock: ManualClock;
let threadsDispose: () => Promise<void>;

beforeEach(() => {
	[told, deadLetters, records, clock] = [[], new EventEmitter(), new EventEmitter(), new ManualClock()];
	const heard = (name: string) => async () => void told.push(name);
	vi.spyOn(PositionGuard.prototype, "look").mockImplementation(heard("look at this position"));
	vi.spyOn(PositionGuard.prototype, "lookAtAll").mockImplementation(heard("look at all positions"));
	vi.spyOn(LogWatch.prototype, "look").mockImplementation(heard("look at the logs"));
	vi.spyOn(AccessWatch.prototype, "look").mockImplementation(heard("look at the rights"));
	vi.spyOn(RestoredPartitions.prototype, "started").mockImplementation(heard("a partition may be restored"));
	vi.spyOn(HandKeeper.prototype, "began").mockImplementation(heard("a partition may be suspected"));
	vi.spyOn(StandingTransactions.prototype, "stats").mockImplementation(heard("statistics"));
});
afterEach(() => void vi.restoreAllMocks());

function deliveryOf(kafka: object = {}): Delivery {
	const written = {
		kafka: { brokers: ["127.0.0.1:1"], group: "g", topics: ["orders"], ...kafka },
		handler: { module: "pockaffe:json" },
		database: { url: "postgres://u@127.0.0.1:1/d" },
		tables: { events: {} },
	};
	const { config } = loadConfig({ written, environment: {}, cwd: "/" });
	const threads = { expire: () => told.push("threads expire"), warm: async () => ({ kind: "enough" }), dispose: () => threadsDispose() };
	const delivery = new Delivery({
		...{ config, layouts: tableLayouts(config), clock, random: () => 0.5, listener: {} as never },
		...{ deadLetters: deadLetters as never, records: records as never, threads: threads as never },
		database: { query: async () => [] } as never,
		createClient: () => ({}) as never,
	});
	vi.spyOn(delivery.supervisor, "nudge").mockImplementation(() => void told.push("nudge"));
	vi.spyOn(delivery.reserves, "beginLater").mockImplementation(() => void told.push("reserves"));
	const givenBack = (partitions: readonly object[], isIncremental: boolean) =>
		void told.push(`given back ${partitions.length}${isIncremental ? ", incrementally" : ""}`);
	vi.spyOn(delivery.supervisor, "partitionsGivenBack").mockImplementation(givenBack);
	return delivery;
}

describe("a drain that waits looks again", () => {
	it.each(["table:blocked", "write:retried", "batch:written", "rows:rested", "rows:stuck"] as const)("when the writer says %s", (event) => {
		deliveryOf().writer.emit(event, {} as never);
		expect(told).toEqual(["nudge"]);
	});

	it("when letters can't be stored, and when a record is produced or refused", () => {
		deliveryOf();
		deadLetters.emit("target:blocked", {});
		records.emit("changed");
		expect(told).toEqual(["nudge", "nudge"]);
	});
});

describe("an assignment", () => {
	const rebalanced = (delivery: Delivery, kind: string) =>
		delivery.consumer.emit("rebalanced", { kind, partitions: [place, { ...place, partition: 2 }] } as never);

	it("of an eager group gives partitions back, which keep their threads; then threads are made in reserve", () => {
		rebalanced(deliveryOf({ protocol: "eager" }), "assign");
		expect(told).toEqual(["given back 2", "reserves"]);
	});

	it("of an incremental group gives back only what this member gave up by itself", () => {
		rebalanced(deliveryOf(), "assign");
		expect(told).toEqual(["given back 2, incrementally", "reserves"]);
	});

	it("behind a rejoin of its own ends no pause", () => {
		const delivery = deliveryOf();
		vi.spyOn(delivery.supervisor, "rejoins").mockImplementation(() => void told.push("rejoins"));
		delivery.consumer.emit("rejoining");
		expect(told).toEqual(["rejoins"]);
	});

	it("is no revocation", () => {
		rebalanced(deliveryOf({ protocol: "eager" }), "revoke");
		expect(told).toEqual([]);
	});
});

describe("what the consumer says", () => {
	it.each<[event: string, fact: object, heard: string[]]>([
		["stats", { json: "{}" }, ["statistics"]],
		["topic:unknown", {}, ["look at the rights", "look at the logs"]],
		["consume:failed", { code: 29, message: "topic authorization failed" }, ["look at the rights"]],
		["consume:failed", { code: -187, message: "all brokers are down" }, []],
		["position:out_of_range", {}, ["look at all positions"]],
		[
			"start:resolved",
			{ ...place, from: "committed" },
			["a partition may be restored", "a partition may be suspected", "look at this position"],
		],
		["start:resolved", { ...place, from: "earliest" }, ["a partition may be restored", "a partition may be suspected"]],
	])("%s %j reaches who has to know", (event, fact, heard) => {
		deliveryOf().consumer.emit(event as never, ...([fact] as never));
		expect(told).toEqual(heard);
	});
});

it("a commit that fails may be for want of a right", () => {
	deliveryOf().committer.emit("offsets:commit_failed", {} as never);
	expect(told).toEqual(["look at the rights"]);
});

it("a changed handler is for threads in reserve, for partitions and for the next threads", () => {
	const delivery = deliveryOf();
	vi.spyOn(delivery.supervisor, "handlerChanged").mockImplementation(() => void told.push("partitions"));
	vi.spyOn(delivery.reserves, "handlerChanged").mockImplementation(() => void told.push("reserves"));
	delivery.handlerChanged();
	expect(told).toEqual(["threads expire", "partitions", "reserves"]);
});

it("a partition that the member reads and no worker serves is a problem within a minute of its watch", async () => {
	const delivery = deliveryOf();
	vi.spyOn(delivery.consumer, "start").mockResolvedValue();
	vi.spyOn(delivery.consumer, "fetched", "get").mockReturnValue([place, { ...place, partition: 2 }]);
	vi.spyOn(delivery.supervisor, "children", "get").mockReturnValue(new Map([["orders/2", {}]]) as never);
	Object.assign(records, { problems: [] });
	await delivery.start();
	await clock.advance(65_000);
	expect(delivery.problems).toMatchObject([{ code: "starting", where: place }]);
});

it("a stop drains, leaves the group, and only then ends what still writes: records, rows, letters", async () => {
	const delivery = deliveryOf();
	const does = (what: string, result?: unknown) => async () => {
		told.push(what);
		return result;
	};
	vi.spyOn(delivery.supervisor, "shutdown").mockImplementation(does("drained", true) as never);
	vi.spyOn(delivery.consumer, "close").mockImplementation(does("left", false) as never);
	vi.spyOn(delivery.committer, "dispose").mockImplementation(() => void told.push("no more commits"));
	vi.spyOn(delivery.writer, "dispose").mockImplementation(does("rows ended") as never);
	Object.assign(records, { dispose: does("records ended") });
	Object.assign(deadLetters, { dispose: does("letters ended") });
	threadsDispose = does("idle threads ended") as never;
	expect(await delivery.stop()).toEqual({ drained: true, left: false, hangs: false });
	expect(told).toEqual(["drained", "no more commits", "idle threads ended", "left", "records ended", "rows ended", "letters ended"]);
});
