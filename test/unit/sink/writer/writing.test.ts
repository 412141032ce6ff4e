import { expect, it } from "vitest";
import { Semaphore } from "../../../../src/core/waiting/semaphore.ts";
import { Samples, Writing, type WritingParts } from "../../../../src/sink/writer/writing.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";
import { layoutOf } from "../../../support/fakes/row-submissions.ts";

it("of each topic twenty timestamps are kept, and a missing one as such", () => {
	const samples = new Samples();
	samples.add("a", 15, (index) => 100 + index);
	samples.add("b", 3, (index) => [-1, 0, 1][index] as number);
	samples.add("a", 15, (index) => 200 + index);
	expect(samples.all).toEqual([
		{ topic: "a", timestamps: [...Array(15).keys()].map((index) => 100 + index).concat([200, 201, 202, 203, 204]) },
		{ topic: "b", timestamps: [-1, -1, 1] },
	]);
});

it("a statement's time is its own, without the wait for a connection", async () => {
	const clock = new ManualClock();
	const writing = new Writing(layoutOf(), { clock, slots: new Semaphore(1) } as unknown as WritingParts);
	const both = Promise.all([700, 40].map((ms) => writing.timed(() => clock.sleep(ms).then(() => `after ${ms}`))));
	await clock.advance(740);
	expect(await both).toEqual([
		{ answer: "after 700", durationMs: 700 },
		{ answer: "after 40", durationMs: 40 },
	]);
});
