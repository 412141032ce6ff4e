/** One call may take `handler.timeoutMs`, whoever else is called beside it or before it. */
import { describe, expect, it } from "vitest";
import { withCallDeadline } from "../../../src/worker/thread/call-deadline.ts";
import type { ThreadProgress } from "../../../src/worker/thread/handler-thread.ts";
import { FakeThread } from "../../support/fakes/fake-thread.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const LIMIT_MS = 2_000;

function scene() {
	const thread = new FakeThread();
	const clock = new ManualClock();
	let calls = 0;
	const running = new Set<number>();
	const show = (over: Partial<ThreadProgress> = {}) => {
		thread.state = { calls, phase: "handle", message: 0, running: running.size, overlapping: [...running], ...over };
	};
	let end: () => void = () => {};
	const ended = withCallDeadline(new Promise<void>((resolve) => (end = resolve)), thread, LIMIT_MS, clock);
	return {
		thread,
		clock,
		show,
		/** A call that overlaps others begins. */
		begin() {
			running.add(++calls);
			show();
			return calls;
		},
		end(call: number) {
			running.delete(call);
			calls++;
			show();
		},
		async done() {
			end();
			await ended;
		},
	};
}

describe("handler.timeoutMs", () => {
	it("holds for each of the calls that overlap, also where others before it took long", async () => {
		const { thread, clock, begin, end, done } = scene();
		const oldest = begin();
		await clock.advance(LIMIT_MS * 0.7);
		begin();
		await clock.advance(LIMIT_MS * 0.2);
		end(oldest);
		await clock.advance(LIMIT_MS * 0.6);
		expect(thread.killed).toBe(null);
		await clock.advance(LIMIT_MS * 0.6);
		expect(thread.killed).toMatchObject({
			reason: "timeout",
			message: expect.stringContaining("call took longer than handler.timeoutMs (2000 ms)"),
		});
		await done();
	});

	it("is told as a call's while one runs, also where timers fire a little early", async () => {
		const [thread, clock] = [new FakeThread(), new ManualClock()];
		thread.state = { calls: 1, phase: "handle", message: 0, running: 1 };
		let end: () => void = () => {};
		const early = {
			...clock,
			monotonic: () => clock.monotonic() * 0.999,
			after: (delayMs: number, callback: () => void) => clock.after(delayMs, callback),
		} as ManualClock;
		const ended = withCallDeadline(new Promise<void>((resolve) => (end = resolve)), thread, LIMIT_MS, early);
		await clock.advance(LIMIT_MS * 1.6);
		expect(thread.killed).toMatchObject({ message: expect.stringContaining("call took longer than handler.timeoutMs (2000 ms)") });
		end();
		await ended;
	});

	it("is every call's own: many that overlap for long are no call that takes long", async () => {
		const { thread, clock, begin, end, done } = scene();
		let before = begin();
		for (let i = 0; i < 20; i++) {
			await clock.advance(LIMIT_MS * 0.25);
			const next = begin();
			await clock.advance(LIMIT_MS * 0.25);
			end(before);
			before = next;
		}
		expect(thread.killed).toBe(null);
		await done();
		expect(clock.pending).toEqual([]);
	});

	it("begins anew with every call where they come one by one", async () => {
		const { thread, clock, show, done } = scene();
		for (let calls = 1; calls < 10; calls++) {
			thread.state = { calls, phase: "handle", message: 0, running: 1 };
			await clock.advance(LIMIT_MS * 0.7);
		}
		expect(thread.killed).toBe(null);
		show({ phase: "init" });
		thread.state = { calls: 99, phase: "init", message: 0, running: 0 };
		await clock.advance(LIMIT_MS * 1.4);
		expect(thread.killed?.message).toContain("the handler's init took longer");
		await done();
	});

	it("ends a thread that is handed something and never begins: a timer or work that is not awaited keeps it", async () => {
		const { thread, clock, done } = scene();
		thread.state = { calls: 7, phase: "idle", message: 0, running: 0 };
		await clock.advance(LIMIT_MS);
		expect(thread.killed).toBe(null);
		await clock.advance(LIMIT_MS * 0.4);
		expect(thread.killed).toMatchObject({
			reason: "timeout",
			message: expect.stringContaining("did not answer for longer than handler.timeoutMs (2000 ms), with no call under way"),
		});
		await done();
	});

	it("ends a thread that stands between two calls of a run, or behind the last", async () => {
		const { thread, clock, done } = scene();
		thread.state = { calls: 8, phase: "handle", message: 3, running: 0 };
		await clock.advance(LIMIT_MS * 1.4);
		expect(thread.killed?.message).toContain("with no call under way");
		await done();
	});

	it("leaves a thread alone that has another's call to make first, however long that takes", async () => {
		const { thread, clock, done } = scene();
		thread.state = { calls: 7, phase: "idle", message: 0, running: 0 };
		await clock.advance(LIMIT_MS * 0.8);
		thread.isQueued = true;
		await clock.advance(LIMIT_MS * 10);
		thread.isQueued = false;
		await clock.advance(LIMIT_MS * 0.8);
		expect(thread.killed).toBe(null);
		await clock.advance(LIMIT_MS * 0.6);
		expect(thread.killed?.reason).toBe("timeout");
		await done();
	});

	it("gives a thread that only begins half a minute", async () => {
		const { thread, clock, done } = scene();
		await clock.advance(29_000);
		expect(thread.killed).toBe(null);
		await clock.advance(3_000);
		expect(thread.killed?.reason).toBe("timeout");
		await done();
	});
});
