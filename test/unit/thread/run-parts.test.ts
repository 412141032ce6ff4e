/** When the answer to a run leaves the thread, and when a run ends early. */
import { performance } from "node:perf_hooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { PackedBatch } from "../../../src/core/messages/packed-batch.ts";
import type { BatchOutcome, RunReply } from "../../../src/worker/thread/handler-thread.ts";
import { SharedProgress } from "../../../src/worker/thread/thread-protocol.ts";

const outcome = (to: number) => ({ to }) as unknown as BatchOutcome;
const reply = { ok: true, outcome: outcome(9) } as RunReply;

/** Time stands still, but for the timers. */
const NOW = 5_000;
/** Gathered and not sent. */
let gathered: BatchOutcome | null;
let isFull: boolean;
let progress: SharedProgress;

beforeEach(() => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
	vi.spyOn(performance, "now").mockReturnValue(NOW);
	[gathered, isFull] = [null, false];
	progress = SharedProgress.forCalls(1);
});
afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

/** Loaded behind the fake timers: it takes the functions when it is loaded. */
async function open() {
	vi.resetModules();
	const { RunParts } = await import("../../../src/worker/inside/run-parts.ts");
	const parts = new RunParts({ progress, looksFull: () => isFull }, () => {
		const taken = gathered;
		gathered = null;
		return taken;
	});
	let finish: (reply: RunReply) => void = () => {};
	const told: unknown[] = [];
	const first = parts.begin(() => new Promise((resolve) => (finish = resolve)));
	void first.then((part) => told.push(part));
	return { parts, told, finish: () => finish(reply) };
}

describe("the answer to a run", () => {
	it("is what was handled by 200 ms, then another part when that is asked for, and the run's own at its end", async () => {
		const { parts, told, finish } = await open();
		gathered = outcome(3);
		await vi.advanceTimersByTimeAsync(199);
		expect(told).toEqual([]);
		await vi.advanceTimersByTimeAsync(1);
		expect(told).toEqual([{ goesOn: true, outcome: outcome(3), wantsMessages: false }]);
		gathered = outcome(5);
		// Nobody has asked.
		await vi.advanceTimersByTimeAsync(1_000);
		expect([told.length, gathered]).toEqual([1, outcome(5)]);
		void parts.ask().then((part) => told.push(part));
		await vi.advanceTimersByTimeAsync(200);
		expect(told.at(-1)).toMatchObject({ goesOn: true, outcome: outcome(5) });
		void parts.ask().then((part) => told.push(part));
		finish();
		await vi.advanceTimersByTimeAsync(0);
		expect(told.slice(2)).toEqual([reply]);
		expect(vi.getTimerCount()).toBe(0);
	});

	it("waits another 200 ms where nothing was handled", async () => {
		const { told } = await open();
		await vi.advanceTimersByTimeAsync(300);
		gathered = outcome(1);
		await vi.advanceTimersByTimeAsync(99);
		expect(told).toEqual([]);
		await vi.advanceTimersByTimeAsync(1);
		expect(told).toHaveLength(1);
	});

	it("of a run that has ended meanwhile is its reply", async () => {
		const { parts, told, finish } = await open();
		gathered = outcome(3);
		await vi.advanceTimersByTimeAsync(200);
		finish();
		await vi.advanceTimersByTimeAsync(0);
		expect(told).toHaveLength(1);
		expect(await parts.ask()).toBe(reply);
	});

	it("is due for a loop that never waits 200 ms after it was asked for", async () => {
		const { parts } = await open();
		expect([parts.isDue(NOW + 199), parts.isDue(NOW + 200)]).toEqual([false, true]);
	});

	it("is passed on by such a loop, which goes on once more is asked for", async () => {
		const { parts, told } = await open();
		gathered = outcome(4);
		let goesOn = false;
		void parts.passOn().then(() => {
			goesOn = true;
		});
		await vi.advanceTimersByTimeAsync(0);
		expect([told, goesOn]).toEqual([[{ goesOn: true, outcome: outcome(4), wantsMessages: false }], false]);
		void parts.ask();
		await vi.advanceTimersByTimeAsync(0);
		expect(goesOn).toBe(true);
	});

	it("holds up no loop that has nothing to pass on", async () => {
		const { parts, told } = await open();
		await parts.passOn();
		expect(told).toEqual([]);
	});

	it("may ask for the messages again, with what was handled or else what is to be told", async () => {
		const { parts, told } = await open();
		const batch = { length: 2 } as unknown as PackedBatch;
		const again = parts.messagesAgain(() => outcome(0));
		await vi.advanceTimersByTimeAsync(0);
		expect(told).toEqual([{ goesOn: true, outcome: outcome(0), wantsMessages: true }]);
		gathered = outcome(6);
		void parts.ask(batch).then((part) => told.push(part));
		expect(await again).toBe(batch);
		void parts.messagesAgain(() => outcome(0));
		await vi.advanceTimersByTimeAsync(0);
		expect(told.at(-1)).toEqual({ goesOn: true, outcome: outcome(6), wantsMessages: true });
	});
});

describe("a run ends early", () => {
	const later = (ms: number) => NOW + ms;

	it("at once when it is cut short, even before its first call", async () => {
		const { parts } = await open();
		expect(parts.mustEnd(0, later(0))).toBe(false);
		progress.isCutShort = true;
		expect(parts.mustEnd(0, later(0))).toBe(true);
	});

	it("after 20 ms where others wait for the thread, but not before it has made a call", async () => {
		const { parts } = await open();
		progress.othersWait = true;
		expect([parts.mustEnd(1, later(19)), parts.mustEnd(0, later(20)), parts.mustEnd(1, later(20))]).toEqual([false, false, true]);
		progress.othersWait = false;
		expect(parts.mustEnd(1, later(500))).toBe(false);
	});

	it("when its memory is full, which is looked at every 2 ms, and not before it has made a call", async () => {
		const { parts } = await open();
		isFull = true;
		expect([parts.mustEnd(1, later(1)), parts.mustEnd(0, later(2))]).toEqual([false, false]);
		isFull = false;
		expect(parts.mustEnd(1, later(2))).toBe(false);
		isFull = true;
		expect([parts.mustEnd(1, later(3)), parts.mustEnd(1, later(4))]).toEqual([false, true]);
	});
});
