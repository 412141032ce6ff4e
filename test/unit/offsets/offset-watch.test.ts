/** Who looks now and then is the only one to notice that a database is away from a daemon without messages. */
import { expect, it } from "vitest";
import { OffsetWatch } from "../../../src/kafka/offsets/offset-watch.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

it("looks that fail twice in a row are told since the first of them, until one goes well", async () => {
	const clock = new ManualClock();
	let answer = () => Promise.reject(new Error("away"));
	const watch = new OffsetWatch(clock, () => answer());
	watch.start();
	await clock.advance(5_000);
	expect(watch.failing).toBe(null);
	const first = clock.now();
	await clock.advance(5_000);
	expect(watch.failing).toEqual({ error: new Error("away"), sinceMs: first });
	await clock.advance(5_000);
	expect(watch.failing?.sinceMs).toBe(first);
	answer = () => Promise.resolve() as Promise<never>;
	await clock.advance(5_000);
	expect(watch.failing).toBe(null);
	watch.dispose();
	await clock.advance(5_000);
	expect(clock.pending).toEqual([]);
});
