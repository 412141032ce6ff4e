import { describe, expect, it } from "vitest";
import { type EndedThread, StuckThreads } from "../../../src/worker/thread/stuck-threads.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const thread = (offset: number | null, over: Partial<EndedThread> = {}): EndedThread => ({
	id: 7,
	module: "./handler.mjs",
	phase: "handle",
	partition: { topic: "orders", partition: 3 },
	offset,
	why: "the handler's call took longer than handler.timeoutMs (100 ms)",
	...over,
});

function open(limit?: number) {
	const clock = new ManualClock();
	const told: string[] = [];
	const stuck = new StuckThreads({ clock, tooMany: (reason) => told.push(reason), ...(limit === undefined ? {} : { limit }) });
	/** Told to end: `over` is true once nobody waits for it any more, `die` lets it go. */
	const end = (each: EndedThread) => {
		let die = () => {};
		const gone = new Promise<void>((resolve) => (die = resolve));
		const state = { over: false, die: () => die() };
		void stuck.leave(each, gone).then(() => (state.over = true));
		return state;
	};
	return { clock, stuck, told, end };
}

describe("a thread that was told to end", () => {
	it("and ends within its grace is none of them", async () => {
		const { clock, stuck, end } = open();
		const ending = end(thread(5));
		await clock.advance(900);
		expect([ending.over, stuck.count]).toEqual([false, 0]);
		ending.die();
		await clock.advance(5_000);
		expect([ending.over, stuck.count, stuck.problems]).toEqual([true, 0, []]);
	});

	it("and doesn't is left after a second, and told with its place, for as long as it lives", async () => {
		const { clock, stuck, end } = open();
		const since = clock.now();
		const ending = end(thread(5));
		await clock.advance(1_000);
		expect([ending.over, stuck.count]).toEqual([true, 1]);
		expect(stuck.problems).toEqual([
			{ code: "thread_stuck", where: { topic: "orders", partition: 3 }, sinceMs: since, message: expect.any(String) },
		]);
		expect(stuck.problems[0]?.message).toMatch(
			/^thread 7 of \.\/handler\.mjs stands in the handler's call of offset 5, and can't be ended \(the handler's call took longer .*look in that module/,
		);
		ending.die();
		await clock.advance(0);
		expect([stuck.count, stuck.problems]).toEqual([0, []]);
	});

	it.each([
		[thread(null, { phase: "load" }), "stands in the load, and"],
		[thread(null, { phase: "terminate" }), "stands in terminate, and"],
		[thread(null, { phase: "idle", partition: null }), "stands between two calls, and"],
	])("outside a call is told with its last phase", async (each, words) => {
		const { clock, stuck, end } = open();
		end(each);
		await clock.advance(1_000);
		expect(stuck.problems).toMatchObject([{ where: each.partition, message: expect.stringContaining(words) }]);
	});

	it("is one too many beyond the limit, of those that live", async () => {
		const { clock, told, end } = open(2);
		const [first] = [end(thread(1)), end(thread(2))];
		await clock.advance(1_000);
		first?.die();
		await clock.advance(0);
		end(thread(3));
		await clock.advance(1_000);
		expect(told).toEqual([]);
		end(thread(4));
		await clock.advance(1_000);
		expect(told).toEqual([expect.stringMatching(/^3 handler threads can't be ended, more than 2; the last one: thread 7 .* of offset 4$/)]);
	});
});
