/** A handler's file that is saved: when its code is taken, whatever the partition does at the moment and whatever else is asked of it. */
import { describe, expect, it } from "vitest";
import { rowsFor } from "../../support/fakes/fake-thread.ts";
import { settle } from "../../support/fakes/manual-clock.ts";
import { WorkerHarness } from "../../support/fakes/worker-harness.ts";

const breaker = { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 2 };

describe("a file that is saved while the partition runs", () => {
	it("leaves a healthy one alone", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.handled());
		await h.deliver(1);
		expect([h.threads.length, h.runs]).toEqual([1, ["0", "1"]]);
	});

	it("is loaded at its next failed attempt", async () => {
		const h = new WorkerHarness();
		await h.running(2);
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.threw());
		expect([h.threads.length, h.events, h.crashes.at(-1)?.next]).toEqual([
			2,
			["started", "restarted file_changed"],
			{ action: "restart", delayMs: 0 },
		]);
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.handled());
		expect(h.finished).toEqual([0]);
	});

	it("is loaded in place of a park at a poison message", async () => {
		const h = new WorkerHarness({ maxAttempts: 1, onPoison: "park" });
		await h.running(1);
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.threw());
		expect([h.worker.state.name, h.threads.length]).toEqual(["starting", 2]);
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.threw());
		expect(h.worker.state.name).toBe("parked");
	});

	it("is tried before a message that failed is dead-lettered, once for each message", async () => {
		const h = new WorkerHarness({ maxAttempts: 1 });
		await h.running(1);
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.threw());
		expect([h.letters, h.threads.length]).toEqual([[], 2]);
		await h.act(() => h.thread.ready());
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.threw());
		expect(h.letters).toMatchObject([{ offset: 0, reason: "poison" }]);
	});

	it("is loaded in place of a park where restarts are exceeded", async () => {
		const h = new WorkerHarness({ maxRestarts: 0 });
		await h.running(1);
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.died(0));
		expect([h.threads.length, h.events]).toEqual([2, ["started", "restarted exception"]]);
	});

	it("is loaded in place of a park of the breaker: one message decides with the new code", async () => {
		const h = new WorkerHarness({ breaker });
		await h.running(2);
		await h.act(() => h.worker.handlerChanged());
		await h.act(() =>
			h.thread.handled({
				rejected: [
					{ message: 0, why: "no" },
					{ message: 1, why: "no" },
				],
			}),
		);
		expect([h.threads.length, h.events.filter((each) => each.startsWith("parked"))]).toEqual([2, []]);
		await h.act(() => h.thread.ready());
		expect(h.runs.at(-1)).toBe("1");
	});

	it("is what a resume runs", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.worker.pause());
		await h.act(() => h.thread.handled());
		await h.act(() => h.worker.handlerChanged());
		await h.deliver(1);
		await h.act(() => h.worker.resume());
		await h.act(() => h.thread.ready());
		expect([h.threads.length, h.runs]).toEqual([2, ["0", "1"]]);
	});

	it("is what a thread of this moment gives way to where another is opened", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.worker.handlerChanged());
		expect(h.lease).toEqual(["opened", "expired"]);
	});
});

describe("what is asked of a partition that fails", () => {
	it("is all done: a resume behind a saved file does not take the new code back", async () => {
		const h = new WorkerHarness({ maxAttempts: 9 });
		await h.running(1);
		await h.act(() => h.thread.threw());
		await h.clock.advance(100);
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.worker.resume());
		await h.act(() => h.thread.threw());
		await settle();
		expect([h.threads.length, h.events]).toEqual([2, ["started", "restarted file_changed"]]);
	});

	it("by a person is not charged to the message, also where a file is saved behind it", async () => {
		const h = new WorkerHarness({ maxAttempts: 9 });
		await h.running(1);
		await h.act(() => h.thread.threw());
		await h.clock.advance(100);
		await h.act(() => {
			h.worker.restart();
			h.worker.handlerChanged();
		});
		await h.act(() => h.thread.ready());
		expect([h.crashes.length, h.threads.length, h.runs.at(-1)]).toEqual([1, 2, "0"]);
	});
});

describe("rows of before", () => {
	it("settle whatever thread there is", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0])] }));
		await h.act(() => h.worker.handlerChanged());
		h.submissions[0]?.settled(0);
		expect(h.finished).toEqual([0]);
	});
});
