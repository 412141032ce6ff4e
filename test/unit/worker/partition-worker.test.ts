import { describe, expect, it } from "vitest";
import type { DeadLetter } from "../../../src/core/dead-letters/dead-letter.ts";
import { rowsFor } from "../../support/fakes/fake-thread.ts";
import { settle } from "../../support/fakes/manual-clock.ts";
import { WorkerHarness } from "../../support/fakes/worker-harness.ts";

describe("a partition worker at work", () => {
	it("hands messages over in offset order, one run at a time, what came meanwhile with the next", async () => {
		const h = new WorkerHarness();
		await h.running(2);
		await h.deliver(1);
		await h.deliver(1);
		expect(h.runs).toEqual(["0 1"]);
		await h.act(() => h.thread.handled());
		await h.act(() => h.thread.handled());
		await h.act(() => h.thread.handled());
		expect(h.runs).toEqual(["0 1", "2", "3"]);
		expect(h.finished).toEqual([0, 1, 2, 3]);
		expect(h.threads).toHaveLength(1);
	});

	it("starts no thread before there is something to do", async () => {
		const h = new WorkerHarness();
		await settle();
		expect([h.threads.length, h.worker.state.name]).toEqual([0, "waiting"]);
	});

	it("finishes a message when its last row is settled, not before", async () => {
		const h = new WorkerHarness();
		await h.running(3);
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0, 1]), rowsFor([0], "audit")] }));
		expect(h.finished).toEqual([2]);
		const [submission] = h.submissions;
		submission?.settled(0);
		expect(h.finished).toEqual([2]);
		submission?.settled(1);
		submission?.settled(0);
		expect(h.finished).toEqual([2, 1, 0]);
	});

	it("dead-letters the message of a refused row, and finishes it when letter and other rows are durable", async () => {
		const h = new WorkerHarness();
		let stored: () => void = () => {};
		h.storeLetter = () => new Promise((resolve) => (stored = resolve));
		await h.running(1);
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0]), rowsFor([0], "audit")] }));
		const [submission] = h.submissions;
		submission?.refused(0, { table: "audit", rowId: "id-0", sqlstate: "22003", message: "out of range" });
		submission?.settled(0);
		await settle();
		expect(h.finished).toEqual([]);
		await h.act(stored);
		expect(h.finished).toEqual([0]);
		expect(h.letters).toMatchObject([
			{ offset: 0, reason: "row_fault", sqlstate: "22003", table: "audit", rowId: "id-0", state: "open" },
		] satisfies Partial<DeadLetter>[]);
		expect(h.letters[0]?.value?.toString()).toBe("value-0");
	});

	it("names all refused rows of a message in its letter, whichever of them is stored last", async () => {
		const h = new WorkerHarness();
		await h.running(2);
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0, 1]), rowsFor([0, 1], "audit")] }));
		const refuse = (message: number, table: string, sqlstate = "23514") =>
			h.submissions[0]?.refused(message, { table, rowId: `id-${message}`, sqlstate, message: "no" });
		await h.act(() => refuse(0, "events"));
		await h.act(() => refuse(1, "events"));
		await h.act(() => refuse(0, "audit", "22003"));
		await h.act(() => h.submissions[0]?.settled(1));
		expect(h.letters.map(({ offset, table, refusedRows }) => [offset, table, refusedRows.length])).toEqual([
			[0, "events", 2],
			[1, "events", 1],
			[0, "audit", 2],
		]);
		expect(h.letters[0]?.refusedRows).toEqual([
			["events", "id-0", "23514"],
			["audit", "id-0", "22003"],
		]);
		expect([...h.finished].sort()).toEqual([0, 1]);
		// It is one letter, whatever else is refused of its message.
		expect(h.events.filter((event) => event.startsWith("dead letter"))).toEqual(["dead letter 0 row_fault", "dead letter 1 row_fault"]);
	});

	it("stores the letter of a message with thousands of refused rows a few times, counts it once, and finishes behind the last", async () => {
		const h = new WorkerHarness({ breaker: { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 20 } });
		let stored = () => {};
		h.storeLetter = () => new Promise((resolve) => (stored = resolve));
		await h.running(1);
		await h.act(() => h.thread.handled({ blocks: [rowsFor(Array.from({ length: 5_000 }, () => 0))] }));
		for (let row = 0; row < 5_000; row++) {
			h.submissions[0]?.refused(0, { table: "events", rowId: `id-${row}`, sqlstate: "23514", message: "no" });
		}
		await settle();
		await h.act(() => stored());
		expect(h.finished).toEqual([]);
		await h.act(() => stored());
		expect([h.finished, h.letters.length, h.letters[1]?.refusedRows.length]).toEqual([[0], 2, 5_000]);
		expect([h.events, h.worker.breakerOpen]).toEqual([["started", "dead letter 0 row_fault"], false]);
	});

	it("names rows that the thread refused beside those that the database refused", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		const fault = (rowId: string) => ({ message: 0, fault: { table: "events", rowId, sqlstate: "22P02", message: "no number" } });
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0])], faults: [fault("a"), fault("b")] }));
		await h.act(() => h.submissions[0]?.refused(0, { table: "events", rowId: "c", sqlstate: "23514", message: "no" }));
		expect(h.letters.at(-1)?.refusedRows).toEqual([
			["events", "a", "22P02"],
			["events", "b", "22P02"],
			["events", "c", "23514"],
		]);
		expect(h.letters.at(-1)).toMatchObject({ sqlstate: "23514", rowId: "c" });
	});

	it("refuses the other rows of a message with one that the thread refused, in tables that ask for it", async () => {
		const h = new WorkerHarness({ atomic: new Set(["events", "audit"]) });
		await h.running(3);
		const faults = [{ message: 1, fault: { table: "events", rowId: "bad", sqlstate: "22P02", message: "no number" } }];
		const blocks = [rowsFor([0, 2]), rowsFor([0, 1, 2], "audit"), rowsFor([1], "other")];
		await h.act(() => h.thread.handled({ blocks, faults }));
		expect(h.submissions.map((each) => each.blocks.map(({ table, messages }) => [table, ...messages]))).toEqual([
			[
				["events", 0, 2],
				["audit", 0, 2],
				["other", 1],
			],
		]);
		const [letter] = h.letters;
		expect([h.letters.length, letter?.sqlstate, letter?.table, letter?.rowId]).toEqual([1, "22P02", "events", "bad"]);
		expect(letter?.refusedRows.map(([table, , sqlstate]) => [table, sqlstate])).toEqual([
			["events", "22P02"],
			["audit", "25P02"],
		]);
	});

	it("names the row that is to blame, and those that are refused with it beside", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0]), rowsFor([0], "audit")] }));
		await h.act(() => h.submissions[0]?.refused(0, { table: "events", rowId: "bad", sqlstate: "23514", message: "no" }));
		await h.act(() => h.submissions[0]?.refused(0, { table: "audit", rowId: "other", sqlstate: "25P02", message: "with it" }));
		expect(h.letters.at(-1)).toMatchObject({ sqlstate: "23514", rowId: "bad", error: "no" });
		expect(h.letters.at(-1)?.refusedRows).toHaveLength(2);
	});

	it("dead-letters what the handler rejects at once, without another attempt", async () => {
		const h = new WorkerHarness({ onPoison: "stop" });
		await h.running(2);
		await h.act(() => h.thread.handled({ rejected: [{ message: 1, why: "no name" }] }));
		expect(h.events).toEqual(["started", "dead letter 1 rejected"]);
		expect(h.letters).toMatchObject([{ offset: 1, error: "no name", attempts: 1 }]);
		expect(h.finished).toEqual([0, 1]);
	});

	it("dead-letters a timestamp from the future instead of writing a row that would win for ever", async () => {
		const h = new WorkerHarness({ futureLimits: new Map([["events", 60_000]]) });
		await h.deliver(1, { timestamp: h.clock.now() + 60_001 });
		await h.deliver(1, { timestamp: h.clock.now() + 60_000 });
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0])] }));
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0])] }));
		expect(h.letters).toMatchObject([{ offset: 0, reason: "future_timestamp" }]);
		expect(
			h.submissions.flatMap(({ batch, blocks }) => blocks.flatMap(({ messages }) => [...messages].map((at) => batch.offsets[at]))),
		).toEqual([1]);
	});

	it("hands no block to the writer in which nothing is left but timestamps from the future", async () => {
		const h = new WorkerHarness({ futureLimits: new Map([["audit", Number.NEGATIVE_INFINITY]]) });
		await h.running(2);
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0], "audit"), rowsFor([1])] }));
		expect(h.submissions.map(({ blocks }) => blocks.map(({ length }) => length))).toEqual([[1]]);
	});
});

describe("failed attempts", () => {
	it("renew the state and hand the same message over again after a back-off that doubles to its maximum", async () => {
		const h = new WorkerHarness({ maxAttempts: 9 });
		await h.running(1);
		await h.act(() => h.thread.threw());
		const waits: unknown[] = [];
		for (let attempt = 0; attempt < 3; attempt++) {
			waits.push(h.clock.pending[0]);
			expect(h.worker.state.name).toBe("backing-off");
			await h.clock.advance(h.clock.pending[0] ?? 0);
			await h.act(() => h.thread.ready());
			await h.act(() => h.thread.threw());
		}
		expect(waits).toEqual([100, 150, 150]);
		expect(h.thread.calls).toEqual(["start", "run 0", "renew", "run 0", "renew", "run 0", "renew", "run 0"]);
		expect(h.threads).toHaveLength(1);
		expect(h.crashes.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
	});

	it("finish what was handled before the failure, and go on from the message that failed", async () => {
		const h = new WorkerHarness();
		await h.running(5);
		await h.act(() => h.thread.threw("boom", 3));
		expect(h.finished).toEqual([0, 1, 2]);
		expect(h.crashes).toMatchObject([
			{ kind: "exception", coordinates: { offset: 3, key: "key-3" }, attempt: 1, next: { action: "retry" } },
		]);
		await h.clock.advance(100);
		await h.act(() => h.thread.ready());
		expect(h.runs.at(-1)).toBe("3");
		await h.act(() => h.thread.handled());
		expect(h.runs.at(-1)).toBe("4");
	});

	const poison = async (onPoison: "dead-letter" | "skip" | "park" | "stop") => {
		const h = new WorkerHarness({ onPoison, maxAttempts: 2 });
		await h.running(2);
		await h.act(() => h.thread.threw());
		await h.clock.advance(100);
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.threw());
		return h;
	};

	it("make a message poison: a dead letter, and the next one is handled", async () => {
		const h = await poison("dead-letter");
		expect(h.letters).toMatchObject([{ offset: 0, reason: "poison", attempts: 2, error: "boom" }]);
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.handled());
		expect(h.finished).toEqual([0, 1]);
	});

	it("make a message poison: skipped where configured", async () => {
		const h = await poison("skip");
		expect([h.finished, h.events.at(-1)]).toEqual([[0], "skipped 0"]);
		expect(h.letters).toMatchObject([{ offset: 0, reason: "poison", state: "skipped" }]);
	});

	it("make a message poison: the partition parks at it, and begins anew when the file changes", async () => {
		const h = await poison("park");
		const ways =
			"correct the handler and save its file, or `pockaffe resume orders 2`; a message that nobody needs: `pockaffe skip orders 2 0`";
		expect(h.worker.state).toMatchObject({ name: "parked", reason: `poison: offset 0 failed 2 times; ${ways}` });
		expect(h.finished).toEqual([]);
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.ready());
		// The message that failed goes alone.
		await h.act(() => h.thread.handled());
		await h.act(() => h.thread.handled());
		expect(h.finished).toEqual([0, 1]);
	});

	it("make a message poison: the daemon is asked to stop", async () => {
		const h = await poison("stop");
		expect(h.events.at(-1)).toBe("stop poison: offset 0 failed 2 times");
		expect(h.finished).toEqual([]);
	});

	it("of a batch handler make its next runs shorter, and longer again with each that goes through", async () => {
		const h = new WorkerHarness({ maxAttempts: 1 });
		await h.running(40);
		// The thread found message 5 by halving.
		await h.act(() => h.thread.threw("boom", 5, true));
		await h.act(() => h.thread.threw("boom", 10, true));
		for (let guard = 0; h.finished.length < 40 && guard < 10; guard++) await h.act(() => h.thread.handled());
		expect(h.events).toEqual(["started", "dead letter 5 poison", "dead letter 10 poison"]);
		expect(h.thread.calls.filter((call) => call.startsWith("run")).map((call) => call.split(" ").length - 1)).toEqual([40, 20, 10, 19]);
		expect(h.finished.sort((left, right) => left - right)).toEqual(Array.from({ length: 40 }, (_, offset) => offset));
	});
});

describe("a thread that dies", () => {
	it("is replaced after a back-off and the same messages are handed to the new one, in order", async () => {
		const h = new WorkerHarness();
		await h.running(4);
		await h.act(() => h.thread.died(1, 2));
		expect(h.crashes).toMatchObject([{ kind: "exception", coordinates: { offset: 2 }, attempt: 1, next: { action: "restart" } }]);
		expect(h.threads).toHaveLength(1);
		await h.clock.advance(h.clock.pending[0] ?? 0);
		expect(h.threads).toHaveLength(2);
		await h.act(() => h.thread.ready());
		for (let i = 0; i < 3; i++) await h.act(() => h.thread.handled());
		expect(h.finished).toEqual([0, 1, 2, 3]);
		// Those before the one that died are innocent and go together.
		expect(h.runs).toEqual(["0 1 2 3", "0 1", "2", "3"]);
	});

	it("charges nobody while several messages were running: they are run one by one first", async () => {
		const h = new WorkerHarness();
		await h.running(3);
		await h.act(() => h.thread.died(3));
		expect(h.crashes.map(({ attempt }) => attempt)).toEqual([0]);
		await h.clock.advance(60);
		await h.act(() => h.thread.ready());
		expect(h.runs.at(-1)).toBe("0");
		await h.act(() => h.thread.handled());
		expect(h.runs.at(-1)).toBe("1");
		await h.act(() => h.thread.died(1, 1));
		expect(h.crashes.at(-1)).toMatchObject({ coordinates: { offset: 1 }, attempt: 1 });
	});

	it("makes a message poison that takes its thread along each time", async () => {
		const h = new WorkerHarness({ maxAttempts: 2, maxRestarts: 100 });
		await h.running(1);
		await h.act(() => h.thread.died(1));
		await h.clock.advance(1_000);
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.died(1));
		expect(h.letters).toMatchObject([{ offset: 0, reason: "poison", attempts: 2 }]);
	});

	it("charges a message that ran alone, also behind its call: what it left may have killed the thread", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		h.thread.state = { calls: 2, phase: "idle", message: 0, running: 0 };
		await h.act(() => void h.thread.kill());
		expect(h.crashes).toMatchObject([{ coordinates: { offset: 0 }, attempt: 1, next: { action: "restart" } }]);
	});

	it("charges nobody where the message had not reached the handler", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => void h.thread.kill());
		expect(h.crashes).toMatchObject([{ attempt: 0, next: { action: "restart" } }]);
	});

	it("is replaced when it dies between runs, without charging anybody", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled());
		await h.act(() => h.thread.diedIdle());
		expect(h.crashes).toMatchObject([{ coordinates: null, attempt: 0, next: { action: "restart" } }]);
		await h.clock.advance(1_000);
		await h.deliver(1);
		await h.act(() => h.thread.ready());
		expect([h.threads.length, h.runs.at(-1)]).toEqual([2, "1"]);
	});
});

describe("a partition that goes on after failures says so once", () => {
	it("when the message that failed is handled, not when its thread is up", async () => {
		const h = new WorkerHarness();
		await h.running(4);
		await h.act(() => h.thread.died(1, 2));
		for (let death = 0; death < 2; death++) {
			await h.clock.advance(h.clock.pending[0] ?? 0);
			await h.act(() => h.thread.ready());
			// Those before it are innocent.
			if (death === 0) await h.act(() => h.thread.handled());
			expect([h.runs.at(-1), h.recoveries]).toEqual(["2", []]);
			if (death === 0) await h.act(() => h.thread.died(1));
		}
		await h.act(() => h.thread.handled());
		await h.act(() => h.thread.handled());
		expect(h.recoveries).toEqual([{ offset: 2, failures: 2, stoodMs: 75 }]);
		expect(h.finished).toEqual([0, 1, 2, 3]);
	});

	it("when all that may have failed are handled, if nobody can be charged", async () => {
		const h = new WorkerHarness();
		await h.running(3);
		await h.act(() => h.thread.died(3));
		await h.clock.advance(60);
		await h.act(() => h.thread.ready());
		const told: number[] = [];
		for (let message = 0; message < 3; message++) {
			await h.act(() => h.thread.handled());
			told.push(h.recoveries.length);
		}
		expect([told, h.recoveries]).toEqual([[0, 0, 1], [{ offset: 2, failures: 1, stoodMs: 60 }]]);
	});

	it("when what could not be entered has handled the message that waited, parked or not", async () => {
		const h = new WorkerHarness({ maxRestarts: 0 });
		await h.deliver(2);
		await h.act(() => h.thread.failToStart("load"));
		await h.clock.advance(2_000);
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.ready());
		expect([h.events.at(-2), h.recoveries]).toEqual(["resumed", []]);
		await h.act(() => h.thread.handled());
		expect(h.recoveries).toEqual([{ offset: 0, failures: 1, stoodMs: 2_000 }]);
	});

	it("when the next message is handled, if the thread died in its start: it had met none of those that wait", async () => {
		const h = new WorkerHarness();
		await h.deliver(3);
		await h.act(() => h.thread.died(0, 0, "timeout"));
		await h.clock.advance(h.clock.pending[0] ?? 0);
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.handledSoFar([0]));
		expect(h.recoveries).toMatchObject([{ offset: 0, failures: 1 }]);
	});

	it("and not at all where the message was given up, which its letter tells", async () => {
		const h = new WorkerHarness({ maxAttempts: 1 });
		await h.running(2);
		await h.act(() => h.thread.threw());
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.handled());
		expect([h.events, h.finished, h.recoveries]).toEqual([["started", "dead letter 0 poison"], [0, 1], []]);
	});

	it("and not of a thread that died with no message there", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled());
		await h.act(() => h.thread.diedIdle());
		await h.clock.advance(100_000);
		await h.deliver(1);
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.handled());
		expect([h.finished, h.recoveries]).toEqual([[0, 1], []]);
	});

	it("when the breaker's trial went well", async () => {
		const h = new WorkerHarness({ maxAttempts: 1, breaker: { share: 1, minMessages: 1_000, withinMs: 1_000, consecutive: 2 } });
		await h.running(3);
		for (let letter = 0; letter < 2; letter++) {
			await h.act(() => h.thread.threw());
			await h.act(() => h.thread.ready());
		}
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.ready());
		expect(h.events.filter((event) => event !== "started")).toEqual([
			"dead letter 0 poison",
			expect.stringMatching(/^parked breaker: 2 dead letters in a row/),
			"resumed",
			"restarted file_changed",
		]);
		await h.act(() => h.thread.handled());
		expect([h.events.at(-1), h.finished]).toEqual(["breaker closed by 1", [0, 1]]);
	});

	it("but not when it stops", async () => {
		const h = new WorkerHarness({ maxRestarts: 0 });
		await h.deliver(1);
		await h.act(() => h.thread.failToStart("load"));
		await h.worker.stop("shutdown");
		expect([h.events, h.recoveries]).toEqual([["restarted load", expect.stringMatching(/^parked restart intensity/)], []]);
	});
});

describe("a call that takes too long", () => {
	it("kills the thread at handler.timeoutMs and charges the message", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		h.thread.state = { calls: 1, phase: "handle", message: 0, running: 1 };
		await h.clock.advance(900);
		expect(h.thread.killed).toBeNull();
		await h.clock.advance(400);
		expect(h.threads[0]?.killed?.reason).toBe("timeout");
		expect(h.crashes).toMatchObject([{ kind: "timeout", coordinates: { offset: 0 }, attempt: 1 }]);
	});

	it("is one call: many short ones of a packed batch may take longer together", async () => {
		const h = new WorkerHarness();
		await h.running(20);
		for (let call = 0; call < 20; call++) {
			h.thread.state = { calls: call + 1, phase: "handle", message: call, running: 1 };
			await h.clock.advance(900);
		}
		expect(h.thread.killed).toBeNull();
		await h.act(() => h.thread.handled());
		expect(h.finished).toHaveLength(20);
	});
});

describe("a handler that does not load", () => {
	it("charges no message, restarts with a growing back-off, then parks with a reason", async () => {
		const h = new WorkerHarness({ maxRestarts: 2 });
		await h.deliver(1);
		const waits: (number | undefined)[] = [];
		for (let i = 0; i < 3; i++) {
			await h.act(() => h.thread.failToStart("load"));
			waits.push(h.clock.pending[0]);
			await h.clock.advance(h.worker.state.name === "backing-off" ? (h.clock.pending[0] ?? 0) : 0);
		}
		expect(waits).toEqual([25, 50, 10_000]);
		expect(h.crashes.map(({ kind, attempt, next }) => [kind, attempt, next.action])).toEqual([
			["load", 0, "restart"],
			["load", 0, "restart"],
			["load", 0, "park"],
		]);
		// No message is to blame: skipping one would not help.
		const ways = "correct the handler and save its file, or `pockaffe resume orders 2`";
		expect(h.worker.state).toMatchObject({ name: "parked", reason: `restart intensity exceeded: no such file; ${ways}` });
		expect([h.letters, h.finished]).toEqual([[], []]);
	});

	it("goes on from the very offset as soon as the file changes, without waiting", async () => {
		const h = new WorkerHarness({ maxRestarts: 0 });
		await h.deliver(2);
		await h.act(() => h.thread.failToStart("init"));
		expect(h.worker.state.name).toBe("parked");
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.handled());
		expect([h.runs, h.finished]).toEqual([["0 1"], [0, 1]]);
	});

	it("is tried again by itself at the longest back-off", async () => {
		const h = new WorkerHarness({ maxRestarts: 0 });
		await h.deliver(1);
		await h.act(() => h.thread.failToStart("load"));
		await h.clock.advance(9_999);
		expect(h.threads).toHaveLength(1);
		await h.clock.advance(1);
		expect(h.threads).toHaveLength(2);
	});

	it("asks for a stop of the daemon where configured", async () => {
		const h = new WorkerHarness({ maxRestarts: 0, onExceeded: "stop" });
		await h.deliver(1);
		await h.act(() => h.thread.failToStart("load"));
		expect(h.events.at(-1)).toMatch(/^stop restart intensity exceeded/);
	});

	it("leaves a healthy worker alone when the file changes", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.handled());
		expect([h.threads.length, h.events]).toEqual([1, ["started"]]);
	});
});

describe("finishedTo", () => {
	it("leaves messages unfinished until a later one confirms them, and doesn't hand them over again", async () => {
		const h = new WorkerHarness();
		await h.running(3);
		await h.act(() => h.thread.handled({ finishedTo: 0 }));
		expect(h.finished).toEqual([0]);
		await h.deliver(1);
		expect(h.runs).toEqual(["0 1 2", "3"]);
		await h.act(() => h.thread.handled({ finishedTo: 3 }));
		expect(h.finished).toEqual([0, 1, 2, 3]);
	});

	it("hands them over again after a restart, before anything newer", async () => {
		const h = new WorkerHarness();
		await h.running(2);
		await h.act(() => h.thread.handled({ finishedTo: null }));
		await h.deliver(1);
		await h.act(() => h.thread.died(1));
		await h.clock.advance(1_000);
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.handled());
		await h.act(() => h.thread.handled());
		expect(h.runs.slice(2)).toEqual(["0 1", "2"]);
		expect(h.finished).toEqual([0, 1, 2]);
	});

	it("is not cut short by a row of the hand-over before the restart", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled({ finishedTo: null, blocks: [rowsFor([0])] }));
		await h.deliver(1);
		await h.act(() => h.thread.died(1));
		await h.clock.advance(1_000);
		await h.act(() => h.thread.ready());
		// Handed over again, and only now the row of the first time is durable.
		expect(h.runs.at(-1)).toBe("0");
		await h.act(() => h.submissions[0]?.settled(0));
		expect(h.finished).toEqual([]);
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0])] }));
		expect(h.finished).toEqual([]);
		await h.act(() => h.submissions[1]?.settled(0));
		expect(h.finished).toEqual([0]);
	});
});

describe("a drain", () => {
	it("waits for what was handed over, drops what was queued, and flushes the writer", async () => {
		const h = new WorkerHarness();
		await h.running(2);
		await h.deliver(2);
		let drained = false;
		void h.worker.drain("revoked", () => false).then(() => (drained = true));
		await h.act(() => h.thread.handled({ blocks: [rowsFor([1])] }));
		expect([drained, h.flushes, h.runs]).toEqual([false, 1, ["0 1"]]);
		await h.act(() => h.submissions[0]?.settled(1));
		expect(drained).toBe(true);
		await h.worker.stop("revoked");
		expect(h.thread.calls.at(-1)).toBe("terminate revoked");
		expect(h.thread.killed).not.toBeNull();
	});

	it.each(["backing-off", "parked"])("does not wait for a worker that is %s", async (state) => {
		const h = new WorkerHarness({ maxRestarts: state === "parked" ? 0 : 5 });
		await h.deliver(1);
		await h.act(() => h.thread.failToStart("load"));
		expect(h.worker.state.name).toBe(state);
		await h.worker.drain("shutdown", () => false);
		await h.worker.stop("shutdown");
		expect(h.finished).toEqual([]);
	});

	it("does not wait for rows that the database keeps from being written", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0])] }));
		let blocked = false;
		let drained = false;
		void h.worker.drain("shutdown", () => blocked).then(() => (drained = true));
		await settle();
		expect(drained).toBe(false);
		blocked = true;
		await h.act(() => h.worker.nudge());
		expect(drained).toBe(true);
	});

	it("is followed by silence: what comes back after the release is ignored", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0])] }));
		await h.worker.kill();
		h.submissions[0]?.settled(0);
		expect(h.finished).toEqual([]);
		await h.deliver(1);
		expect(h.runs).toEqual(["0"]);
	});
});

describe("a person", () => {
	it("holds a partition: what runs is finished, nothing more is handed over until it may go on", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		h.worker.pause();
		await h.deliver(2);
		await h.act(() => h.thread.handled());
		expect([h.finished, h.runs]).toEqual([[0], ["0"]]);
		await h.act(() => h.worker.resume());
		expect(h.runs).toEqual(["0", "1 2"]);
		expect(h.threads).toHaveLength(1);
	});

	it("lets a parked one try again at once", async () => {
		const h = new WorkerHarness({ maxRestarts: 0 });
		await h.deliver(1);
		await h.act(() => h.thread.failToStart("load"));
		expect(h.worker.state.name).toBe("parked");
		await h.act(() => h.worker.resume());
		await h.act(() => h.thread.ready());
		expect(h.runs).toEqual(["0"]);
	});

	it("has a running thread replaced: its messages are handled again and nobody is charged", async () => {
		const h = new WorkerHarness({ maxAttempts: 1 });
		await h.running(2);
		await h.act(() => h.worker.restart());
		expect([h.crashes, h.events.at(-1)]).toEqual([[], "restarted admin"]);
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.handled());
		expect([h.threads.length, h.runs, h.finished]).toEqual([2, ["0 1", "0 1"], [0, 1]]);
	});

	it("has an idle thread replaced, after its terminate", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled());
		await h.act(() => h.worker.restart());
		await h.deliver(1);
		await h.act(() => h.thread.ready());
		expect(h.threads.map(({ calls }) => calls)).toEqual([
			["start", "run 0", "terminate restart"],
			["start", "run 1"],
		]);
	});

	it("ends where it is stopped while its thread is replaced and nothing else is to do", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled());
		let terminated: (failure: null) => void = () => {};
		h.thread.terminate = () => new Promise((resolve) => (terminated = resolve));
		await h.act(() => h.worker.restart());
		let isEnded = false;
		void h.worker.kill().then(() => (isEnded = true));
		await h.act(() => terminated(null));
		expect([isEnded, h.worker.state.name]).toEqual([true, "stopped"]);
	});
});

describe("calls that overlap", () => {
	it("fail without taking along what was handled: the failed one goes alone, then the rest in order", async () => {
		const h = new WorkerHarness();
		await h.running(6);
		await h.act(() => h.thread.threwAmong([1, 3, 4], 3));
		expect(h.finished).toEqual([0, 2, 5]);
		expect(h.crashes).toMatchObject([{ coordinates: { offset: 3 }, attempt: 1, next: { action: "retry" } }]);
		await h.clock.advance(100);
		await h.act(() => h.thread.ready());
		for (let i = 0; i < 3; i++) await h.act(() => h.thread.handled());
		expect(h.runs).toEqual(["0 1 2 3 4 5", "1", "3", "4"]);
		expect(h.finished).toEqual([0, 2, 5, 1, 3, 4]);
	});
});

describe("a run that goes on", () => {
	it("finishes what it came to on its way, in whatever order, and the rest with its end", async () => {
		const h = new WorkerHarness();
		await h.running(6);
		await h.act(() => h.thread.handledSoFar([1, 4]));
		expect([h.finished, h.worker.queue.handed]).toEqual([[1, 4], 4]);
		await h.act(() => h.thread.handledSoFar([0]));
		await h.act(() => h.thread.handled({ handled: [2, 3, 5] }));
		expect([h.finished, h.worker.queue.queued, h.worker.queue.handed]).toEqual([[1, 4, 0, 2, 3, 5], 0, 0]);
	});

	it("and dies: only what it had not told is handed over again, and the one that ran is charged", async () => {
		const h = new WorkerHarness();
		await h.running(6);
		await h.act(() => h.thread.handledSoFar([0, 2], { blocks: [rowsFor([0, 2])] }));
		await h.act(() => h.thread.died(1, 3));
		expect(h.crashes).toMatchObject([{ coordinates: { offset: 3 }, attempt: 1 }]);
		await h.clock.advance(100);
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.handled());
		await h.act(() => h.thread.handled());
		await h.act(() => h.thread.handled());
		expect(h.runs).toEqual(["0 1 2 3 4 5", "1", "3", "4 5"]);
		expect(h.finished).toEqual([1, 3, 4, 5]);
		for (const message of [0, 2]) h.submissions[0]?.settled(message);
		expect(h.finished).toEqual([1, 3, 4, 5, 0, 2]);
	});

	it("is cut short by a drain, which waits for what it still tells and hands nothing more over", async () => {
		const h = new WorkerHarness();
		await h.running(4);
		await h.act(() => h.thread.handledSoFar([0]));
		let isDrained = false;
		void h.worker.drain("revoked", () => false).then(() => (isDrained = true));
		await settle();
		expect([isDrained, h.thread.calls.at(-1)]).toEqual([false, "cut short"]);
		await h.act(() => h.thread.handledTo(2, 1));
		expect([isDrained, h.finished, h.runs]).toEqual([true, [0, 1], ["0 1 2 3"]]);
		expect(h.worker.queue.handed).toBe(0);
	});

	it("is cut short by a pause, and goes on behind what was handled", async () => {
		const h = new WorkerHarness();
		await h.running(4);
		await h.act(() => h.worker.pause());
		expect(h.thread.calls.at(-1)).toBe("cut short");
		await h.act(() => h.thread.handledTo(1));
		expect([h.finished, h.runs]).toEqual([[0], ["0 1 2 3"]]);
		await h.act(() => h.worker.resume());
		expect(h.runs).toEqual(["0 1 2 3", "1 2 3"]);
	});

	it("does not begin where a pause comes while its thread starts", async () => {
		const h = new WorkerHarness();
		await h.deliver(2);
		await h.act(() => h.worker.pause());
		await h.act(() => h.thread.ready());
		expect(h.runs).toEqual([]);
		await h.act(() => h.worker.resume());
		expect(h.runs).toEqual(["0 1"]);
	});

	it("ends the row of failures with what it tells", async () => {
		const h = new WorkerHarness();
		await h.running(3);
		await h.act(() => h.thread.threw());
		await h.clock.advance(100);
		expect(h.worker.failuresInARow).toBe(1);
		await h.act(() => h.thread.handled());
		expect([h.worker.failuresInARow, h.runs.at(-1)]).toEqual([0, "1 2"]);
	});
});
