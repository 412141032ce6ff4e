import { describe, expect, it } from "vitest";
import { Metrics } from "../../../../src/observe/metrics/metrics.ts";
import { setSnapshotGauges } from "../../../../src/observe/metrics/snapshot-gauges.ts";
import { buildStatus, lagOf, type PartitionSnapshot, partitionState, type StatusSnapshot } from "../../../../src/observe/status.ts";

const now = Date.parse("2026-01-01T00:01:00Z");

function partition(overrides: Partial<PartitionSnapshot> = {}): PartitionSnapshot {
	return {
		topic: "orders",
		partition: 0,
		worker: { name: "running" },
		pauseReason: null,
		assignmentEpoch: 1,
		position: 20,
		committed: 10,
		highWatermark: 25,
		oldestUnfinishedTimestamp: now - 2500,
		queued: 4,
		inFlight: 6,
		thread: 4,
		handlerVersion: "5f2c",
		restarts: 0,
		attempts: 0,
		careful: false,
		breakerOpen: false,
		restoredOffsets: 0,
		failures: [],
		...overrides,
	};
}

function snapshotOf(partitions: readonly PartitionSnapshot[]): StatusSnapshot {
	return {
		embedded: false,
		version: "0.1.0",
		handler: { module: "handler.mjs", version: "5f2c", mixed: false },
		now,
		startedAt: now - 61_500,
		state: "running",
		notReady: [],
		group: "group1",
		protocol: "classic",
		memberState: "member",
		rebalances: 2,
		partitions,
		threadsStuck: 0,
		writer: {
			queuedRows: 7,
			queuedBytes: 900,
			oldestSince: now - 20,
			awaitingParents: new Map(),
			choices: [],
			inFlight: 1,
			lastError: null,
		},
		connections: [{ name: "kafka", target: "127.0.0.1:9092", state: "connected", message: null }],
	};
}

describe("status document", () => {
	it("shows daemon, group, partitions in order, writer and connections", () => {
		const status = buildStatus(
			snapshotOf([partition({ partition: 10 }), partition({ partition: 9 }), partition({ topic: "a", partition: 0 })]),
		);
		expect(status).toMatchObject({ version: "0.1.0", uptime: 61.5, state: "running", group: "group1", protocol: "classic", rebalances: 2 });
		expect(status.partitions.map(({ topic, partition }) => `${topic}/${partition}`)).toEqual(["a/0", "orders/9", "orders/10"]);
		expect(status.partitions[0]).toMatchObject({
			state: "running",
			reason: null,
			lag: 15,
			queued: 4,
			inFlight: 6,
			thread: 4,
			lastFailure: null,
			failures: [],
		});
		expect(status.writer).toEqual({ queue: 7, queueBytes: 900, inFlight: 1, lastError: null });
	});

	it("shows failures with coordinates, time and next step, the last one by itself", () => {
		const failure = {
			time: now,
			threadId: 7,
			kind: "exception",
			coordinates: { offset: 2, key: "key1" },
			attempt: 1,
			restarts: 3,
			error: { name: "TypeError", message: "x is not a function", stack: "TypeError: …" },
			next: { action: "retry", delayMs: 50.4 },
		};
		const failures = [failure, { ...failure, coordinates: null, threadId: null }];
		const status = buildStatus(
			snapshotOf([partition({ failures, worker: { name: "parked", code: "poison", reason: "poison: offset 2" } })]),
		);
		expect(status.partitions[0]).toMatchObject({
			state: "parked",
			reason: "poison: offset 2",
			lastFailure: {
				time: "2026-01-01T00:01:00.000Z",
				kind: "exception",
				coordinates: { topic: "orders", partition: 0, offset: 2, key: "key1" },
				thread: 7,
				message: "TypeError: x is not a function",
				stack: "TypeError: …",
				attempt: 1,
				restarts: 3,
				next: "retry",
				delayMs: 50,
			},
			failures: [{ thread: 7 }, { thread: null, coordinates: null }],
		});
	});

	it("is ready exactly where nothing says otherwise", () => {
		const reason = { code: "parked" as const, topic: "orders", partition: 2, message: "poison", since: "2026-01-01T00:00:00.000Z" };
		const readyWith = (times: number) => buildStatus({ ...snapshotOf([]), notReady: Array(times).fill(reason) }).ready;
		expect([0, 1, 2].map(readyWith)).toEqual([true, false, false]);
	});

	it("has one word for a partition: drain before parked before paused before running", () => {
		const stateOf = (name: PartitionSnapshot["worker"]["name"], pauseReason: PartitionSnapshot["pauseReason"] = null) =>
			partitionState({ worker: name === "parked" ? { name, code: "poison", reason: "words" } : { name }, pauseReason });
		expect([stateOf("waiting"), stateOf("starting"), stateOf("running")]).toEqual(["running", "starting", "running"]);
		expect([stateOf("running", "queue_full"), stateOf("parked", "queue_full"), stateOf("backing-off", "database")]).toEqual([
			"paused",
			"parked",
			"backing-off",
		]);
		expect([stateOf("draining", "database"), stateOf("stopped")]).toEqual(["draining", "draining"]);
	});

	it("knows no lag where nothing is committed, and never a negative one", () => {
		expect(lagOf({ highWatermark: 5, committed: null })).toBeNull();
		expect(lagOf({ highWatermark: null, committed: 5 })).toBeNull();
		expect(lagOf({ highWatermark: 5, committed: 7 })).toBe(0);
	});
});

describe("gauges of a snapshot", () => {
	it("exports lag, states and queues, and nothing of a partition that is gone", async () => {
		const metrics = new Metrics();
		const parked = partition({
			partition: 1,
			worker: { name: "parked", code: "restart_intensity", reason: "restart intensity exceeded: no such module" },
		});
		const paused = partition({ partition: 2, pauseReason: "queue_full", highWatermark: 10 });
		const database = [5, 6].map((each) => partition({ partition: each, pauseReason: "database" }));
		const restored = partition({ partition: 3, restoredOffsets: 8, breakerOpen: true });
		setSnapshotGauges(metrics, snapshotOf([partition(), parked, paused, restored, partition({ partition: 4 }), ...database]));
		const { body } = await metrics.render();
		expect(body).toContain('pockaffe_consumer_lag_messages{consumergroup="group1",topic="orders",partition="0"} 15');
		expect(body).toContain('pockaffe_consumer_lag_seconds{consumergroup="group1",topic="orders",partition="0"} 2.5');
		expect(body).toContain('pockaffe_consumer_lag_seconds{consumergroup="group1",topic="orders",partition="2"} 0');
		expect(body).toContain('pockaffe_partitions_parked{reason="restart_intensity"} 1');
		expect(body).toContain('pockaffe_partitions_paused{reason="queue_full"} 1');
		expect(body).toContain('pockaffe_partitions_paused{reason="database"} 2');
		expect(body).toContain('pockaffe_workers{state="running"} 3');
		expect(body).toContain('pockaffe_workers{state="paused"} 3');
		expect(body).toContain('pockaffe_workers{state="parked"} 1');
		expect(body).toContain('pockaffe_workers{state="draining"} 0');
		expect(body).toContain("pockaffe_partitions_assigned 7");
		expect(body).toContain('pockaffe_committed_offset{topic="orders",partition="2"} 10');
		expect(body).toContain('pockaffe_high_watermark{topic="orders",partition="0"} 25');
		expect(body).toContain('pockaffe_restored_offsets{topic="orders",partition="3"} 8');
		expect(body).toContain('pockaffe_breaker_open{topic="orders",partition="3"} 1');
		expect(body).toContain('pockaffe_breaker_open{topic="orders",partition="4"} 0');
		expect(body).toContain("pockaffe_write_queue_rows 7");
		expect(body).toContain("pockaffe_write_queue_bytes 900");
		expect(body).toContain("pockaffe_write_queue_oldest_seconds 0.02");
		setSnapshotGauges(metrics, snapshotOf([partition()]));
		const later = (await metrics.render()).body;
		expect(later).not.toContain('partition="1"');
		expect(later).not.toContain(`reason="restart_intensity"`);
		expect(later).toContain("pockaffe_partitions_assigned 1");
	});

	it("has no lag in seconds where all is finished and only the commit is missing", async () => {
		const metrics = new Metrics();
		const finished = { position: 25, queued: 0, inFlight: 0, oldestUnfinishedTimestamp: null };
		setSnapshotGauges(metrics, snapshotOf([partition(finished)]));
		expect((await metrics.render()).body).toMatch(/pockaffe_consumer_lag_seconds\{[^}]*\} 0\n/);
	});

	it("leaves out the lag in seconds where the waiting message's timestamp is not known", async () => {
		const metrics = new Metrics();
		setSnapshotGauges(metrics, snapshotOf([partition({ oldestUnfinishedTimestamp: null })]));
		expect((await metrics.render()).body).not.toContain("pockaffe_consumer_lag_seconds{");
	});

	it("label a parked partition by its code, however its sentence reads", async () => {
		const metrics = new Metrics();
		const worker = (partition: number, code: string) => ({ partition, worker: { name: "parked" as const, code, reason: "words" } });
		const all = [worker(0, "breaker"), worker(1, "standstill"), worker(2, "breaker")].map(partition);
		setSnapshotGauges(metrics, snapshotOf(all));
		const { body } = await metrics.render();
		expect(body).toContain('pockaffe_partitions_parked{reason="breaker"} 2');
		expect(body).toContain('pockaffe_partitions_parked{reason="standstill"} 1');
	});
});
