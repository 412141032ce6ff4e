/**
 * A partition worker whose thread is shared: what ends it at another partition is not charged here, and what waits for its turn is given
 * back.
 */
import { describe, expect, it } from "vitest";
import { WorkerHarness } from "../../support/fakes/worker-harness.ts";

describe("a thread that ended at another partition", () => {
	it("is started again at once with the same messages, and nothing is charged", async () => {
		const harness = new WorkerHarness();
		await harness.running(3);
		await harness.act(() => harness.thread.died(0, 0, "shared"));
		await harness.act(() => harness.thread.ready());
		expect(harness.runs).toEqual(["0 1 2", "0 1 2"]);
		expect([harness.events, harness.crashes]).toEqual([["started", "restarted shared", "started"], []]);
		expect([harness.worker.restarts, harness.worker.attempts, harness.worker.failuresInARow]).toEqual([1, 0, 0]);
		await harness.act(() => harness.thread.handled());
		expect(harness.finished).toEqual([0, 1, 2]);
	});

	it("never is too often: no back-off, no parking", async () => {
		const harness = new WorkerHarness({ maxRestarts: 3 });
		await harness.running(1);
		for (let i = 0; i < 20; i++) {
			await harness.act(() => harness.thread.died(0, 0, "shared"));
			await harness.act(() => harness.thread.ready());
		}
		expect([harness.runs.length, harness.worker.state.name]).toEqual([21, "running"]);
	});

	it("while it had nothing to do, is started again with the next message", async () => {
		const harness = new WorkerHarness();
		await harness.running(1);
		await harness.act(() => harness.thread.handled());
		await harness.act(() => harness.thread.diedIdle("shared"));
		expect([harness.threads.length, harness.worker.state.name, harness.worker.threadId]).toEqual([1, "waiting", null]);
		await harness.running(1);
		expect([harness.runs, harness.crashes]).toEqual([["0", "1"], []]);
	});

	it("takes with it what only the state held: that comes again first", async () => {
		const harness = new WorkerHarness();
		await harness.running(2);
		await harness.act(() => harness.thread.handled({ finishedTo: null }));
		await harness.act(() => harness.thread.diedIdle("shared"));
		await harness.act(() => harness.thread.ready());
		expect([harness.runs, harness.finished]).toEqual([["0 1", "0 1"], []]);
	});

	it("before it was this one's turn to start has cost it nothing", async () => {
		const harness = new WorkerHarness();
		await harness.deliver(1);
		await harness.act(() => harness.thread.died(0, 0, "shared"));
		await harness.act(() => harness.thread.ready());
		expect([harness.events, harness.worker.restarts, harness.runs]).toEqual([["started"], 0, ["0"]]);
	});

	it("leaves suspects suspect, and their attempts as they were", async () => {
		const harness = new WorkerHarness();
		await harness.running(2);
		await harness.act(() => harness.thread.died(2));
		await harness.clock.advance(10_000);
		await harness.act(() => harness.thread.ready());
		await harness.act(() => harness.thread.threw());
		expect(harness.worker.attempts).toBe(1);
		await harness.clock.advance(10_000);
		await harness.act(() => harness.thread.died(0, 0, "shared"));
		await harness.act(() => harness.thread.ready());
		expect([harness.runs, harness.worker.attempts, harness.crashes.length]).toEqual([["0 1", "0", "0", "0"], 1, 2]);
	});

	it("has no terminate to be called, and none that failed", async () => {
		const harness = new WorkerHarness();
		await harness.running(1);
		await harness.act(() => harness.thread.handled());
		await harness.act(() => {
			harness.thread.diedIdle("shared");
			void harness.worker.stop("revoked");
		});
		expect([harness.worker.state.name, harness.events]).toEqual(["stopped", ["started"]]);
	});
});

describe("a run that waits for its turn", () => {
	async function waiting() {
		const harness = new WorkerHarness();
		await harness.deliver(3);
		harness.thread.isQueued = true;
		await harness.act(() => harness.thread.ready());
		return harness;
	}

	it("is given back by a drain, which ends the state it has in the thread", async () => {
		const harness = await waiting();
		let isDrained = false;
		await harness.act(() => void harness.worker.drain("revoked", () => false).then(() => (isDrained = true)));
		expect([isDrained, harness.worker.queue.handed, harness.finished]).toEqual([true, 0, []]);
		await harness.act(() => void harness.worker.stop("revoked"));
		expect([harness.thread.calls, harness.lease]).toEqual([
			["start", "run 0 1 2", "terminate revoked"],
			["opened", "released"],
		]);
	});

	it("is given back by a pause, and handed over again when it goes on", async () => {
		const harness = await waiting();
		await harness.act(() => harness.worker.pause());
		expect([harness.thread.pending, harness.worker.queue.queued]).toEqual([null, 3]);
		await harness.act(() => harness.worker.resume());
		await harness.act(() => harness.thread.handled());
		expect([harness.runs, harness.finished]).toEqual([
			["0 1 2", "0 1 2"],
			[0, 1, 2],
		]);
	});

	it("and was to begin with a new state still is", async () => {
		const harness = await waiting();
		await harness.act(() => harness.thread.threw());
		await harness.clock.advance(10_000);
		await harness.act(() => harness.worker.pause());
		await harness.act(() => harness.worker.resume());
		expect(harness.thread.calls).toEqual(["start", "run 0 1 2", "renew", "run 0", "renew", "run 0"]);
	});
});

describe("a thread that has to load the module anew", () => {
	it("is asked for where the handler's file has changed or a person wants it, and not by a resume; a healthy worker keeps what it has", async () => {
		const harness = new WorkerHarness();
		await harness.running(1);
		await harness.act(() => harness.worker.handlerChanged());
		expect(harness.lease).toEqual(["opened", "expired"]);
		await harness.act(() => harness.thread.threw());
		expect(harness.lease).toEqual(["opened", "expired", "expired", "opened"]);
		await harness.act(() => harness.thread.ready());
		await harness.act(() => harness.worker.restart());
		expect(harness.lease.slice(4)).toEqual(["expired", "opened"]);
		await harness.act(() => harness.worker.resume());
		expect(harness.lease.length).toBe(6);
	});
});
