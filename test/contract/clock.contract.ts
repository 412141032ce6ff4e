/**
 * What every Clock promises, the machine's and those that tests move: timers in order of their time, a cancelled one never, a sleep that
 * ends with its signal, monotonic time that only goes forward.
 */
import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/core/clock.ts";

/** A clock and the way its time passes. */
export interface ClockHarness {
	readonly clock: Clock;
	/** Lets time pass until `holds`. */
	until(what: string, holds: () => boolean): Promise<void>;
	/** Moves the wall's time by so many ms; absent where nobody can. */
	jump?(ms: number): void;
}

/** Runs the suite; `open` makes a clock per test. */
export function clockContract(name: string, open: () => ClockHarness): void {
	describe(`the clock: ${name}`, () => {
		it("calls timers in the order of their time, those of one time in the order in which they were set", async () => {
			const { clock, until } = open();
			const called: string[] = [];
			for (const [what, delayMs] of [
				["c", 40],
				["a", 10],
				["b", 20],
				["b again", 20],
			] as const)
				clock.after(delayMs, () => called.push(what));
			expect(called).toEqual([]);
			await until("four timers", () => called.length >= 4);
			expect(called).toEqual(["a", "b", "b again", "c"]);
		});

		it("calls a timer once, no sooner than its delay, and never in the call that sets it", async () => {
			const { clock, until } = open();
			const startedAt = clock.monotonic();
			const calledAt: number[] = [];
			clock.after(30, () => calledAt.push(clock.monotonic()));
			let atOnce = 0;
			clock.after(0, () => atOnce++);
			expect(atOnce).toBe(0);
			let isLater = false;
			clock.after(60, () => (isLater = true));
			await until("the later timer", () => isLater);
			expect([calledAt.length, atOnce]).toEqual([1, 1]);
			// The machine's timers count whole milliseconds and may be one early.
			expect((calledAt[0] as number) - startedAt).toBeGreaterThanOrEqual(29);
		});

		it("calls what a timer sets from within its own call", async () => {
			const { clock, until } = open();
			const called: string[] = [];
			clock.after(5, () => {
				called.push("first");
				clock.after(5, () => called.push("second"));
			});
			await until("both", () => called.length === 2);
			expect(called).toEqual(["first", "second"]);
		});

		it.each([2 ** 31, 2 ** 33, Number.MAX_SAFE_INTEGER])("holds a wait of %i ms, and ends it when it is told to", async (longMs) => {
			const { clock, until } = open();
			const called: string[] = [];
			const timer = clock.after(longMs, () => called.push("timer"));
			const stop = new AbortController();
			let ended: unknown = null;
			clock.sleep(longMs, stop.signal).then(
				() => (ended = "slept"),
				(error) => (ended = error),
			);
			let isLater = false;
			clock.after(40, () => (isLater = true));
			await until("a timer of 40 ms", () => isLater);
			expect([called, ended]).toEqual([[], null]);
			timer.cancel();
			const reason = new Error("closing");
			stop.abort(reason);
			clock.after(40, () => {});
			await until("the sleeper", () => ended !== null);
			expect([called, ended]).toEqual([[], reason]);
		});

		it("never calls a cancelled timer, and may be told twice, or when it is too late", async () => {
			const { clock, until } = open();
			const called: string[] = [];
			const cancelled = clock.after(20, () => called.push("cancelled"));
			const inTime = clock.after(20, () => called.push("kept"));
			clock.after(10, () => cancelled.cancel());
			let isLater = false;
			clock.after(40, () => (isLater = true));
			await until("the later timer", () => isLater);
			cancelled.cancel();
			inTime.cancel();
			expect(called).toEqual(["kept"]);
		});

		it("sleeps as long as it is told to", async () => {
			const { clock, until } = open();
			const startedAt = clock.monotonic();
			let sleptMs = 0;
			const slept = clock.sleep(30).then(() => (sleptMs = clock.monotonic() - startedAt));
			await until("the sleeper", () => sleptMs > 0);
			await slept;
			expect(sleptMs).toBeGreaterThanOrEqual(29);
		});

		it("ends a sleep at once where its signal is aborted, with the signal's reason", async () => {
			const { clock, until } = open();
			const stop = new AbortController();
			const reason = new Error("closing");
			let ended: unknown = null;
			clock.sleep(3_600_000, stop.signal).then(
				() => (ended = "slept"),
				(error) => (ended = error),
			);
			const startedAt = clock.monotonic();
			clock.after(10, () => stop.abort(reason));
			await until("the sleeper", () => ended !== null);
			expect(ended).toBe(reason);
			expect(clock.monotonic() - startedAt).toBeLessThan(60_000);
		});

		it("doesn't begin a sleep whose signal is aborted already", async () => {
			const { clock } = open();
			const reason = new Error("closed");
			await expect(clock.sleep(3_600_000, AbortSignal.abort(reason))).rejects.toBe(reason);
		});

		it("has forgotten the signal of a sleep that ended", async () => {
			const { clock, until } = open();
			const stop = new AbortController();
			let isSlept = false;
			const slept = clock.sleep(5, stop.signal).then(() => (isSlept = true));
			expect(getEventListeners(stop.signal, "abort")).toHaveLength(1);
			await until("the sleeper", () => isSlept);
			expect(getEventListeners(stop.signal, "abort")).toEqual([]);
			stop.abort(new Error("too late"));
			await expect(slept).resolves.toBe(true);
		});

		it("counts monotonic time forward only, whatever happens to the wall's", async () => {
			const { clock, until, jump } = open();
			const seen = [clock.monotonic()];
			for (const delayMs of [5, 10, 15]) clock.after(delayMs, () => seen.push(clock.monotonic()));
			const wall = clock.now();
			jump?.(-3_600_000);
			seen.push(clock.monotonic());
			if (jump) expect(clock.now()).toBe(wall - 3_600_000);
			await until("three timers", () => seen.length === 5);
			expect(seen).toEqual([...seen].sort((left, right) => left - right));
			expect((seen[4] as number) - (seen[0] as number)).toBeLessThan(60_000);
			expect(Number.isInteger(clock.now())).toBe(true);
		});
	});
}
