/**
 * Every reason of `/readyz`, each way its cause can end: a reason that outlives its cause is an alert that nobody can silence. A code of
 * the catalogue without a walk here fails.
 */
import { describe, expect, it } from "vitest";
import { partitionName, type TopicPartition } from "../../../../src/core/messages/message.ts";
import type { RestoredStretch, StoredNote } from "../../../../src/core/offsets/position-note.ts";
import type { TableLayout } from "../../../../src/core/rows/rows.ts";
import { Turn } from "../../../../src/core/waiting/turn.ts";
import { ReserveThreads } from "../../../../src/daemon/reserve-threads.ts";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { JoinRefusal } from "../../../../src/kafka/group/join-refusal.ts";
import { RestoredPartitions } from "../../../../src/kafka/group/restored-partitions.ts";
import { FailingCommits } from "../../../../src/kafka/offsets/failing-commits.ts";
import { AccessWatch } from "../../../../src/kafka/watches/access-watch.ts";
import { StallDetector } from "../../../../src/kafka/watches/stall-detector.ts";
import { StandingTransactions } from "../../../../src/kafka/watches/standing-transactions.ts";
import { observeReadiness } from "../../../../src/observe/listeners/readiness-observer.ts";
import { Readiness } from "../../../../src/observe/readiness.ts";
import { type ReadinessCode, readinessCodeNames } from "../../../../src/observe/readiness-codes.ts";
import { isLongAwaited } from "../../../../src/observe/waiting-rows-words.ts";
import type { HandlerFailure } from "../../../../src/worker/thread/handler-thread.ts";
import { StuckThreads } from "../../../../src/worker/thread/stuck-threads.ts";
import { rowsFor } from "../../../support/fakes/fake-thread.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";
import { RecordScene } from "../../../support/fakes/record-scene.ts";
import { layoutOf, submissionOf, type TrackedSubmission } from "../../../support/fakes/row-submissions.ts";
import { WorkerHarness } from "../../../support/fakes/worker-harness.ts";
import { failingAt, type MemoryDatabase, memoryWriter } from "../../../support/postgres/memory-database.ts";

const orders2: TopicPartition = { topic: "orders", partition: 2 };

/** The daemon's listeners without the daemon. */
class Listeners {
	readonly readiness = new Readiness({ now: () => 0 });
	readonly stuck = new Set<string>();
	readonly blocked = new Set<string>();
	readonly on = observeReadiness({
		readiness: this.readiness,
		rowsStuck: (table) => this.stuck.has(table),
		rowsBlocked: (table) => this.blocked.has(table),
	});

	get codes(): string[] {
		const report = this.readiness.report();
		return report.ready ? [] : report.reasons.map(({ code }) => code);
	}
}

/** A worker whose troubles are the reasons. */
class Worker extends WorkerHarness {
	get codes(): string[] {
		return this.worker.troubles.map(({ code }) => code);
	}

	/** One message, failing again and again. */
	async crashLoop(): Promise<void> {
		await this.running(1);
		await this.act(() => this.thread.threw());
		await this.clock.advance(100);
		await this.act(() => this.thread.threw());
	}

	async parkedByBreaker(): Promise<void> {
		await this.running(2);
		await this.act(() => this.thread.handled({ rejected: [0, 1].map((message) => ({ message, why: "no" })) }));
	}
}

/** A partition that begins with this noted as missing. */
class RestoredScene {
	readonly assigned = new Set([partitionName(orders2)]);
	#stored: StoredNote = noteWith(null);
	readonly #partitions = new RestoredPartitions({
		clock: new ManualClock(),
		notes: { read: async () => new Map([[partitionName(orders2), this.#stored]]) },
		isAssigned: (name) => this.assigned.has(name),
	});

	constructor(restored: RestoredStretch) {
		this.begins(restored);
	}

	get codes(): string[] {
		return this.#partitions.all.map(() => "table_restored");
	}

	begins(restored: RestoredStretch | null): void {
		this.#stored = noteWith(restored);
		this.#partitions.started({ ...orders2, note: { ...orders2, note: this.#stored.note, replaces: null } });
	}

	async noteSays(restored: RestoredStretch | null): Promise<void> {
		this.#stored = noteWith(restored);
		await this.#partitions.look();
	}
}

function noteWith(restored: RestoredStretch | null): StoredNote {
	const note = { start: 0, assumed: false, log: { id: null, witness: null }, reached: 30, skipped: [] };
	return { note: restored ? { ...note, restored } : note, version: "1" };
}

interface Suite<Scene extends { readonly codes: readonly string[] }> {
	readonly code: ReadinessCode;
	readonly cause: string;
	readonly start: () => Promise<Scene> | Scene;
	readonly ends: Readonly<Record<string, (scene: Scene) => Promise<unknown> | unknown>>;
}

function listening(
	code: ReadinessCode,
	cause: string,
	set: (on: Listeners["on"], scene: Listeners) => unknown,
	ends: Record<string, (on: Listeners["on"], scene: Listeners) => unknown>,
): Suite<Listeners> {
	return {
		code,
		cause,
		start() {
			const scene = new Listeners();
			set(scene.on, scene);
			return scene;
		},
		ends: Object.fromEntries(Object.entries(ends).map(([how, end]) => [how, (scene: Listeners) => end(scene.on, scene)])),
	};
}

function working(
	code: ReadinessCode,
	cause: string,
	options: ConstructorParameters<typeof Worker>[0],
	set: (worker: Worker) => Promise<unknown>,
	ends: Record<string, (worker: Worker) => Promise<unknown>>,
): Suite<Worker> {
	return {
		code,
		cause,
		async start() {
			const worker = new Worker(options);
			await set(worker);
			return worker;
		},
		ends,
	};
}

interface Access {
	/** `exists`, `read`; `idle`: nothing is assigned. */
	readonly rights: Set<string>;
	readonly codes: readonly string[];
	look(): Promise<void>;
}

function accessing(
	code: ReadinessCode,
	cause: string,
	take: (scene: Access) => unknown,
	ends: Record<string, (scene: Access) => unknown>,
): Suite<Access> {
	return {
		code,
		cause,
		async start() {
			const rights = new Set(["exists", "read"]);
			const refused = new KafkaError("words", kafkaErrors.topicAuthorizationFailed);
			const watch = new AccessWatch({
				clock: new ManualClock(),
				kafka: { brokers: ["a:1"], group: "g", topics: ["orders"], sasl: {} },
				client: () => ({
					topicIds: async () => new Map(rights.has("exists") ? [["orders", null]] : []),
					committed: async () => [{ ...orders2, offset: null }],
				}),
				idle: () => (rights.has("idle") || !rights.has("exists") ? [] : [orders2]),
				commitAgain: async () => (rights.has("read") ? undefined : Promise.reject(refused)),
			});
			const scene: Access = {
				rights,
				get codes() {
					return watch.problems.map((problem) => problem.code);
				},
				look: () => watch.look(),
			};
			take(scene);
			await scene.look();
			return scene;
		},
		ends: Object.fromEntries(
			Object.entries(ends).map(([how, end]) => [
				how,
				async (scene: Access) => {
					end(scene);
					await scene.look();
				},
			]),
		),
	};
}

const given = { kind: "revoke", partitions: [orders2] };
const lost = { kind: "lost", partitions: [orders2] };

const retried = async (h: Worker, then: () => void) => {
	await h.clock.advance(150);
	await h.act(then);
};
const givenAway: Record<string, (worker: Worker) => Promise<unknown>> = {
	"the partition is given away": (h) => Promise.race([h.worker.drain("revoked", () => false), h.act(() => {})]),
	"the partition is lost": (h) => h.worker.kill(),
};

/** The member has read what it must, asks to be let in, and is. */
const joined = (on: Listeners["on"]) => {
	on.consumer["group:joining"]();
	on.consumer["group:joined"]();
};

const suites: readonly Suite<never>[] = [
	listening("starting", "the daemon starts", (_, { readiness }) => readiness.set("starting", "the daemon is starting"), {
		"the first assignment": (on) => on.consumer["group:joined"](),
	}),
	listening(
		"starting",
		"a start can't be resolved",
		(on) => on.consumer["start:failed"]({ ...orders2, message: "no leader", failures: 3 }),
		{
			"it is resolved": (on) => on.consumer["start:resolved"](orders2),
			"the partition is given away": (on) => on.consumer.rebalanced(given),
			"the partition is lost": (on) => on.consumer.rebalanced(lost),
		},
	),
	listening("not_in_group", "no connection", (on) => on.consumer["connect:failed"]({ message: "refused" }), {
		"the first assignment": (on) => on.consumer["group:joined"](),
		"another client is a member": (on) => on.consumer.membership({ member: true, message: "" }),
	}),
	listening(
		"not_in_group",
		"Kafka does not give the offsets",
		(on) => on.consumer["look:failed"]({ message: "timed out", isOfDatabase: false }),
		{ "it does": joined },
	),
	listening(
		"database",
		"the database does not give the positions",
		(on) => on.consumer["look:failed"]({ message: "28P01", isOfDatabase: true }),
		{ "it does": joined },
	),
	listening("starting", "the member asks to be let in", (on) => on.consumer["group:joining"](), {
		"the first assignment": (on) => on.consumer["group:joined"](),
	}),
	listening("not_in_group", "the coordinator is away", (on) => on.consumer.membership({ member: false, message: "away" }), {
		"it answers": (on) => on.consumer.membership({ member: true, message: "" }),
		"an assignment": (on) => on.consumer["group:joined"](),
	}),
	listening(
		"database",
		"a table is blocked",
		(on, { stuck }) => {
			stuck.add("events");
			on.writer["table:blocked"]({ table: "events", message: "SQLSTATE 42P01", hint: null });
		},
		{
			"it is unblocked": (on, { stuck }) => {
				stuck.clear();
				on.writer["table:unblocked"]({ table: "events" });
			},
			"a batch is written": (on, { stuck }) => {
				stuck.clear();
				on.writer["batch:written"]({ table: "events" });
			},
		},
	),
	listening(
		"database",
		"a batch is tried again",
		(on, { stuck }) => {
			stuck.add("events");
			on.writer["write:retried"]({ table: "events", message: "SQLSTATE 40001", hint: null });
		},
		{
			"a batch is written": (on, { stuck }) => {
				stuck.clear();
				on.writer["batch:written"]({ table: "events" });
			},
		},
	),
	listening("database", "tables can't be prepared", (on) => on.tables.failed("no permission"), {
		// Rows of one table say nothing about the others.
		"they are prepared": (on, scene) => {
			on.writer["batch:written"]({ table: "events" });
			expect(scene.codes).toEqual(["database"]);
			on.tables.prepared();
		},
	}),
	listening("dead_letter_target", "letters can't be stored", (on) => on.deadLetters["target:blocked"]({ message: "42501" }), {
		"they are stored, or nobody's any more": (on) => on.deadLetters["target:unblocked"](),
	}),
	working("crash_loop", "a message fails twice", { maxAttempts: 3 }, (h) => h.crashLoop(), {
		...givenAway,
		"it is handled": (h) => retried(h, () => h.thread.handled()),
		"it is dead-lettered": (h) => retried(h, () => h.thread.threw()),
		"it is dead-lettered, and the next one fails for the first time": async (h) => {
			await h.deliver(1);
			await retried(h, () => h.thread.threw());
			await h.act(() => h.thread.threw());
		},
	}),
	working("crash_loop", "a message fails twice, and poison is skipped", { maxAttempts: 3, onPoison: "skip" }, (h) => h.crashLoop(), {
		"it is skipped": (h) => retried(h, () => h.thread.threw()),
	}),
	working(
		"crash_loop",
		"a thread dies twice between runs, and what its state held comes again",
		{},
		async (h) => {
			await h.running(1);
			for (let deaths = 0; deaths < 2; deaths++) {
				await h.act(() => h.thread.handled({ finishedTo: null }));
				await h.act(() => h.thread.diedIdle());
				if (deaths === 0) await h.clock.advance(200);
				await h.act(() => h.thread.ready());
			}
		},
		{
			"nothing is left to do": async (h) => {
				await h.clock.advance(200);
				await h.act(() => h.thread.ready());
				await h.act(() => h.thread.handled({ finishedTo: null }));
			},
		},
	),
	working(
		"parked",
		"poison under onPoison: park",
		{ maxAttempts: 2, onPoison: "park" },
		async (h) => {
			await h.running(1);
			await h.act(() => h.thread.threw());
			await retried(h, () => h.thread.threw());
		},
		{
			...givenAway,
			"it is tried again and handled": async (h) => {
				await h.clock.advance(10_000);
				await h.act(() => h.thread.handled());
			},
			"a person resumes it": async (h) => {
				await h.act(() => h.worker.resume());
				await h.act(() => h.thread.handled());
			},
		},
	),
	working(
		"parked",
		"the breaker is open",
		{ breaker: { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 2 } },
		(h) => h.parkedByBreaker(),
		{
			...givenAway,
			"a person resumes it and the message goes through": async (h) => {
				await h.act(() => h.worker.resume());
				await h.act(() => h.thread.handled());
			},
			"a person resumes it and its row goes in": async (h) => {
				await h.act(() => h.worker.resume());
				await h.act(() => h.thread.handled({ blocks: [rowsFor([1])] }));
				await h.act(() => h.submissions[0]?.settled(1));
			},
		},
	),
	working(
		"parked",
		"restarts exceed their intensity",
		{ maxRestarts: 0 },
		async (h) => {
			await h.deliver(1);
			await h.act(() => h.thread.failToStart("load"));
		},
		{
			...givenAway,
			"the file is saved and the module loads": async (h) => {
				await h.act(() => h.worker.handlerChanged());
				await h.act(() => h.thread.ready());
				await h.act(() => h.thread.handled());
			},
		},
	),
	...(["cannot_join", "not_authorized"] as const).map((code) => ({
		code,
		cause: "the group refuses the member",
		start() {
			const clock = new ManualClock();
			const refusal = new JoinRefusal(clock, { brokers: ["a:1"], group: "g", instanceId: "", protocol: "classic", sasl: {} });
			refusal.refused(code === "cannot_join" ? kafkaErrors.groupMaxSizeReached : kafkaErrors.groupAuthorizationFailed, "words");
			return {
				clock,
				refusal,
				get codes() {
					return refusal.problems.map((problem) => problem.code);
				},
			};
		},
		ends: {
			"the group takes it": ({ refusal }: { refusal: JoinRefusal }) => refusal.joined(),
			// A missing right the client says once, and then asks on in silence.
			...(code === "cannot_join" ? { "nobody says so any more": ({ clock }: { clock: ManualClock }) => clock.advance(60_000) } : {}),
		},
	})),
	accessing("not_authorized", "a topic may not be read", ({ rights }) => rights.delete("read"), {
		"the right is given": ({ rights }) => rights.add("read"),
		"the partition is given away": ({ rights }) => rights.add("idle"),
	}),
	accessing("topic_missing", "a topic was deleted", ({ rights }) => rights.delete("exists"), {
		"it is made again": ({ rights }) => rights.add("exists"),
	}),
	{
		code: "commits_failing",
		cause: "the store refuses",
		start() {
			const assigned = new Set([orders2.partition]);
			const failing = new FailingCommits(new ManualClock(), ({ partition }) => assigned.has(partition));
			failing.failed([orders2], "words", 30_000);
			return {
				assigned,
				failing,
				get codes() {
					return failing.problems.map(({ code }) => code);
				},
			};
		},
		ends: {
			"a commit goes in": ({ failing }: { failing: FailingCommits }) => failing.committed([orders2]),
			"the partition is given away": ({ assigned }: { assigned: Set<number> }) => assigned.clear(),
		},
	},
	{
		code: "handler_not_loaded",
		cause: "the module is not there at the start",
		async start() {
			const clock = new ManualClock();
			const missing = { kind: "load", name: "Error", message: "there is no such file", stack: null } as const;
			let failure: HandlerFailure | null = missing;
			const threads = { warm: async () => (failure === null ? ({ kind: "enough" } as const) : ({ kind: "failed", failure } as const)) };
			const stopping = new AbortController().signal;
			const reserve = new ReserveThreads({
				threads,
				turn: new Turn(),
				clock,
				assigned: () => 1,
				incremental: true,
				withinMs: 1_000,
				stopping,
			});
			await reserve.begin();
			return {
				reserve,
				async corrected() {
					failure = null;
					reserve.handlerChanged();
					await clock.advance(2_000);
				},
				get codes() {
					return reserve.problems.map(({ code }) => code);
				},
			};
		},
		ends: {
			"its file is there": ({ corrected }: { corrected: () => Promise<void> }) => corrected(),
			"a partition's thread has loaded it": ({ reserve }: { reserve: ReserveThreads }) => reserve.loaded(),
		},
	},
	{
		code: "thread_stuck",
		cause: "a handler waits in a native call",
		async start() {
			const clock = new ManualClock();
			const stuck = new StuckThreads({ clock });
			let die = () => {};
			const gone = new Promise<void>((resolve) => (die = resolve));
			const thread = { id: 1, module: "./handler.mjs", phase: "handle", partition: orders2, offset: 5, why: "too long" } as const;
			void stuck.leave(thread, gone);
			await clock.advance(1_000);
			return {
				die,
				get codes() {
					return stuck.problems.map(({ code }) => code);
				},
			};
		},
		ends: { "its call returns": ({ die }: { die: () => void }) => die() },
	},
	{
		code: "standing_transaction",
		cause: "a producer hangs",
		async start() {
			const [clock, positions] = [new ManualClock(), new Map([[orders2.partition, 51]])];
			const transactions = new StandingTransactions({
				clock,
				brokers: ["a:1"],
				position: ({ partition }) => positions.get(partition) ?? null,
			});
			const stats = (lastStable: number) =>
				transactions.stats(
					JSON.stringify({ topics: { orders: { partitions: { 2: { partition: 2, ls_offset: lastStable, hi_offset: 102 } } } } }),
				);
			stats(51);
			await clock.advance(30_000);
			return {
				positions,
				stats,
				get codes() {
					return transactions.problems.map(({ code }) => code);
				},
			};
		},
		ends: {
			"the transaction ends": ({ stats }: { stats: (lastStable: number) => void }) => stats(102),
			"the partition is given away": ({ positions }: { positions: Map<number, number> }) => positions.clear(),
		},
	},
	{
		code: "parked",
		cause: "a partition stands still",
		async start() {
			const positions = [{ ...orders2, position: 7, idle: true }];
			const watermarks = { low: 0, high: 100 };
			const detector = new StallDetector({
				clock: new ManualClock(),
				positions: () => positions,
				watermarks: async () => watermarks,
				fetchAgain: () => {},
				isWaiting: () => false,
				lastError: () => null,
				stalled: () => {},
				moving: () => {},
			});
			for (let looks = 0; looks < 4; looks++) await detector.look();
			return {
				positions,
				watermarks,
				detector,
				get codes() {
					return detector.stalls.map(({ code }) => code);
				},
			};
		},
		ends: {
			"it goes on": ({ positions }) => positions.splice(0, 1, { ...orders2, position: 8, idle: true }),
			"it is given away": ({ positions }) => positions.splice(0),
			"its log ends there": async ({ watermarks, detector }) => {
				watermarks.high = 7;
				await detector.look();
			},
		},
	} satisfies Suite<{
		readonly positions: (TopicPartition & { position: number; idle: boolean })[];
		readonly watermarks: { low: number; high: number };
		readonly detector: StallDetector;
		readonly codes: readonly string[];
	}>,
	{
		code: "table_restored",
		cause: "the database is older than the group's offset",
		start: () => new RestoredScene({ from: 10, to: 30 }),
		ends: {
			"the offset is set back, and the partition begins there": (scene) => scene.begins(null),
			"somebody takes it off the note": (scene) => scene.noteSays(null),
			"the partition is given away": (scene) => scene.assigned.clear(),
		},
	} satisfies Suite<RestoredScene>,
	{
		code: "row_stuck",
		cause: "a row meets an error that others don't",
		async start() {
			const { writer, database, clock } = memoryWriter();
			database.meets = failingAt("b", "XX000");
			const submission = submissionOf(
				layoutOf(),
				["a", "b"].map((id, offset) => ({ id, offset })),
			);
			writer.write(submission);
			await clock.advance(10_000);
			return {
				database,
				clock,
				submission,
				get codes() {
					return writer.stuckRows.map(() => "row_stuck");
				},
			};
		},
		ends: {
			"it goes in": async ({ database, clock }) => {
				database.meets = () => {};
				await clock.advance(10_000);
			},
			"it is refused": async ({ database, clock }) => {
				database.meets = failingAt("b", "P0001");
				await clock.advance(10_000);
			},
			"its partition is given away": ({ submission }) => submission.release(),
		},
	} satisfies Suite<{
		readonly database: MemoryDatabase;
		readonly clock: ManualClock;
		readonly submission: TrackedSubmission;
		readonly codes: readonly string[];
	}>,
	{
		code: "parent_missing",
		cause: "a row waits for its parent longer than half of its time",
		async start() {
			const layouts = [layoutOf({ name: "lines" }), layoutOf({ name: "orders" })];
			const constraints = { references: [[["lines", "name"], "orders"]] } as const;
			const { writer, clock } = memoryWriter(layouts, constraints, { waits: new Map([["lines", 20_000]]) });
			const submission = submissionOf(layouts[0] as TableLayout, [{ id: "l", offset: 0, values: ["o", null] }]);
			writer.write(submission);
			await clock.advance(9_000);
			expect(writer.awaitedParents.filter((fact) => isLongAwaited(fact, clock.now()))).toEqual([]);
			await clock.advance(2_000);
			const come = () => writer.write(submissionOf(layouts[1] as TableLayout, [{ id: "o", offset: 0 }]));
			return {
				clock,
				submission,
				come,
				get codes() {
					return writer.awaitedParents.filter((fact) => isLongAwaited(fact, clock.now())).map(() => "parent_missing");
				},
			};
		},
		ends: {
			"its parent comes": async ({ clock, come }) => {
				come();
				await clock.advance(6_000);
			},
			"its time is over": async ({ clock }) => await clock.advance(10_000),
			"its partition is given away": ({ submission }) => submission.release(),
		},
	} satisfies Suite<{
		readonly come: () => void;
		readonly clock: ManualClock;
		readonly submission: TrackedSubmission;
		readonly codes: readonly string[];
	}>,
	{
		code: "produce_blocked",
		cause: "a topic that a handler produces to is missing",
		async start() {
			const records = new RecordScene();
			records.missing.add("out");
			const { release } = await records.produce("out", "a");
			await records.pass();
			return {
				records,
				release,
				get codes() {
					return records.producer.problems.map(({ code }) => code);
				},
			};
		},
		ends: {
			"the topic is made": async ({ records }) => {
				records.missing.clear();
				await records.pass(10_000);
			},
			"its partition is given away": ({ release }) => release(),
		},
	} satisfies Suite<{ readonly records: RecordScene; readonly release: () => void; readonly codes: readonly string[] }>,
] as never;

/** Ends with the process. */
const forGood: readonly ReadinessCode[] = ["draining"];

describe.each(suites.map((suite) => [suite.code, suite.cause, suite] as const))("%s: %s", (code, _, suite) => {
	it.each(Object.entries(suite.ends))("ends when %s", async (_how, end) => {
		const scene = (await suite.start()) as { readonly codes: readonly string[] };
		expect(scene.codes).toContain(code);
		await (end as (scene: unknown) => unknown)(scene);
		expect(scene.codes).toEqual([]);
	});
});

it("Kafka that gives its offsets is no reason any more where the database's are what lacks", () => {
	const { on, readiness } = new Listeners();
	on.consumer["connect:failed"]({ message: "refused" });
	on.consumer["look:failed"]({ message: "28P01", isOfDatabase: true });
	expect(readiness.report()).toMatchObject({
		ready: false,
		reasons: [{ code: "database", message: "the group's positions can't be read: 28P01" }],
	});
});

it("every code has its walks", () => {
	expect(new Set([...suites.map(({ code }) => code), ...forGood])).toEqual(new Set(readinessCodeNames));
});
