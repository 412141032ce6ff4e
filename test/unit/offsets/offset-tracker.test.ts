import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/core/random.ts";
import { OffsetTracker } from "../../../src/kafka/offsets/offset-tracker.ts";

describe("OffsetTracker", () => {
	it("holds the committable offset at the first unfinished message", () => {
		const tracker = new OffsetTracker(10);
		expect(tracker.committable).toBe(10);
		tracker.received([10, 11, 12]);
		tracker.finished(12);
		tracker.finished(11);
		expect(tracker.committable).toBe(10);
		tracker.finished(10);
		expect([tracker.committable, tracker.unfinished]).toEqual([13, 0]);
	});

	it("counts only what was received, so gaps of compacted and transactional logs don't block", () => {
		const tracker = new OffsetTracker(0);
		tracker.received([3, 7, 100]);
		expect(tracker.committable).toBe(3);
		tracker.finished(3);
		expect(tracker.committable).toBe(7);
		tracker.finished(7);
		tracker.finished(100);
		expect(tracker.committable).toBe(101);
	});

	it("goes to the end of the partition once everything before it is finished", () => {
		const tracker = new OffsetTracker(0);
		tracker.received([0]);
		tracker.endOfPartition(5);
		expect(tracker.committable).toBe(0);
		tracker.finished(0);
		expect(tracker.committable).toBe(5);
		tracker.endOfPartition(4);
		expect(tracker.position).toBe(5);
	});

	it("takes no notice of what it never received or finished already", () => {
		const tracker = new OffsetTracker(0);
		tracker.received([1, 2]);
		expect([tracker.finished(0), tracker.finished(3), tracker.finished(2), tracker.finished(2)]).toEqual([false, false, true, false]);
		expect(tracker.committable).toBe(1);
	});

	it.each([1, 2, 3, 4])("agrees with a list of everything unfinished, whatever the order (seed %i)", (seed) => {
		const random = seededRandom(seed);
		const tracker = new OffsetTracker(0);
		const unfinished = new Set<number>();
		let received: number[] = [];
		let next = 0;
		for (let step = 0; step < 600; step++) {
			if (random() < 0.3) {
				const offsets = Array.from({ length: Math.floor(random() * 40) }, () => {
					next += 1 + Math.floor(random() * 3);
					return next - 1;
				});
				tracker.received(offsets);
				for (const offset of offsets) unfinished.add(offset);
				received.push(...offsets);
			} else if (unfinished.size > 0) {
				const waiting = [...unfinished];
				const offset = waiting[Math.floor(random() * Math.min(waiting.length, 50))] as number;
				tracker.finished(offset);
				unfinished.delete(offset);
			}
			const committable = unfinished.size > 0 ? Math.min(...unfinished) : next;
			received = received.filter((offset) => offset >= committable);
			expect([tracker.committable, tracker.unfinished]).toEqual([committable, received.length]);
		}
	});
});
