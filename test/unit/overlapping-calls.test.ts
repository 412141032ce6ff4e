import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/core/random.ts";
import { type OverlappingResult, overlap } from "../../src/worker/overlapping-calls.ts";
import { settle } from "../support/manual-clock.ts";

/** Calls that the test answers one by one. */
function start(keys: readonly (string | null)[], limit: number, isEnough = () => false) {
	const began: number[] = [];
	const done: number[] = [];
	const pending = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
	let running: [number | null, number] = [null, 0];
	let result: OverlappingResult | null = null;
	void overlap({
		count: keys.length,
		limit,
		isEnough,
		keyOf: (index) => keys[index] ?? null,
		call: (index) => {
			began.push(index);
			return new Promise<void>((resolve, reject) => pending.set(index, { resolve, reject }));
		},
		done: (index) => done.push(index),
		running: (oldest, count) => (running = [oldest?.index ?? null, count]),
	}).then((ended) => (result = ended));
	const answer = async (index: number, error?: Error) => {
		const call = pending.get(index);
		pending.delete(index);
		if (error) call?.reject(error);
		else call?.resolve();
		await settle();
	};
	return { began, done, answer, pending, running: () => running, result: () => result };
}

describe("overlapping calls", () => {
	it("are at most so many, different keys at a time", () => {
		const calls = start(["a", "b", "c", "d"], 3);
		expect([calls.began, calls.running()]).toEqual([
			[0, 1, 2],
			[0, 3],
		]);
	});

	it("never overlap for one key, and keep its order; other keys pass by", async () => {
		const calls = start(["a", "a", "b", "a", "b"], 2);
		expect(calls.began).toEqual([0, 2]);
		await calls.answer(2);
		expect(calls.began).toEqual([0, 2, 4]);
		await calls.answer(0);
		expect(calls.began).toEqual([0, 2, 4, 1]);
		await calls.answer(1);
		expect(calls.began).toEqual([0, 2, 4, 1, 3]);
		await calls.answer(4);
		await calls.answer(3);
		expect(calls.result()).toEqual({ taken: 5, failure: null, unhandled: [] });
	});

	it("are unordered without a key", () => {
		expect(start([null, null, null], 2).began).toEqual([0, 1]);
	});

	it("take nothing more where it is enough, and finish what was taken, what waits for its key included", async () => {
		let isEnough = false;
		const calls = start(["a", "a", "b", "c", "d"], 2, () => isEnough);
		expect(calls.began).toEqual([0, 2]);
		isEnough = true;
		await calls.answer(2);
		await calls.answer(0);
		expect([calls.began, calls.result()]).toEqual([[0, 2, 1], null]);
		await calls.answer(1);
		expect(calls.result()).toEqual({ taken: 3, failure: null, unhandled: [] });
	});

	it("take one message at least", async () => {
		const calls = start(["a", "b"], 2, () => true);
		await calls.answer(0);
		expect(calls.result()).toEqual({ taken: 1, failure: null, unhandled: [] });
	});

	it("begin nothing after a failure, finish what runs, and tell what is left", async () => {
		const calls = start(["a", "b", "c", "a", "d"], 3);
		const error = new Error("boom");
		await calls.answer(1, error);
		expect([calls.began, calls.result()]).toEqual([[0, 1, 2], null]);
		await calls.answer(2);
		await calls.answer(0);
		expect(calls.result()).toEqual({ taken: 5, failure: { index: 1, error }, unhandled: [1, 3, 4] });
		expect(calls.done).toEqual([2, 0]);
	});

	it("name the one that has run longest", async () => {
		const calls = start(["a", "b", "c"], 2);
		await calls.answer(0);
		expect(calls.running()).toEqual([1, 2]);
	});

	it.each([1, 2, 3])("keep every key's order under any timing (seed %i)", async (seed) => {
		const random = seededRandom(seed);
		const keys = Array.from({ length: 300 }, () => (random() < 0.1 ? null : `k${Math.floor(random() * 8)}`));
		const calls = start(keys, 5);
		const lastOf = new Map<string, number>();
		for (let guard = 0; calls.result() === null && guard < 1_000; guard++) {
			const waiting = [...calls.pending.keys()];
			expect(waiting.length).toBeLessThanOrEqual(5);
			const busy = waiting.map((index) => keys[index]).filter((key) => key !== null);
			expect(new Set(busy).size).toBe(busy.length);
			await calls.answer(waiting[Math.floor(random() * waiting.length)] as number);
		}
		expect(calls.done).toHaveLength(300);
		for (const index of calls.done) {
			const key = keys[index];
			if (typeof key !== "string") continue;
			expect(index).toBeGreaterThan(lastOf.get(key) ?? -1);
			lastOf.set(key, index);
		}
	});
});
