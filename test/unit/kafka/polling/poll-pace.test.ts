import { describe, expect, it } from "vitest";
import { waitForRoom } from "../../../../src/kafka/polling/poll-pace.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

const never = new AbortController().signal;

describe("the pace of polls", () => {
	it("is full where nothing is crowded", async () => {
		const clock = new ManualClock();
		expect(await waitForRoom(() => false, clock, never)).toBe(false);
		expect(clock.pending).toEqual([]);
	});

	it("waits for room, and no longer than until there is some", async () => {
		const clock = new ManualClock();
		let isCrowded = true;
		const waited = waitForRoom(() => isCrowded, clock, never);
		await clock.advance(20);
		isCrowded = false;
		await clock.advance(5);
		expect([await waited, clock.pending]).toEqual([false, []]);
	});

	it("lets a poll happen every tenth of a second all the same, and says that it is still crowded", async () => {
		const clock = new ManualClock();
		let answer: boolean | null = null;
		void waitForRoom(() => true, clock, never).then((isCrowded) => (answer = isCrowded));
		await clock.advance(95);
		expect(answer).toBeNull();
		await clock.advance(5);
		expect(answer).toBe(true);
	});

	it("waits no more once the consumer closes", async () => {
		const closing = new AbortController();
		const waited = waitForRoom(() => true, new ManualClock(), closing.signal);
		closing.abort(new Error("closing"));
		expect(await waited).toBe(true);
	});
});
