/** A message that a person wants passed over: whatever its partition is doing. */
import { describe, expect, it } from "vitest";
import { rowsFor } from "../../support/fakes/fake-thread.ts";
import { settle } from "../../support/fakes/manual-clock.ts";
import { WorkerHarness } from "../../support/fakes/worker-harness.ts";

/** Asks, and says what became of it as soon as that is known. */
function skipping(h: WorkerHarness, offset: number) {
	const told: string[] = [];
	void h.worker.skip(offset, "by ann: a test record").then((answer) => told.push(answer));
	return told;
}

describe("a message that a person wants passed over", () => {
	it("becomes a letter of its own state, and the partition that was parked at it goes on behind it", async () => {
		const h = new WorkerHarness({ onPoison: "park", maxAttempts: 1 });
		await h.running(3);
		await h.act(() => h.thread.threw());
		expect(h.worker.state.name).toBe("parked");
		const told = skipping(h, 0);
		await settle();
		expect(told).toEqual(["skipped"]);
		const error = "by ann: a test record; before, it failed: boom";
		expect(h.letters).toMatchObject([{ offset: 0, reason: "skipped", state: "skipped", error, attempts: 1 }]);
		expect(h.letters[0]?.value?.toString()).toBe("value-0");
		await h.act(() => h.thread.handled());
		expect([h.finished, h.runs.at(-1)]).toEqual([[0, 1, 2], "1 2"]);
		expect(h.events.filter((event) => event.startsWith("skipped"))).toEqual(["skipped 0"]);
	});

	it("and had failed keeps in its letter how often, and why the last time", async () => {
		const h = new WorkerHarness({ retryBackoffMs: 10, maxAttempts: 5 });
		await h.running(3);
		await h.act(() => h.thread.threw("first"));
		await h.clock.advance(h.clock.pending[0] ?? 0);
		await h.act(() => h.thread.threw("second", undefined, false, "at line 2"));
		expect(h.worker.state.name).toBe("backing-off");
		skipping(h, 1);
		skipping(h, 0);
		await settle();
		expect(h.letters.map(({ offset, error, stack, attempts }) => [offset, error, stack, attempts])).toEqual([
			[1, "by ann: a test record", null, 0],
			[0, "by ann: a test record; before, it failed: second", "at line 2", 2],
		]);
	});

	it("is not waited for by one that backs off", async () => {
		const h = new WorkerHarness({ retryBackoffMs: 5_000, maxRetryBackoffMs: 5_000 });
		await h.running(2);
		await h.act(() => h.thread.threw());
		expect(h.worker.state.name).toBe("backing-off");
		const told = skipping(h, 0);
		await settle();
		await h.act(() => h.thread.handled());
		expect([told, h.finished, h.letters.length]).toEqual([["skipped"], [0, 1], 1]);
	});

	it("is taken out of a partition that a person paused, which stays so", async () => {
		const h = new WorkerHarness();
		h.worker.pause();
		await h.deliver(2);
		const told = skipping(h, 1);
		await settle();
		expect([told, h.finished, h.runs]).toEqual([["skipped"], [1], []]);
		await h.act(() => h.worker.resume());
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.handled());
		expect([h.finished, h.runs]).toEqual([[1, 0], ["0"]]);
	});

	it("is skipped where the daemon stops while its call runs, and the call fails; others are not", async () => {
		const h = new WorkerHarness({ maxAttempts: 5 });
		await h.running(2);
		const [told, other] = [skipping(h, 0), skipping(h, 1)];
		let isDrained = false;
		void h.worker.drain("shutdown", () => false).then(() => (isDrained = true));
		await settle();
		expect([told, isDrained]).toEqual([[], false]);
		await h.act(() => h.thread.threw());
		expect([told, isDrained, h.finished]).toEqual([["skipped"], true, [0]]);
		expect(h.letters).toMatchObject([{ offset: 0, state: "skipped", error: "by ann: a test record; before, it failed: boom" }]);
		await h.worker.stop("shutdown");
		await settle();
		expect(other).toEqual(["released"]);
	});

	it("is not skipped where the daemon stops while its call runs, and the call succeeds", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		const told = skipping(h, 0);
		void h.worker.drain("revoked", () => false);
		await h.act(() => h.thread.handled());
		await h.worker.stop("revoked");
		await settle();
		expect([told, h.finished, h.letters]).toEqual([["released"], [0], []]);
	});

	it("further back leaves the attempts of the one that fails before it", async () => {
		const h = new WorkerHarness({ maxAttempts: 2 });
		await h.running(3);
		await h.act(() => h.thread.threw());
		const told = skipping(h, 2);
		await settle();
		await h.act(() => h.thread.threw());
		expect([told, h.letters.map(({ offset, reason }) => `${offset} ${reason}`)]).toEqual([["skipped"], ["2 skipped", "0 poison"]]);
	});

	it("is waited for while its call runs: skipped where that fails, left alone where it goes through", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		const told = skipping(h, 0);
		await settle();
		expect([told, h.letters]).toEqual([[], []]);
		await h.act(() => h.thread.threw());
		expect([told, h.finished]).toEqual([["skipped"], [0]]);
		await h.deliver(1);
		const late = skipping(h, 1);
		await h.act(() => h.thread.handled());
		expect([late, h.finished, h.letters.length]).toEqual([["finished"], [0, 1], 1]);
	});

	it("is told as open while its rows are under way, and as finished afterwards", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0])] }));
		const told = skipping(h, 0);
		await settle();
		await h.act(() => h.submissions[0]?.settled(0));
		const later = skipping(h, 0);
		await settle();
		expect([told, later, h.letters]).toEqual([["open"], ["finished"], []]);
	});

	it("is finished only when its letter is durable", async () => {
		const h = new WorkerHarness();
		let stored: () => void = () => {};
		h.storeLetter = () => new Promise((resolve) => (stored = resolve));
		h.worker.pause();
		await h.deliver(1);
		const told = skipping(h, 0);
		await settle();
		expect([told, h.finished]).toEqual([[], []]);
		await h.act(stored);
		expect([told, h.finished]).toEqual([["skipped"], [0]]);
	});

	it("of a partition that is given away is answered", async () => {
		const h = new WorkerHarness();
		await h.running(1);
		const told = skipping(h, 0);
		await h.worker.kill();
		const later = skipping(h, 0);
		await settle();
		expect([told, later]).toEqual([["released"], ["released"]]);
	});

	it("is passed over where the call under way was its last attempt, whatever onPoison says", async () => {
		for (const onPoison of ["dead-letter", "stop"] as const) {
			const h = new WorkerHarness({ maxAttempts: 1, onPoison });
			await h.running(1);
			const told = skipping(h, 0);
			await h.act(() => h.thread.threw());
			expect([told, h.letters.map(({ reason }) => reason), h.finished]).toEqual([["skipped"], ["skipped"], [0]]);
			expect(h.events.filter((event) => event.startsWith("stop"))).toEqual([]);
		}
	});

	it("may be the one whose letter the breaker withholds", async () => {
		const h = new WorkerHarness({ maxAttempts: 1, breaker: { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 1 } });
		await h.running(2);
		await h.act(() => h.thread.threw());
		expect([h.worker.breakerOpen, h.letters]).toEqual([true, []]);
		const told = skipping(h, 0);
		await settle();
		expect([told, h.finished, h.worker.breakerOpen]).toEqual([["skipped"], [0], true]);
		await h.act(() => h.worker.resume());
		await h.act(() => h.thread.handled());
		expect([h.finished, h.letters.map(({ reason }) => reason)]).toEqual([[0, 1], ["skipped"]]);
	});

	it("does not close an open breaker", async () => {
		const h = new WorkerHarness({ maxAttempts: 1, breaker: { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 1 } });
		await h.running(4);
		await h.act(() => h.thread.threw());
		await h.act(() => h.thread.threw());
		expect([h.worker.state.name, h.worker.breakerOpen]).toEqual(["parked", true]);
		const told = skipping(h, 3);
		await settle();
		expect([told, h.worker.state.name, h.worker.breakerOpen]).toEqual([["skipped"], "parked", true]);
	});
});
