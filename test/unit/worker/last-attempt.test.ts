/** The last attempt before poison is made in a thread that no other message has been in. */
import { describe, expect, it } from "vitest";
import { type HarnessOptions, WorkerHarness } from "../../support/fakes/worker-harness.ts";

/** The message at hand fails at each attempt, each behind its back-off. */
async function failing(h: WorkerHarness, times: number, message = "boom"): Promise<void> {
	for (let attempt = 0; attempt < times; attempt++) {
		await h.act(() => h.thread.threw(message));
		await h.clock.advance(10);
		await h.act(() => h.thread.ready());
	}
}

/** A worker whose thread has handled a message. */
async function worn(options: HarnessOptions = {}): Promise<WorkerHarness> {
	const h = new WorkerHarness({ retryBackoffMs: 1, ...options });
	await h.running(1);
	await h.act(() => h.thread.handled());
	return h;
}

const replaced = (h: WorkerHarness) => h.events.filter((event) => event === "restarted last_attempt").length;

describe("the last attempt before poison", () => {
	it("is made in a new thread where others have been in this one; the old one's handler is told, and no restart is counted against it", async () => {
		const h = await worn({ maxRestarts: 0 });
		await h.deliver(1);
		await failing(h, 1);
		expect(h.threads).toHaveLength(1);
		await failing(h, 1);
		expect(h.threads.map(({ calls }) => calls.filter((call) => !call.startsWith("renew")))).toEqual([
			["start", "run 0", "run 1", "run 1", "terminate failed"],
			["start", "run 1"],
		]);
		await h.act(() => h.thread.handled());
		expect([h.finished, h.events]).toEqual([
			[0, 1],
			["started", "restarted last_attempt", "started"],
		]);
		expect(h.crashes.map(({ next }) => next.inNewThread ?? false)).toEqual([false, true]);
	});

	it("is made in the same thread where nothing else has been in it: that is as good as new", async () => {
		const h = new WorkerHarness({ retryBackoffMs: 1 });
		await h.running(1);
		await failing(h, 3);
		expect([h.threads.length, h.letters.length]).toEqual([1, 1]);
	});

	it("is made in a new thread where only other partitions have been in this one", async () => {
		const h = new WorkerHarness({ retryBackoffMs: 1 });
		await h.running(1);
		h.thread.hadOthers = true;
		await failing(h, 2);
		// Who shares it begins anew, too.
		expect([h.threads.length, h.lease]).toEqual([2, ["opened", "expired", "opened"]]);
	});

	it("needs no new thread where another message failed in the very same way in one a moment ago, so that no storm of threads comes of bad messages", async () => {
		const h = await worn();
		for (let bad = 0; bad < 3; bad++) {
			await h.deliver(1);
			await failing(h, 3);
		}
		expect([replaced(h), h.letters.length]).toEqual([1, 3]);
		// A moment is over a second after that thread was new, whatever was believed since.
		for (const [ms, threads] of [
			[500, 1],
			[500, 2],
		] as const) {
			await h.clock.advance(ms);
			await h.deliver(1);
			await failing(h, 3);
			expect(replaced(h)).toBe(threads);
		}
	});

	it("needs one for another failure", async () => {
		const h = await worn();
		for (const message of ["boom", "another"]) {
			await h.deliver(1);
			await failing(h, 3, message);
		}
		expect([replaced(h), h.letters.length]).toEqual([2, 2]);
	});

	it("is no reason to believe the next where it went well in the new thread", async () => {
		const h = await worn();
		for (let innocent = 0; innocent < 2; innocent++) {
			await h.deliver(1);
			await failing(h, 2);
			await h.act(() => h.thread.handled());
		}
		expect([replaced(h), h.letters.length]).toEqual([2, 0]);
	});
});
