/** Who hears of what happens in a daemon: metrics, log, readiness, the lag, its owner. The parts that tell are the test's. */
import { EventEmitter } from "eventemitter3";
import { beforeEach, expect, it } from "vitest";
import type { StopCause } from "../../../src/daemon/daemon.ts";
import { DaemonListeners } from "../../../src/daemon/daemon-listeners.ts";
import { Metrics } from "../../../src/observe/metrics/metrics.ts";
import { Readiness } from "../../../src/observe/readiness.ts";
import { deadLetter } from "../../support/fakes/dead-letters.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const place = { topic: "orders", partition: 1 };
const other = { topic: "orders", partition: 2 };
let listeners: DaemonListeners;
let readiness: Readiness;
let log: string[];
let told: string[];
let causes: StopCause[];
/** The daemon's parts. */
let parts: Record<"writer" | "committer" | "consumer" | "deadLetters" | "records", EventEmitter>;
let children: Map<string, object>;
let stuck: boolean;

beforeEach(() => {
	[log, told, causes, children, stuck] = [[], [], [], new Map(), false];
	const clock = new ManualClock();
	const at = (level: string) => (_: object, message: string) => void log.push(`${level} ${message}`);
	readiness = new Readiness({ now: () => clock.now() });
	const [writer, committer, consumer, deadLetters, records] = Array.from({ length: 5 }, () => new EventEmitter());
	parts = { writer, committer, consumer, deadLetters, records } as typeof parts;
	const delivery = {
		...parts,
		supervisor: { children },
		ledger: { of: () => ({ committable: 20 }) },
		reserves: { loaded: () => told.push("a thread has loaded the module") },
	};
	Object.assign(parts.writer, { isStuck: () => stuck, isBlocked: () => false });
	listeners = new DaemonListeners({
		...{ clock, readiness, metrics: new Metrics(), module: "./handler.mjs", makesRows: true, isEager: false },
		logger: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") } as never,
		told: {
			deadLettered: ({ offset }) => told.push(`letter ${offset}`),
			crashed: ({ restarts }) => told.push(`crash after ${restarts} restarts`),
		},
		delivery: () => delivery as never,
		stopRequested: (cause) => causes.push(cause),
	});
	listeners.listenTo(delivery as never, parts.deadLetters as never, parts.records as never);
});

const receive = (where: typeof place, nextOffset: number, firstTimestamp: number) =>
	listeners.delivery.supervisor.received({ ...where, nextOffset, firstTimestamp, count: 3, bytes: 30, timestampRegressions: 0 } as never);

it("the lag of a partition is that of its oldest unfinished messages, until the partition is given away or set elsewhere", () => {
	const oldest = (where = place) => listeners.lagClock.oldest(where, 0);
	// All up to offset 20 is finished: it is forgotten when more comes, not only when somebody asks.
	receive(place, 20, 100);
	receive(place, 30, 200);
	receive(other, 40, 300);
	expect([oldest(), oldest(other)]).toEqual([200, 300]);
	const rebalanced = (kind: string) => parts.consumer.emit("rebalanced", { kind, partitions: [place], protocol: "classic", durationMs: 1 });
	rebalanced("assign");
	expect(oldest()).toBe(200);
	rebalanced("revoke");
	expect([oldest(), oldest(other)]).toEqual([null, 300]);
	parts.consumer.emit("offset:set", { ...other, from: 1, to: 2, again: 0, passedOver: 1 });
	expect(oldest(other)).toBeNull();
});

it("a fatal error of Kafka and a policy ask the daemon to stop, each with its exit code", () => {
	parts.consumer.emit("fatal", { message: "another member has its name", code: -150 });
	listeners.delivery.worker.stopRequested(place, { code: "poison", message: "offset 7 is poison" } as never);
	expect(causes).toEqual([
		{ reason: "another member has its name", exitCode: 5 },
		{ reason: "orders/1: offset 7 is poison", exitCode: 3 },
	]);
	expect(log).toContainEqual(expect.stringMatching(/^error orders\/1 stops the daemon: offset 7 is poison/));
});

it("letters and crashes are told to the log, and to the daemon's owner", () => {
	const { worker } = listeners.delivery;
	worker.deadLettered(deadLetter({ ...place, offset: 7 }));
	const error = { name: "Error", message: "no", stack: null };
	const crash = { ...place, threadId: 4, kind: "exception", coordinates: null, attempt: 1, maxAttempts: 5, restarts: 8, error };
	worker.crashed({ ...crash, next: { action: "retry", delayMs: 50 } } as never);
	expect(told).toEqual(["letter 7", "crash after 8 restarts"]);
	expect(log).toEqual([
		expect.stringMatching(/^warn orders\/1 offset 7 is a dead letter/),
		expect.stringMatching(/^error \.\/handler\.mjs: /),
	]);
});

it("a thread that has loaded the handler is told to the reserves, and its version compared with the others'", () => {
	for (const [where, handlerHash] of [
		[place, "4f2a"],
		[other, "99aa"],
	] as const)
		children.set(`orders/${where.partition}`, { ...where, child: { handlerHash } });
	listeners.delivery.worker.started(place);
	expect(told).toEqual(["a thread has loaded the module"]);
	expect(listeners.handlers.mixed).toBe(true);
	expect(log.slice(1)).toEqual([expect.stringMatching(/^warn .*4f2a at orders\/1; 99aa at orders\/2/)]);
});

it("readiness hears of the group, of the rows and of the letters' target", () => {
	const codes = () => {
		const report = readiness.report();
		return report.ready ? [] : report.reasons.map(({ code }) => code);
	};
	parts.consumer.emit("group:joining");
	expect(codes()).toEqual(["starting"]);
	parts.consumer.emit("group:joined", { partitions: 2 });
	parts.writer.emit("table:blocked", { table: "events", sqlstate: "42P01", message: "no such table", hint: null });
	parts.deadLetters.emit("target:blocked", { message: "letters can't be stored" });
	expect(codes()).toEqual(["database", "dead_letter_target"]);
	stuck = true;
	parts.writer.emit("table:unblocked", { table: "events" });
	expect(codes()).toContain("database");
	stuck = false;
	parts.writer.emit("table:unblocked", { table: "events" });
	parts.deadLetters.emit("target:unblocked");
	expect(codes()).toEqual([]);
	expect(log).toContainEqual(expect.stringContaining("no such table"));
});
