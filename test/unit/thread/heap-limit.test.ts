import { beforeEach, describe, expect, it } from "vitest";
import { HeapLimit } from "../../../src/worker/inside/heap-limit.ts";

const MIB = 2 ** 20;

let live: number;
let garbage: number;
let now: number;
let collections: number;
let heap: HeapLimit;

beforeEach(() => {
	[live, garbage, now, collections] = [10 * MIB, 0, 0, 0];
	heap = new HeapLimit(100, {
		held: () => live + garbage,
		collect: async () => {
			collections++;
			now += 100;
			garbage = 0;
		},
		now: () => now,
	});
	heap.begun();
});

describe("the memory that a thread holds", () => {
	it("is too much above three quarters of the limit", async () => {
		live = 75 * MIB;
		expect(heap.looksFull).toBe(false);
		live = 76 * MIB;
		expect(heap.looksFull).toBe(true);
		expect(await heap.tooMuch()).toBe(76);
	});

	it("is not judged by its garbage, which takes a tenth of the time at the most to collect", async () => {
		garbage = 80 * MIB;
		expect(heap.looksFull).toBe(true);
		expect([await heap.tooMuch(), collections]).toEqual([null, 1]);
		garbage = 80 * MIB;
		now = 1_099;
		expect(heap.looksFull).toBe(false);
		garbage = 85 * MIB;
		expect(heap.looksFull).toBe(true);
		garbage = 80 * MIB;
		now = 1_100;
		expect(heap.looksFull).toBe(true);
	});

	it("is looked at again behind a collection as soon as half of what was free is gone", async () => {
		[live, garbage] = [60 * MIB, 20 * MIB];
		expect(await heap.tooMuch()).toBe(null);
		now = 60_000;
		live = 79 * MIB;
		expect(heap.looksFull).toBe(false);
		live = 81 * MIB;
		expect([heap.looksFull, await heap.tooMuch()]).toEqual([true, 81]);
	});

	it("counts for a partition that begins later only by what it adds", async () => {
		live = 60 * MIB;
		const { held } = heap;
		live = 62 * MIB;
		heap.begun(held);
		live = 76 * MIB;
		expect([heap.looksFull, await heap.tooMuch()]).toEqual([true, 76]);
	});

	it("counts for a partition no more when it has ended: one that comes again and again adds nothing", async () => {
		for (let times = 0; times < 10; times++) {
			const { held } = heap;
			live += 20 * MIB;
			const bytes = heap.begun(held);
			live -= 20 * MIB;
			heap.ended(bytes);
		}
		live = 76 * MIB;
		expect([heap.looksFull, await heap.tooMuch()]).toEqual([true, 76]);
	});

	it("may be much from the handler's init on: then only what is gathered beyond it counts", async () => {
		const { held } = heap;
		live = 80 * MIB;
		heap.begun(held);
		expect(heap.looksFull).toBe(false);
		live = 121 * MIB;
		expect(await heap.tooMuch()).toBe(121);
	});
});
