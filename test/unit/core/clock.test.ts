/** The machine's clock: what the contract of clocks does not say. */
import { expect, it, vi } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";

it("a timer keeps no process alive, a sleep does", async () => {
	const alive = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
	const before = alive();
	const timer = systemClock.after(60_000, () => {});
	expect(alive()).toBe(before);
	timer.cancel();
	const ended = new AbortController();
	const sleeping = systemClock.sleep(60_000, ended.signal);
	expect(alive()).toBe(before + 1);
	ended.abort(new Error("enough"));
	await expect(sleeping).rejects.toThrow();
});

it("a timer may be longer than any of Node's", () => {
	vi.useFakeTimers();
	try {
		let times = 0;
		const longMs = 2 * (2 ** 31 - 1) + 5_000;
		systemClock.after(longMs, () => times++);
		vi.advanceTimersByTime(longMs - 1);
		expect(times).toBe(0);
		vi.advanceTimersByTime(1);
		expect(times).toBe(1);
	} finally {
		vi.useRealTimers();
	}
});
