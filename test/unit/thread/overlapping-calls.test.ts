import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/core/random.ts";
import { type OverlappingFailure, overlap } from "../../../src/worker/inside/overlapping-calls.ts";
import { settle } from "../../support/fakes/manual-clock.ts";

type May = (begun: number) => boolean | Promise<void>;

/** Calls that the test answers one by one. */
function start(keys: readonly (string | null)[], limit: number, mayBegin: May = () => true) {
	const began: number[] = [];
	const done: number[] = [];
	const pending = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
	/** Slot to message. */
	const slots = new Map<number, number>();
	let result: OverlappingFailure | undefined;
	void overlap({
		count: keys.length,
		limit,
		mayBegin,
		keyOf: (index) => keys[index] ?? null,
		call: (index) => {
			began.push(index);
			return new Promise<void>((resolve, reject) => pending.set(index, { resolve, reject }));
		},
		done: (index) => done.push(index),
		begins: (slot, index) => {
			if (slots.has(slot) || slot >= limit) throw new Error(`slot ${slot} is not free`);
			slots.set(slot, index);
		},
		ended: (slot) => slots.delete(slot),
	}).then((failure) => (result = failure));
	const answer = async (index: number, error?: Error) => {
		const call = pending.get(index);
		pending.delete(index);
		if (error) call?.reject(error);
		else call?.resolve();
		await settle();
	};
	return { began, done, answer, pending, slots, running: () => [...slots.values()].sort(), result: () => result };
}

describe("overlapping calls", () => {
	it("are at most so many, different keys at a time", () => {
		const calls = start(["a", "b", "c", "d"], 3);
		expect([calls.began, calls.running()]).toEqual([
			[0, 1, 2],
			[0, 1, 2],
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
		expect(calls.result()).toBe(null);
	});

	it("are unordered without a key", () => {
		expect(start([null, null, null], 2).began).toEqual([0, 1]);
	});

	it("begin no more where they may not, and finish what runs; what waits for its key is left", async () => {
		let isEnough = false;
		const calls = start(["a", "a", "b", "c", "d"], 2, () => !isEnough);
		expect(calls.began).toEqual([0, 2]);
		isEnough = true;
		await calls.answer(2);
		expect(calls.result()).toBe(undefined);
		await calls.answer(0);
		expect([calls.began, calls.done, calls.result()]).toEqual([[0, 2], [2, 0], null]);
	});

	it("ask before each call how many were begun", async () => {
		const calls = start(["a", "b", "c"], 3, (begun) => begun < 2);
		expect(calls.began).toEqual([0, 1]);
	});

	it("are held up, with those that run, until they may go on, and keep their order", async () => {
		let goOn: () => void = () => {};
		let isHeldUp = false;
		const calls = start(["a", "b", "a", "c"], 2, () => !isHeldUp || new Promise<void>((resolve) => (goOn = resolve)));
		isHeldUp = true;
		await calls.answer(0);
		await calls.answer(1);
		expect([calls.began, calls.result()]).toEqual([[0, 1], undefined]);
		isHeldUp = false;
		goOn();
		await settle();
		expect(calls.began).toEqual([0, 1, 2, 3]);
		await calls.answer(3);
		await calls.answer(2);
		expect(calls.result()).toBe(null);
	});

	it("begin nothing after a failure, and finish what runs", async () => {
		const calls = start(["a", "b", "c", "a", "d"], 3);
		const error = new Error("boom");
		await calls.answer(1, error);
		expect([calls.began, calls.result()]).toEqual([[0, 1, 2], undefined]);
		await calls.answer(2);
		await calls.answer(0);
		expect(calls.result()).toEqual({ index: 1, error });
		expect(calls.done).toEqual([2, 0]);
	});

	it("have a slot of their own while they run", async () => {
		const calls = start(["a", "b", "c"], 2);
		const slotOfB = [...calls.slots].find(([, index]) => index === 1)?.[0];
		await calls.answer(0);
		expect(calls.running()).toEqual([1, 2]);
		expect([...calls.slots].find(([, index]) => index === 1)?.[0]).toBe(slotOfB);
	});

	it("count a throw of what was returned, when it is looked at, as the message's own", async () => {
		const name = "then";
		const strange = {
			get [name]() {
				throw new Error("no then");
			},
		};
		const failure = await overlap({
			count: 1,
			limit: 2,
			mayBegin: () => true,
			keyOf: () => null,
			call: () => strange,
			done: () => {},
			begins: () => {},
			ended: () => {},
		});
		expect(failure).toMatchObject({ index: 0, error: { message: "no then" } });
	});

	it("go by the key that a message had when it was taken", async () => {
		const keys = ["a", "a", "b"];
		const began: number[] = [];
		const failure = await overlap({
			count: 3,
			limit: 2,
			mayBegin: () => true,
			keyOf: (index) => keys[index] as string,
			call: async (index) => {
				began.push(index);
				keys[index] = `changed ${index}`;
			},
			done: () => {},
			begins: () => {},
			ended: () => {},
		});
		expect([failure, began]).toEqual([null, [0, 2, 1]]);
	});

	it.each([1, 2, 3])("keep every key's order under any timing (seed %i)", async (seed) => {
		const random = seededRandom(seed);
		const keys = Array.from({ length: 300 }, () => (random() < 0.1 ? null : `k${Math.floor(random() * 8)}`));
		const calls = start(keys, 5);
		const lastOf = new Map<string, number>();
		for (let guard = 0; calls.result() === undefined && guard < 1_000; guard++) {
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
