/** What the daemon shows of itself; nothing secret is among it. */
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import type { Daemon } from "../../../src/daemon/daemon.ts";
import { buildSnapshot, buildSummary } from "../../../src/daemon/daemon-snapshot.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const secrets = {
	POCKAFFE_DATABASE_URL: "postgres://user:db-secret@db.example:5433/events?sslpassword=tls-secret",
	POCKAFFE_HTTP_TOKEN: "token-secret-0123456789",
	POCKAFFE_KAFKA_SASL_MECHANISM: "PLAIN",
	POCKAFFE_KAFKA_SASL_USERNAME: "user",
	POCKAFFE_KAFKA_SASL_PASSWORD: "sasl-secret",
	POCKAFFE_KAFKA_TLS_KEY: "key-secret",
	POCKAFFE_KAFKA_TLS_CERT: "cert",
	POCKAFFE_KAFKA_BROKERS: "a:1,b:2",
};

/** A daemon without partitions. */
function daemonWith(environment: Record<string, string>, away: string | null = null): Daemon {
	const { config } = loadConfig({ environment, cwd: "/nowhere" });
	const writer = { queueRows: 0, queueBytes: 0, oldestAgeMs: null, awaitingParents: 0, choices: [], inFlight: 0, lastError: null };
	const delivery = {
		writer,
		consumer: { connected: true, memberState: "stable", away, rebalances: 1 },
		restored: { all: [] },
		supervisor: { children: new Map() },
	};
	const readiness = { report: () => ({ ready: true }) };
	const parts = { config, clock: new ManualClock(), version: "1.2.3" };
	return {
		parts,
		delivery,
		readiness,
		startedAt: 0,
		state: "running",
		stuckThreads: { count: 0 },
		databaseProblem: null,
	} as unknown as Daemon;
}

it("a snapshot says where Kafka and the database are, without a word of the log-in", () => {
	const snapshot = buildSnapshot(daemonWith(secrets));
	expect(snapshot.connections.map(({ name, target }) => [name, target])).toEqual([
		["kafka", "a:1,b:2"],
		["database", "postgres://db.example:5433/events"],
	]);
	expect(JSON.stringify(snapshot)).not.toContain("secret");
});

it("a snapshot says that the group's coordinator can't be reached, and why", () => {
	const kafkaOf = (daemon: Daemon) => buildSnapshot(daemon).connections.find(({ name }) => name === "kafka");
	expect(kafkaOf(daemonWith(secrets))).toMatchObject({ state: "connected", message: null });
	const why = "the group's coordinator is away (wait-coord/init)";
	expect(kafkaOf(daemonWith(secrets, why))).toMatchObject({ state: "away", message: why });
});

describe("a partition", () => {
	const place = { topic: "orders", partition: 1 };
	const base = { paused: false, pausedByHand: false, parked: null as { message: string; code: string } | null, epoch: 4 };
	const reports = [{ time: 1 }];
	const child = {
		...{ state: { name: "running" }, queue: { queued: 5, handed: 6 }, threadId: 7, restarts: 8, attempts: 9, reports },
		...{ isCareful: true, breakerOpen: true, handlerVersion: "4f2a" },
	};

	function partitionWith(over: Partial<typeof base> = {}, { stalled = null as string | null, stuck = false, hasOffsets = true } = {}) {
		const daemon = daemonWith(secrets) as unknown as { [part: string]: Record<string, unknown> };
		Object.assign(daemon.delivery as object, {
			supervisor: { children: new Map([["orders/1", { ...place, ...base, child, ...over }]]) },
			ledger: { of: () => (hasOffsets ? { position: 90, committed: 70 } : undefined) },
			restored: { all: [{ ...place, from: 20, to: 50 }] },
		});
		Object.assign(daemon.delivery?.consumer as object, { client: { cachedHighWatermark: () => 100 } });
		Object.assign(daemon.delivery?.writer as object, { stuck });
		Object.assign(daemon, {
			stallDetector: { reasonOf: () => stalled },
			lagClock: { oldestKnown: (_: unknown, { highWatermark }: { highWatermark: number }, now: number) => now - highWatermark },
		});
		return buildSnapshot(daemon as unknown as Daemon).partitions[0];
	}

	it("is shown with what each of its parts knows", () => {
		expect(partitionWith()).toEqual({
			...place,
			...{ worker: { name: "running" }, pauseReason: null, assignmentEpoch: 4, position: 90, committed: 70, highWatermark: 100 },
			...{ oldestUnfinishedTimestamp: new ManualClock().now() - 100, queued: 5, inFlight: 6, thread: 7, handlerVersion: "4f2a" },
			...{ restarts: 8, attempts: 9, careful: true, breakerOpen: true, restoredOffsets: 30, failures: reports },
		});
	});

	it("that the ledger does not know any more is not shown", () => {
		expect(partitionWith({}, { hasOffsets: false })).toBeUndefined();
	});

	it("is parked at its position, or by a standstill; the first counts", () => {
		const parked = { message: "outside the log", code: "out_of_range" };
		const standing = { stalled: "no codec" };
		expect(partitionWith({}, standing)?.worker).toEqual({ name: "parked", reason: "no codec", code: "standstill" });
		expect(partitionWith({ parked }, standing)?.worker).toEqual({ name: "parked", reason: "outside the log", code: "out_of_range" });
	});

	it("is paused by hand, by the database or by a full queue; the first counts", () => {
		const reasonOf = (over: Partial<typeof base>, stuck: boolean) => partitionWith(over, { stuck })?.pauseReason;
		expect(reasonOf({ paused: true, pausedByHand: true }, true)).toBe("admin");
		expect(reasonOf({ paused: true }, true)).toBe("database");
		expect(reasonOf({ paused: true }, false)).toBe("queue_full");
		expect(reasonOf({}, true)).toBeNull();
	});
});

it("a snapshot says if broker and database are the daemon's own", () => {
	const daemon = daemonWith(secrets);
	expect(buildSnapshot(daemon).embedded).toBe(false);
	expect(buildSnapshot({ ...daemon, parts: { ...daemon.parts, isEmbedded: true } } as Daemon).embedded).toBe(true);
});

it("a snapshot says that no rows can be written, and since when the oldest waits", () => {
	const daemon = daemonWith(secrets);
	const databaseOf = (over: object) => buildSnapshot({ ...daemon, ...over } as Daemon).connections[1];
	expect(databaseOf({})).toMatchObject({ state: "connected", message: null });
	expect(databaseOf({ databaseProblem: "it is away" })).toMatchObject({ state: "away", message: "it is away" });
	expect(buildSnapshot(daemon).writer.oldestSince).toBeNull();
	Object.assign(daemon.delivery.writer, { oldestAgeMs: 400 });
	expect(buildSnapshot(daemon).writer.oldestSince).toBe(new ManualClock().now() - 400);
});

it("a snapshot says what Kafka is before and behind the first connection", () => {
	const daemon = daemonWith(secrets);
	Object.assign(daemon.delivery.consumer, { connected: false });
	expect(buildSnapshot(daemon).connections[0]).toMatchObject({ state: "connecting" });
});

it("a summary has the lag of all partitions where each is known, and the reasons of a daemon that is not ready", () => {
	const snapshot = buildSnapshot(daemonWith(secrets));
	const totals = { inserted: 1, updated: 2 } as never;
	const partitionAt = (committed: number | null) => ({ highWatermark: 10, committed });
	const summary = (committed: readonly (number | null)[], report: object = { ready: true }) =>
		buildSummary({ ...snapshot, partitions: committed.map(partitionAt) as never }, report as never, totals);
	expect(summary([4, 7])).toEqual({ inserted: 1, updated: 2, lag: 9, notReady: [] });
	expect(summary([4, null]).lag).toBeNull();
	const reasons = [
		{ code: "database", topic: null, partition: null },
		{ code: "parked", topic: "orders", partition: 3 },
	];
	expect(summary([], { ready: false, reasons }).notReady).toEqual(["database", "parked orders/3"]);
});
