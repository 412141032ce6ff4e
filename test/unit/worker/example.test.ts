import { describe, expect, it } from "vitest";
import type { Clock } from "../../../src/core/clock.ts";
import { seededRandom } from "../../../src/core/random.ts";
import { handleMessage, init } from "../../../src/embedded/example-handler.ts";
import { type SampleRecord, sampleRecord, startSampleProducer } from "../../../src/embedded/sample-producer.ts";

function message(value: object | null, ts: number, key: string | null = "sensor-001") {
	return { key: key === null ? null : Buffer.from(key), value: value && Buffer.from(JSON.stringify(value)), ts, offset: 12 };
}

/** Timers that fire when told to; one second is 1000 of `advance`. */
function manualClock(): Clock & { advance(ms: number): void } {
	let now = 1_000_000;
	const timers = new Set<{ at: number; callback: () => void }>();
	return {
		now: () => now,
		monotonic: () => now,
		sleep: () => Promise.reject(new Error("not used")),
		after(delayMs, callback) {
			const timer = { at: now + delayMs, callback };
			timers.add(timer);
			return { cancel: () => timers.delete(timer) };
		},
		advance(ms) {
			const end = now + ms;
			for (;;) {
				const [due] = [...timers].filter(({ at }) => at <= end).sort((left, right) => left.at - right.at);
				if (!due) break;
				timers.delete(due);
				now = due.at;
				due.callback();
			}
			now = end;
		},
	};
}

function samples(count: number): SampleRecord[] {
	const random = seededRandom(7);
	return Array.from({ length: count }, (_, index) => sampleRecord("events", index, 1_000_000 + index * 50, random));
}

describe("example handler", () => {
	it("makes a row of an event, a delete of an empty value, and rejects what has no key", () => {
		const state = init();
		expect(handleMessage(message({ name: "sensor-001", amount: 7 }, 1), state)).toEqual({
			id: "sensor-001",
			fields: { name: "sensor-001", amount: 7, note: "event at offset 12" },
		});
		expect(handleMessage(message({ name: "sensor-001", amount: 8 }, 2), state)).toMatchObject({
			fields: { note: "event at offset 12" },
		});
		expect(handleMessage(message(null, 3), state)).toEqual({ id: "sensor-001", delete: true });
		expect(handleMessage(message({}, 3, null), state)).toEqual({ reject: "an event needs a key" });
	});

	it("handles a crash event that is older than its thread: it has crashed another one already", () => {
		const outcome = handleMessage(message({ name: "sensor-001", amount: 7, crash: true }, Date.now() - 60_000), init());
		expect(outcome).toMatchObject({ id: "sensor-001", fields: { note: "handled after a crash" } });
	});
});

describe("sample events", () => {
	it("are the same for the same seed", () => {
		expect(samples(50)).toEqual(samples(50));
	});

	it("update some 200 sensors, with late ones, deletes and a crash per 400", () => {
		const records = samples(4000);
		const sensors = new Set(records.map(({ key }) => key));
		const late = records.filter(({ timestamp }, index) => timestamp < 1_000_000 + index * 50).length;
		const crashes = records.flatMap(({ value }, index) => (value?.includes('"crash":true') ? [index] : []));
		expect(sensors.size).toBe(200);
		expect(late).toBeGreaterThan(120);
		expect(late).toBeLessThan(300);
		expect(records.filter(({ value }) => value === null).length).toBeGreaterThan(5);
		expect(crashes).toEqual(Array.from({ length: 10 }, (_, times) => 100 + times * 400));
	});

	it("never give a crash event a late clock", () => {
		const random = () => 0.999;
		expect(sampleRecord("events", 100, 5000, random)).toMatchObject({ timestamp: 5000 });
		expect(sampleRecord("events", 101, 500_000, random)).toMatchObject({ timestamp: 440_000 });
	});

	it("come twenty a second until stopped, and a stop waits for those under way", async () => {
		const clock = manualClock();
		const produced: SampleRecord[] = [];
		let release: () => void = () => {};
		const held = new Promise<void>((resolve) => {
			release = resolve;
		});
		const produce = (record: SampleRecord) => {
			produced.push(record);
			return produced.length === 20 ? held : undefined;
		};
		const producer = startSampleProducer({ topic: "events", produce, clock, random: seededRandom(1) });
		clock.advance(1000);
		expect(produced).toHaveLength(20);
		let stopped = false;
		const stopping = producer.stop().then(() => {
			stopped = true;
		});
		clock.advance(5000);
		await Promise.resolve();
		expect([produced.length, stopped]).toEqual([20, false]);
		release();
		await stopping;
	});

	it("go on when one can't be produced", async () => {
		const clock = manualClock();
		const errors: unknown[] = [];
		const produce = () => Promise.reject(new Error("queue full"));
		const producer = startSampleProducer({
			topic: "events",
			produce,
			clock,
			random: seededRandom(1),
			onError: (error) => errors.push(error),
		});
		clock.advance(100);
		await producer.stop();
		expect(errors).toHaveLength(2);
	});
});
