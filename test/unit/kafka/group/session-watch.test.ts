/** Whether the group may have given this member up. */
import { beforeEach, expect, it } from "vitest";
import { SessionWatch } from "../../../../src/kafka/group/session-watch.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

let clock: ManualClock;
let watch: SessionWatch;

beforeEach(() => {
	clock = new ManualClock();
	watch = new SessionWatch(clock, 10_000);
});

it("not before it polled, nor while it polls within its session", async () => {
	await clock.advance(60_000);
	watch.polling();
	expect(watch.isLost).toBe(false);
	await clock.advance(10_000);
	watch.polling();
	expect([watch.isLost, watch.timeoutMs]).toEqual([false, 10_000]);
});

it("where it was frozen for longer than a session: until it would have heard of it", async () => {
	watch.polling();
	await clock.advance(10_001);
	watch.polling();
	expect(watch.isLost).toBe(true);
	await clock.advance(14_999);
	watch.polling();
	expect(watch.isLost).toBe(true);
});

it("no more fifteen seconds after it woke up, where it polled meanwhile", async () => {
	watch.polling();
	await clock.advance(10_001);
	watch.polling();
	for (let second = 0; second < 15; second++) {
		await clock.advance(1_000);
		watch.polling();
	}
	expect(watch.isLost).toBe(false);
});

it("where the client says so, until it was given partitions anew", async () => {
	watch.polling();
	watch.lost();
	await clock.advance(600_000);
	expect(watch.isLost).toBe(true);
	watch.begun();
	expect(watch.isLost).toBe(false);
});

it("not by a sleep from before the partitions that it was given", async () => {
	watch.polling();
	await clock.advance(10_001);
	watch.polling();
	watch.begun();
	expect(watch.isLost).toBe(false);
});
