import { expect, it } from "vitest";
import type { WantedOffset } from "../../../src/core/offsets/set-offset.ts";
import { OffsetRequests, type OffsetRequestsParts } from "../../../src/kafka/offsets/offset-requests.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";

const wanted = (to = 5, partition = 0): WantedOffset[] => [{ topic: "t", partition, to }];

function open(over: Partial<OffsetRequestsParts> = {}) {
	const clock = new ManualClock();
	const moved: number[] = [];
	const requests = new OffsetRequests({
		clock,
		isAssigned: ({ partition }) => partition === 0,
		watermarks: async () => ({ low: 2, high: 9 }),
		move: async (all) => {
			moved.push(...all.map(({ to }) => to));
			return all.map((each) => ({ ...each, committed: 3, again: 0, passedOver: 2 }));
		},
		...over,
	});
	return { clock, moved, requests };
}

it("answers what was set, and the same request again without doing it again", async () => {
	const { requests, moved, clock } = open();
	const done = { outcome: "set", offsets: [{ topic: "t", partition: 0, to: 5, committed: 3, again: 0, passedOver: 2 }] };
	expect([await requests.ask("a", wanted()), await requests.ask("a", wanted())]).toEqual([done, done]);
	expect(moved).toEqual([5]);
	await requests.ask("b", wanted(6));
	expect(moved).toEqual([5, 6]);
	expect(clock.pending).toEqual([]);
});

it("says after a moment that it is under way; meanwhile it is busy for others", async () => {
	let finish: () => void = () => {};
	const { requests, clock } = open({ move: () => new Promise((resolve) => (finish = () => resolve([]))) });
	const first = requests.ask("a", wanted());
	await settle();
	expect(await requests.ask("b", wanted())).toEqual({ outcome: "busy" });
	await clock.advance(3_000);
	expect(await first).toEqual({ outcome: "asked" });
	finish();
	expect(await requests.ask("a", wanted())).toEqual({ outcome: "set", offsets: [] });
	expect(await requests.ask("a", wanted())).toEqual({ outcome: "set", offsets: [] });
});

it.each([
	[wanted(10), "offset 10 is outside the log of t/0, which has 2 to 9; nothing was changed"],
	[wanted(1), "offset 1 is outside the log of t/0, which has 2 to 9; nothing was changed"],
	[[...wanted(5), ...wanted(6)], "t/0 is named twice; nothing was changed"],
	[[...wanted(5), ...wanted(5, 1)], "t/1 is not assigned to this member; nothing was changed"],
])("refuses all where one can't be set", async (offsets, why) => {
	const { requests, moved } = open();
	expect(await requests.ask("a", offsets)).toEqual({ outcome: "refused", why });
	expect(moved).toEqual([]);
});

it("takes the log's first offset, and its end", async () => {
	const { requests, moved } = open();
	expect([await requests.ask("a", wanted(2)), await requests.ask("b", wanted(9))]).toMatchObject([{ outcome: "set" }, { outcome: "set" }]);
	expect(moved).toEqual([2, 9]);
});

it("refuses where a broker doesn't answer, or a rebalance is under way", async () => {
	const away = open({ watermarks: () => Promise.reject(new Error("broker away")) });
	expect(await away.requests.ask("a", wanted())).toEqual({ outcome: "refused", why: "broker away; nothing was changed" });
	const changing = open({ move: async () => null });
	expect(await changing.requests.ask("a", wanted())).toMatchObject({ outcome: "refused", why: expect.stringContaining("rebalance") });
});
