/** One call may take `handler.timeoutMs`, whoever else is called beside it or before it. */
import { describe, expect, it } from "vitest";
import { withCallDeadline } from "../../src/worker/call-deadline.ts";
import type { ThreadProgress } from "../../src/worker/handler-thread.ts";
import { FakeThread } from "../support/fake-thread.ts";
import { ManualClock } from "../support/manual-clock.ts";

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
});
