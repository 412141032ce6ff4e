import { describe, expect, it } from "vitest";
import type { Clock } from "../../../src/core/clock.ts";
import { formatSummary, type SummaryFigures, startSummary } from "../../../src/embedded/summary-line.ts";

const zero: SummaryFigures = {
	messages: 0,
	inserted: 0,
	updated: 0,
	deleted: 0,
	stale: 0,
	restarts: 0,
	deadLetters: 0,
	lag: null,
	notReady: ["starting"],
};

/** A clock whose only timer fires by hand. */
function oneTimer(): Clock & { fire(): void; pending(): boolean } {
	let callback: (() => void) | null = null;
	let now = 0;
	return {
		now: () => now,
		monotonic: () => now,
		sleep: () => Promise.reject(new Error("not used")),
		after(delayMs, then) {
			callback = () => {
				now += delayMs;
				then();
			};
			return { cancel: () => (callback = null) };
		},
		fire: () => callback?.(),
		pending: () => callback !== null,
	};
}

describe("summary line", () => {
	it("shows rates and rows of the interval, lag, restarts and readiness", () => {
		const before = { ...zero, messages: 100, inserted: 10, updated: 80, stale: 5, deleted: 1 };
		const after = { ...zero, messages: 140, inserted: 13, updated: 110, stale: 7, deleted: 1, lag: 4, restarts: 1, notReady: [] };
		const line = formatSummary(before, after, 2);
		expect(line.length).toBeLessThanOrEqual(80);
		expect(line).toBe("20 msg/s · 3 inserted, 30 updated, 2 stale · lag 4 · restarts 1 · ready");
	});

	it("shows deletes where there were some", () => {
		const line = formatSummary({ ...zero, deleted: 3 }, { ...zero, inserted: 1, updated: 2, deleted: 7, stale: 8 }, 1);
		expect(line).toContain(" · 1 inserted, 2 updated, 4 deleted, 8 stale · ");
	});

	it("says why it is not ready, and how many dead letters there are", () => {
		const after = { ...zero, deadLetters: 2, notReady: ["database", "parked orders/2"] };
		expect(formatSummary(zero, after, 1)).toContain("lag ? · restarts 0 · dead letters 2 · not ready: database, parked orders/2");
	});

	it("comes once a second on a terminal until disposed", () => {
		const clock = oneTimer();
		const lines: string[] = [];
		let figures = zero;
		const terminal = { isTTY: true, write: (text: string) => lines.push(text) };
		const summary = startSummary({ terminal, clock, read: () => figures });
		figures = { ...zero, messages: 20 };
		clock.fire();
		clock.fire();
		expect(lines.map((line) => line.split(" · ")[0])).toEqual(["20 msg/s", "0 msg/s"]);
		summary[Symbol.dispose]();
		expect(clock.pending()).toBe(false);
	});

	it("is not written to a pipe", () => {
		const clock = oneTimer();
		startSummary({ terminal: { write: () => expect.unreachable() }, clock, read: () => zero });
		expect(clock.pending()).toBe(false);
	});
});
