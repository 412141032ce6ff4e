/** Handing a run to the worker's thread: what became of it, as data. What that means is the worker's (partition-worker.test.ts). */
import { describe, expect, it } from "vitest";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import { type HandedOver, HandOver } from "../../../src/worker/hand-over.ts";
import { MessageQueue, type Run } from "../../../src/worker/message-queue.ts";
import { ThreadSlot } from "../../../src/worker/thread/thread-slot.ts";
import { WorkerWaits } from "../../../src/worker/worker-waits.ts";
import { settle } from "../../support/fakes/manual-clock.ts";
import { type HarnessOptions, WorkerHarness } from "../../support/fakes/worker-harness.ts";

/** Messages at offsets 10, 11 and 12, and a thread that is ready unless `isReady` is false. */
async function scene(options: HarnessOptions = {}, { isReady = true, goesOn = true } = {}) {
	const h = new WorkerHarness(options);
	const { parts } = h;
	const [queue, waits, handing] = [new MessageQueue(), new WorkerWaits(parts), new AbortController()];
	const slot = new ThreadSlot({
		create: () => parts.threads.open(),
		timeoutMs: 1_000,
		clock: h.clock,
		started: () => {},
		terminateFailed: () => {},
		diedIdle: () => {},
	});
	const handled: number[] = [];
	const handOver = new HandOver(parts, {
		slot,
		queue,
		waits,
		signal: handing.signal,
		handled: (held, { from, to }, last) => {
			handled.push(last);
			for (let message = from; message < to; message++) queue.answered(held, message);
			return goesOn;
		},
	});
	const one = { ...parts.partition, timestamp: 1, key: null, value: null, headers: [] };
	queue.push(packMessages([10, 11, 12].map((offset) => ({ ...one, offset }))), 0);
	const run = queue.next(10) as Run;
	const start = async () => {
		const started = handOver.start(run);
		await settle();
		return { started, thread: h.thread };
	};
	if (isReady) {
		const { started, thread } = await start();
		thread.ready();
		await started;
	}
	const hand = async () => {
		const handed = handOver.hand(run);
		await settle();
		return { handed, thread: h.thread };
	};
	return { h, queue, waits, handing, slot, handOver, run, handled, start, hand };
}

/** What became of it; `under way` if nothing has yet. */
async function settled(handed: Promise<HandedOver>): Promise<HandedOver | "under way"> {
	return Promise.race([handed, settle().then(() => "under way" as const)]);
}

const suspects = (from: number, to: number) => ({
	suspicion: { held: { from, to }, deaths: [], until: 1_000 },
	committed: () => 10,
	note: async () => {},
});

describe("a thread that is started", () => {
	it("is gone if its module does not load", async () => {
		const { start, slot, run } = await scene({}, { isReady: false });
		const { started, thread } = await start();
		thread.failToStart("load");
		expect(await settled(started)).toMatchObject({ what: "start-failed", run, failure: { kind: "load" } });
		expect(slot.occupied).toBe(false);
	});

	it("that dies had no message", async () => {
		const { start } = await scene({}, { isReady: false });
		const { started, thread } = await start();
		thread.died(0);
		expect(await settled(started)).toMatchObject({ what: "died", progress: null });
	});

	it("is nobody's failure if a share lost it while it waited for its turn, or a person ended it", async () => {
		const shared = await scene({}, { isReady: false });
		const first = await shared.start();
		first.thread.died(0, 0, "shared");
		expect([await settled(first.started), shared.slot.occupied]).toEqual([{ what: "not-now" }, false]);
		const ended = await scene({}, { isReady: false });
		const second = await ended.start();
		ended.waits.anew.add("admin");
		second.thread.died(0);
		expect(await settled(second.started)).toEqual({ what: "not-now" });
	});

	it("waits while a suspect has its turn, and is not started if the partition is paused meanwhile", async () => {
		const { h, start, waits } = await scene({}, { isReady: false });
		const end = await h.parts.turn.alone(new AbortController().signal);
		const started = start().then((each) => each.started);
		await settle();
		waits.isPaused = true;
		end?.();
		expect([await settled(started), h.threads.length]).toEqual([{ what: "not-now" }, 0]);
	});
});

describe("a run that is handed over", () => {
	it("tells its parts as they come, and is given back as far as nobody answered for it", async () => {
		const { hand, handled, queue } = await scene();
		const { handed, thread } = await hand();
		thread.handledSoFar([0]);
		thread.handledTo(2, 1);
		expect([await settled(handed), handled, queue.queued]).toEqual([{ what: "done" }, [10, 11], 1]);
	});

	it.each([
		["only what was answered", undefined, 11],
		["also what a call had that failed before its half went well", 3, 13],
	])("was with the handler: %s", async (_, calledTo, handedTo) => {
		const { hand, queue } = await scene();
		const { handed, thread } = await hand();
		thread.handledTo(1, 0, calledTo);
		expect([await settled(handed), queue.queued, queue.handedTo]).toEqual([{ what: "done" }, 2, handedTo]);
	});

	it("is cut short if what it gave so far is enough", async () => {
		const { hand } = await scene({}, { goesOn: false });
		const { thread } = await hand();
		thread.handledSoFar([0]);
		expect(thread.calls.at(-1)).toBe("cut short");
	});

	it("names the message that failed, and the size of a batch handler's run", async () => {
		const { hand, run } = await scene();
		const { handed, thread } = await hand();
		thread.threw("boom", 1, true);
		expect(await settled(handed)).toMatchObject({ what: "failed", run: { held: run.held, from: 1, to: 2 }, batched: 3 });
	});

	it("comes next again if its thread died, with what that was doing", async () => {
		const { hand, run, queue } = await scene();
		const { handed, thread } = await hand();
		thread.died(1, 2);
		expect(await settled(handed)).toMatchObject({ what: "died", run, progress: { phase: "handle", message: 2 } });
		expect(queue.next(10)).toEqual(run);
	});

	it("waits for what goes first: a request, a pause, a death between two runs", async () => {
		const { handOver, run, waits, h } = await scene();
		waits.anew.add("skip");
		expect(await settled(handOver.hand(run))).toEqual({ what: "not-now" });
		waits.anew.clear();
		waits.isPaused = true;
		expect(await settled(handOver.hand(run))).toEqual({ what: "not-now" });
		waits.isPaused = false;
		waits.idleDeath = { reason: "exit", message: "it died", stack: null };
		expect(await settled(handOver.hand(run))).toEqual({ what: "not-now" });
		expect(h.runs).toEqual([]);
	});

	it("begins with a suspect only in a state that is made already", async () => {
		const { hand, handOver, run, slot, h } = await scene({ hand: suspects(10, 12) });
		slot.needsRenewal();
		expect(await settled(handOver.hand(run))).toEqual({ what: "needs-new-state" });
		await slot.end("failed");
		const started = handOver.start(run);
		await settle();
		h.thread.ready();
		await started;
		await hand();
		expect([h.runs, h.events]).toEqual([["10"], ["careful"]]);
	});
});
