import { describe, expect, it } from "vitest";
import { RestartIntensity } from "../../../src/supervisor/restart-intensity.ts";
import { RestartBackOff } from "../../../src/worker/failures/restart-back-off.ts";

describe("restart intensity", () => {
	const exceededAt = (times: readonly number[], bounds = { maxRestarts: 2, withinMs: 100 }, progress = true) => {
		const intensity = new RestartIntensity(bounds);
		return times.map((at) => {
			if (progress) intensity.progressed();
			return intensity.restarted(at);
		});
	};

	it("is exceeded by more than maxRestarts within withinMs, although there was progress in between", () => {
		expect(exceededAt([0, 50, 99])).toEqual([false, false, true]);
	});

	it("forgets restarts older than the period", () => {
		expect(exceededAt([0, 50, 100, 151, 201])).toEqual([false, false, false, false, false]);
	});

	it("is exceeded by more than maxRestarts in a row whatever the time", () => {
		expect(exceededAt([0, 1_000, 2_000], undefined, false)).toEqual([false, false, true]);
	});

	it("begins a new row with progress", () => {
		const intensity = new RestartIntensity({ maxRestarts: 2, withinMs: 100 });
		expect([0, 1_000].map((at) => intensity.restarted(at))).toEqual([false, false]);
		intensity.progressed();
		expect([2_000, 3_000, 4_000].map((at) => intensity.restarted(at))).toEqual([false, false, true]);
	});

	it("allows none where maxRestarts is 0", () => {
		expect(exceededAt([0], { maxRestarts: 0, withinMs: 100 })).toEqual([true]);
	});

	it("begins anew for a person or a changed file, and counts failed attempts only as failures in a row", () => {
		const intensity = new RestartIntensity({ maxRestarts: 1, withinMs: 100 });
		intensity.failed();
		intensity.failed();
		expect([intensity.restarted(0), intensity.failuresInARow]).toEqual([false, 3]);
		intensity.reset();
		expect([intensity.failuresInARow, intensity.restarted(1)]).toEqual([0, false]);
	});
});

describe("restart back-off", () => {
	// Jitter is between half and the whole: the whole here.
	const backOff = () => new RestartBackOff({ minMs: 50, maxMs: 400 }, () => 1);

	it("doubles from minBackoffMs to maxBackoffMs while there is no progress", () => {
		const waits = backOff();
		expect([0, 1_000, 10_000, 20_000, 30_000].map((at) => waits.next(at))).toEqual([50, 100, 200, 400, 400]);
	});

	it("stays within half and the whole of it by jitter", () => {
		const waits = new RestartBackOff({ minMs: 50, maxMs: 400 }, () => 0);
		expect([waits.next(0), waits.next(1)]).toEqual([25, 50]);
	});

	it("begins anew after a good stretch: progress for as long as the last wait, not less", () => {
		const waits = backOff();
		waits.next(0);
		waits.progressed();
		// Went on at 50, died again at 99: short of 50 ms.
		expect(waits.next(99)).toBe(100);
		waits.progressed();
		// Went on at 199, died at 299.
		expect(waits.next(299)).toBe(50);
	});

	it("does not take time without progress for a good stretch", () => {
		const waits = backOff();
		waits.next(0);
		expect(waits.next(60_000)).toBe(100);
	});

	it("begins anew for a person or a changed file", () => {
		const waits = backOff();
		waits.next(0);
		waits.next(1);
		waits.reset();
		expect(waits.next(2)).toBe(50);
	});
});
