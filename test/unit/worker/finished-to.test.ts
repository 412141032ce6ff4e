/**
 * What handleMessages leaves unfinished by `finishedTo` is in the handler's state only: it must not be finished when that state is gone.
 */
import { describe, expect, it } from "vitest";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import { OffsetLedger } from "../../../src/kafka/offsets/offset-ledger.ts";
import { GroupSupervisor } from "../../../src/supervisor/group-supervisor.ts";
import { PartitionWorker } from "../../../src/worker/partition-worker.ts";
import { FakeThread, fakeLease, rowsFor } from "../../support/fakes/fake-thread.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";
import { type HarnessOptions, WorkerHarness } from "../../support/fakes/worker-harness.ts";

/** Messages 0 to 3 are in the handler's state, `next` more are in its hands. */
async function buffered(next: number, options: HarnessOptions = {}): Promise<WorkerHarness> {
	const h = new WorkerHarness(options);
	await h.running(4);
	await h.act(() => h.thread.handled({ finishedTo: null }));
	if (next > 0) await h.deliver(next);
	return h;
}

/** The wait for the next try is over, and the thread is there. */
async function goOn(h: WorkerHarness): Promise<void> {
	await h.clock.advance(h.clock.pending[0] ?? 0);
	await h.act(() => h.thread.ready());
}

describe("a new state", () => {
	it("gets what the old one held again, in order and before the message that failed", async () => {
		const h = await buffered(2);
		await h.act(() => h.thread.threw("boom", undefined, true));
		expect(h.worker.queue.unconfirmed).toBe(0);
		await goOn(h);
		await h.act(() => h.thread.handled({ finishedTo: null }));
		await h.act(() => h.thread.handled({ finishedTo: null }));
		expect(h.thread.calls.slice(1)).toEqual(["run 0 1 2 3", "keep", "run 4 5", "renew", "run 0 1 2 3", "keep", "run 4", "keep", "run 5"]);
		expect(h.finished).toEqual([]);
		await h.act(() => h.thread.handled({ finishedTo: 5 }));
		expect(h.finished).toEqual([0, 1, 2, 3, 4, 5]);
	});

	it("finishes nothing that it was not handed: a finishedTo before the rest came again covers what came", async () => {
		const h = await buffered(1);
		await h.deliver(2);
		await h.act(() => h.thread.threw("boom", undefined, true));
		await goOn(h);
		// The handler names the newest offset it ever saw.
		await h.act(() => h.thread.handled({ finishedTo: 4 }));
		expect(h.finished).toEqual([0, 1, 2, 3]);
	});

	it("gets it again also where the message that failed is given up", async () => {
		const h = await buffered(2, { maxAttempts: 1 });
		await h.act(() => h.thread.threw("boom", undefined, true));
		expect([h.finished, h.runs.at(-1)]).toEqual([[4], "0 1 2 3"]);
		await h.act(() => h.thread.handled({ finishedTo: null }));
		await h.act(() => h.thread.handled({ finishedTo: 5 }));
		expect([h.runs.slice(2), h.finished]).toEqual([
			["0 1 2 3", "5"],
			[4, 0, 1, 2, 3, 5],
		]);
	});

	it("is not made while the old one holds messages and the offender among several is unknown: they come by halves, at once", async () => {
		const h = await buffered(4, { maxAttempts: 2 });
		await h.act(() => h.thread.threwTogether());
		const again = async () => {
			expect(h.runs.at(-1)).toBe("0 1 2 3");
			await h.act(() => h.thread.handled({ finishedTo: null }));
		};
		await again();
		expect(h.runs.at(-1)).toBe("4 5");
		await h.act(() => h.thread.threwTogether());
		await again();
		expect(h.runs.at(-1)).toBe("4");
		await h.act(() => h.thread.handled({ finishedTo: null }));
		expect(h.runs.at(-1)).toBe("5");
		expect(h.crashes.map(({ attempt, next }) => [attempt, next])).toEqual([
			[0, { action: "retry", delayMs: 0 }],
			[0, { action: "retry", delayMs: 0 }],
		]);
		await h.act(() => h.thread.threw("boom", undefined, true));
		await goOn(h);
		expect(h.runs.at(-1)).toBe("0 1 2 3");
		await h.act(() => h.thread.handled({ finishedTo: null }));
		expect(h.runs.at(-1)).toBe("4");
		await h.act(() => h.thread.handled({ finishedTo: null }));
		// Its second attempt, alone as the first.
		expect(h.runs.at(-1)).toBe("5");
		await h.act(() => h.thread.threw("boom", undefined, true));
		expect(h.events).toEqual(["started", "restarted last_attempt", "started", "dead letter 5 poison"]);
		for (const run of ["0 1 2 3", "4", "6 7"]) {
			expect(h.runs.at(-1)).toBe(run);
			await h.act(() => h.thread.handled({ finishedTo: run === "6 7" ? 7 : null }));
		}
		expect(h.finished).toEqual([5, 0, 1, 2, 3, 4, 6, 7]);
	});

	it("does not forget a message's attempts while an earlier one fails, too, on its second way", async () => {
		const h = await buffered(1, { maxAttempts: 3 });
		const seen: (readonly [number | undefined, number])[] = [];
		for (let guard = 0; h.letters.length === 0 && guard < 20; guard++) {
			// 3 fails every other time, 4 always.
			const run = h.runs.at(-1) ?? "";
			const fails = run === "4" || (run === "3" && guard % 2 === 0) || run === "0 1 2 3";
			const index = run === "0 1 2 3" ? 3 : undefined;
			if (fails) {
				await h.act(() => h.thread.threw("boom", index, true));
				const { coordinates, attempt } = h.crashes.at(-1) ?? { attempt: -1 };
				seen.push([coordinates?.offset, attempt]);
				await goOn(h);
			} else await h.act(() => h.thread.handled({ finishedTo: null }));
		}
		expect(seen.filter(([offset]) => offset === 4)).toEqual([
			[4, 1],
			[4, 2],
			[4, 3],
		]);
		expect(h.letters).toMatchObject([{ offset: 4, attempts: 3 }]);
	});
});

describe("a new thread", () => {
	it("runs the suspects one by one also where others have to come again before them", async () => {
		const h = await buffered(2, { maxAttempts: 1 });
		await h.act(() => h.thread.died(2));
		await goOn(h);
		expect(h.runs.at(-1)).toBe("0 1 2 3");
		await h.act(() => h.thread.handled({ finishedTo: null }));
		expect(h.runs.at(-1)).toBe("4");
		await h.act(() => h.thread.died(1));
		expect(h.letters).toMatchObject([{ offset: 4 }]);
	});

	it("that only handles again what the one before had handled is no progress: the restarts are in a row, whatever the time", async () => {
		const h = await buffered(0, { maxRestarts: 2 });
		for (let death = 0; death < 3; death++) {
			await h.act(() => h.thread.diedIdle());
			if (death === 2) break;
			await h.clock.advance(120_000);
			await h.act(() => h.thread.ready());
			await h.act(() => h.thread.handled({ finishedTo: null }));
		}
		expect(h.worker.state).toMatchObject({ name: "parked", reason: expect.stringContaining("restart intensity exceeded") });
		expect(h.finished).toEqual([]);
	});

	it.each(["restarted by hand", "after a changed file"])("%s gets what the old one held", async (why) => {
		const h = await buffered(1);
		if (why === "restarted by hand") await h.act(() => h.worker.restart());
		else {
			await h.act(() => h.thread.threw());
			await h.act(() => h.worker.handlerChanged());
		}
		await h.act(() => h.thread.ready());
		expect([h.threads.length, h.runs.at(-1), h.finished]).toEqual([2, "0 1 2 3", []]);
	});
});

describe("behind a breaker", () => {
	const breaker = { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 1 };

	it("what is withheld does not keep what only the state held from coming again", async () => {
		const h = await buffered(1, { breaker, maxAttempts: 1 });
		await h.act(() => h.thread.threw("boom", undefined, true));
		expect(h.worker.state.name).toBe("parked");
		await h.act(() => h.worker.resume());
		for (const run of ["0", "1", "2", "3"]) {
			expect(h.runs.at(-1)).toBe(run);
			await h.act(() => h.thread.handled({ finishedTo: null }));
		}
		expect(h.runs.at(-1)).toBe("4");
		await h.act(() => h.thread.handled({ finishedTo: 4 }));
		expect(h.finished).toEqual([0, 1, 2, 3, 4]);
	});

	it("a message that is withheld and unfinished comes again once, and is counted once", async () => {
		const h = new WorkerHarness({ breaker });
		await h.running(3);
		await h.act(() => h.thread.handled({ finishedTo: null, rejected: [{ message: 1, why: "no" }] }));
		await h.act(() => h.worker.restart());
		await h.act(() => h.worker.resume());
		await h.act(() => h.thread.ready());
		expect([h.worker.queue.queued + h.worker.queue.handed, h.worker.queue.unconfirmed]).toEqual([3, 0]);
		for (let i = 0; i < 3; i++) await h.act(() => h.thread.handled());
		expect([h.finished, h.worker.queue.handed, h.worker.queue.queued]).toEqual([[0, 1, 2], 0, 0]);
	});
});

describe("a message that is withheld while it is handled again", () => {
	it("and put back by a death is counted once", async () => {
		const h = new WorkerHarness({ breaker: { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 1 } });
		await h.running(2);
		await h.act(() => h.thread.handled({ finishedTo: null, blocks: [rowsFor([0])] }));
		await h.act(() => h.thread.diedIdle());
		await goOn(h);
		await h.act(() => h.submissions[0]?.refused(0, { table: "events", rowId: "id-0", sqlstate: "22003", message: "out of range" }));
		await h.act(() => h.thread.died(2));
		await goOn(h);
		await h.act(() => h.worker.resume());
		await h.act(() => h.thread.ready());
		expect(h.worker.queue.queued + h.worker.queue.handed).toBe(2);
		for (let i = 0; i < 2; i++) await h.act(() => h.thread.handled());
		expect([h.finished, h.worker.queue.handed, h.worker.queue.queued]).toEqual([[0, 1], 0, 0]);
	});
});

describe("a drain with messages left unfinished", () => {
	const drain = (h: WorkerHarness) => {
		const result = { done: false };
		void h.worker.drain("revoked", () => false).then(() => (result.done = true));
		return result;
	};

	it("does not wait for a finishedTo that can't come, ends with terminate, and finishes none of them", async () => {
		const h = await buffered(0);
		const drained = drain(h);
		await settle();
		expect([drained.done, h.finished, h.worker.queue.handed]).toEqual([true, [], 4]);
		await h.worker.stop("revoked");
		expect([h.thread.calls.at(-1), h.finished]).toEqual(["terminate revoked", []]);
	});

	it("waits for their rows, and for those of others", async () => {
		const h = new WorkerHarness();
		await h.running(4);
		await h.act(() => h.thread.handled({ finishedTo: 1, blocks: [rowsFor([1, 3])] }));
		const drained = drain(h);
		await settle();
		expect([drained.done, h.finished]).toEqual([false, []]);
		await h.act(() => h.submissions[0]?.settled(1));
		expect([drained.done, h.finished]).toEqual([false, []]);
		await h.act(() => h.submissions[0]?.settled(3));
		expect([drained.done, h.finished]).toEqual([true, [0, 1]]);
	});

	it("waits for the running call, whose finishedTo still counts", async () => {
		const h = await buffered(2);
		const drained = drain(h);
		await settle();
		expect(drained.done).toBe(false);
		await h.act(() => h.thread.handled({ finishedTo: 4 }));
		expect([drained.done, h.finished]).toEqual([true, [0, 1, 2, 3, 4]]);
	});

	it("whose running call fails finishes nothing that the state held", async () => {
		const h = await buffered(2, { maxAttempts: 1 });
		const drained = drain(h);
		await h.act(() => h.thread.threw("boom", undefined, true));
		expect([drained.done, h.finished, h.runs]).toEqual([true, [4], ["0 1 2 3", "4 5"]]);
	});

	it("waits for rows beside a message that the breaker withholds", async () => {
		const h = new WorkerHarness({ breaker: { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 1 } });
		await h.running(2);
		await h.act(() => h.thread.handled({ rejected: [{ message: 0, why: "no" }], blocks: [rowsFor([1])] }));
		const drained = drain(h);
		await settle();
		expect(drained.done).toBe(false);
		await h.act(() => h.submissions[0]?.settled(1));
		expect([drained.done, h.finished]).toEqual([true, [1]]);
	});
});

describe("a finishedTo that comes with rows", () => {
	it.each([
		["of a message that it finishes", 5, [0, 1, 2, 3, 4, 5]],
		["of a message that it leaves open", 4, [0, 1, 2, 3, 4]],
	])("finishes what it had left when the rows are durable, %s", async (_, finishedTo, finished) => {
		const h = await buffered(2);
		await h.act(() => h.thread.handled({ finishedTo, blocks: [rowsFor([1, 1])] }));
		await h.act(() => h.submissions[0]?.settled(1));
		expect(h.finished).toEqual([]);
		await h.act(() => h.submissions[0]?.settled(1));
		expect(h.finished).toEqual(finished);
	});

	it("does not wait for what was handled in the same run before it", async () => {
		const h = await buffered(3);
		const finished = { from: 1, to: 6 };
		await h.act(() => h.thread.handled({ finished, blocks: [rowsFor([0])] }));
		expect(h.finished).toEqual([0, 1, 2, 3, 5, 6]);
	});

	it("is waited for by a drain", async () => {
		const h = await buffered(1);
		await h.act(() => h.thread.handled({ finishedTo: 4, blocks: [rowsFor([0])] }));
		let drained = false;
		void h.worker.drain("revoked", () => false).then(() => (drained = true));
		await settle();
		expect(drained).toBe(false);
		await h.act(() => h.submissions[0]?.settled(0));
		expect([drained, h.finished]).toEqual([true, [0, 1, 2, 3, 4]]);
	});

	it("keeps all of them behind the breaker where such a row is refused and no more dead letters may be made", async () => {
		const h = await buffered(1, { breaker: { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 1 } });
		await h.act(() => h.thread.handled({ finishedTo: 4, blocks: [rowsFor([0, 0])] }));
		await h.act(() => h.submissions[0]?.refused(0, { table: "events", rowId: "id-0", sqlstate: "22003", message: "out of range" }));
		await h.act(() => h.submissions[0]?.settled(0));
		expect([h.finished, h.worker.state.name, h.worker.queue.underway]).toEqual([[], "parked", 0]);
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.ready());
		for (let i = 0; i < 5; i++) await h.act(() => h.thread.handled());
		expect([h.finished, h.worker.queue.handed]).toEqual([[0, 1, 2, 3, 4], 0]);
	});
});

describe("messages left unfinished that fill the queue", () => {
	it("crash the worker, which says so and hands them over again", async () => {
		const h = await buffered(0);
		expect(h.crashes).toEqual([]);
		h.full = true;
		await h.deliver(1);
		await h.act(() => h.thread.handled({ finishedTo: null }));
		expect(h.crashes.map(({ error, next }) => [error.message, next.action])).toEqual([
			[
				expect.stringMatching(
					/left 5 messages unfinished by finishedTo, and they fill the queue \(workers\.maxQueuedMessages, maxQueuedBytes\)/,
				),
				"restart",
			],
		]);
		await goOn(h);
		expect([h.threads.length, h.runs.at(-1), h.finished]).toEqual([2, "0 1 2 3", []]);
	});

	it("don't as long as rows are on their way that may make room", async () => {
		const h = await buffered(1);
		h.full = true;
		await h.act(() => h.thread.handled({ finishedTo: null, blocks: [rowsFor([0])] }));
		expect(h.crashes).toEqual([]);
		await h.act(() => h.submissions[0]?.settled(0));
		expect(h.crashes).toHaveLength(1);
	});

	it("park the partition where each new state does the same", async () => {
		const h = await buffered(0, { maxRestarts: 2 });
		h.full = true;
		await h.act(() => h.worker.nudge());
		for (let guard = 0; h.worker.state.name !== "parked" && guard < 10; guard++) {
			await h.clock.advance(20_000);
			await h.act(() => h.thread.ready());
			await h.act(() => h.thread.handled({ finishedTo: null }));
		}
		expect([h.crashes.length, h.worker.state]).toEqual([
			3,
			{ name: "parked", code: "restart_intensity", reason: expect.stringContaining("unfinished by finishedTo"), sinceMs: h.clock.now() },
		]);
	});

	it.each([
		["by their bytes", { maxQueuedMessages: 1_000_000, maxQueuedBytes: 100_000 }, null],
		["by their number", { maxQueuedMessages: 10, maxQueuedBytes: 1_000_000_000 }, null],
		["by the first of them, which is open while all behind it are finished", { maxQueuedMessages: 10, maxQueuedBytes: 1_000_000_000 }, 0],
	])("are noticed %s: a paused partition never stands still in silence", async (_, limits, open) => {
		const { supervisor, crashes, log, answer } = supervised(limits);
		for (let offset = 0; log.length === 0 && offset < 100; offset++) {
			receive(supervisor, offset, 10_000);
			await answer(open === null || offset === open ? { finishedTo: null } : {});
		}
		expect(log).toEqual(["pause"]);
		expect(crashes).toEqual([expect.stringContaining("unfinished by finishedTo, and they fill the queue")]);
	});

	it("are not committed where the partition is given away, and the drain ends by itself", async () => {
		const { supervisor, answer, log } = supervised({ maxQueuedMessages: 100, maxQueuedBytes: 1_000_000_000 });
		for (let offset = 0; offset < 3; offset++) {
			receive(supervisor, offset, 10);
			await answer({ finishedTo: Math.min(offset, 0) });
		}
		expect(await supervisor.assignmentsRevoked([partition])).toBe(true);
		expect(log).toEqual(["commit 1"]);
	});

	it("let more come where there is room again, though nothing was finished", async () => {
		const { supervisor, crashes, log, answer, other } = supervised({ maxQueuedMessages: 8, maxQueuedBytes: 1_000_000_000 });
		supervisor.assignmentsReceived([{ ...other, offset: 0, committed: 0 }]);
		for (let offset = 0; offset < 4; offset++) receive(supervisor, offset, 10);
		// Half of eight are for the other partition, which is then given away.
		expect(log).toEqual(["pause"]);
		supervisor.assignmentsLost([other]);
		for (let run = 0; run < 4; run++) await answer({ finishedTo: null });
		expect([log, crashes]).toEqual([["pause", "resume"], []]);
	});
});

const partition = { topic: "orders", partition: 2 };

function receive(supervisor: GroupSupervisor<PartitionWorker>, offset: number, bytes: number): void {
	const message = { ...partition, offset, timestamp: 1, key: null, value: Buffer.alloc(bytes), headers: [] };
	supervisor.messagesReceived(partition, packMessages([message]));
}

/** The worker of one partition below the supervisor that pauses it. */
function supervised(limits: { maxQueuedMessages: number; maxQueuedBytes: number }) {
	const [crashes, log] = [[] as string[], [] as string[]];
	const threads: FakeThread[] = [];
	const ledger = new OffsetLedger();
	const clock = new ManualClock();
	const nothing = () => {};
	const supervisor = new GroupSupervisor<PartitionWorker>({
		offsets: ledger,
		commit: async () => {
			log.push(`commit ${ledger.of(partition)?.committable}`);
			return true;
		},
		decideAgain: () => {},
		rowsBlocked: () => false,
		clock,
		valve: { pause: () => log.push("pause"), resume: () => log.push("resume") },
		limits: { ...limits, drainTimeoutMs: 1_000 },
		listener: { received: nothing, rewound: nothing, drained: nothing, positionParked: nothing },
		createChild: ({ partition: assigned, finished, isFull }) =>
			new PartitionWorker({
				...new WorkerHarness().parts,
				partition: assigned,
				finished,
				isFull,
				clock,
				threads: fakeLease(() => {
					threads.push(new FakeThread());
					return threads.at(-1) as FakeThread;
				}),
				listener: { ...new WorkerHarness().parts.listener, crashed: ({ error }) => crashes.push(error.message) },
			}),
	});
	supervisor.assignmentsReceived([{ ...partition, offset: 0, committed: 0 }]);
	const answer = async (outcome: Parameters<FakeThread["handled"]>[0]) => {
		await settle();
		threads.at(-1)?.ready();
		await settle();
		threads.at(-1)?.handled(outcome);
		await settle();
	};
	return { supervisor, crashes, log, answer, other: { ...partition, partition: 3 } };
}
