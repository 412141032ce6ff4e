/**
 * Produces a trickle of sample events for the example: 200 sensors that report again and again. They show inserts, updates, stale rows (a
 * late clock), a delete now and then, and a crash about every 20 seconds. The producer is passed in.
 */
import type { Clock, Timer } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

/** A record to be produced; `timestamp` in ms, `value` null for a delete. */
export interface SampleRecord {
	readonly topic: string;
	readonly key: string;
	readonly value: string | null;
	readonly timestamp: number;
}

/** What the trickle needs. A record that can't be produced is dropped and reported to `onError`. */
export interface SampleProducerParts {
	readonly topic: string;
	readonly produce: (record: SampleRecord) => Promise<unknown> | unknown;
	readonly clock: Clock;
	readonly random: Random;
	readonly onError?: (error: unknown) => void;
}

/** A running trickle. */
export interface SampleProducer extends AsyncDisposable {
	/** Makes no more events and waits for those under way. Idempotent. */
	stop(): Promise<void>;
}

/** 20 events a second. */
const EVERY_MS = 50;
const SENSORS = 200;
/** The first crash is shown 5 s after the start, then one about every 20 s. */
const CRASH_EVERY = 400;
const FIRST_CRASH = 100;
const DELETE_SHARE = 0.005;
const LATE_SHARE = 0.05;
/** How late a late clock is. */
const LATE_MS = 60_000;

/** Starts the trickle: the first event after 50 ms. The same `random` and clock give the same events. */
export function startSampleProducer({ topic, produce, clock, random, onError }: SampleProducerParts): SampleProducer {
	const underWay = new Set<Promise<unknown>>();
	let count = 0;
	let stopped = false;
	let timer: Timer;
	const send = async () => {
		try {
			await produce(sampleRecord(topic, count++, clock.now(), random));
		} catch (error) {
			onError?.(error);
		}
	};
	const tick = () => {
		if (stopped) return;
		const sending = send().finally(() => underWay.delete(sending));
		underWay.add(sending);
		timer = clock.after(EVERY_MS, tick);
	};
	timer = clock.after(EVERY_MS, tick);
	const stop = async () => {
		stopped = true;
		timer.cancel();
		await Promise.all(underWay);
	};
	return { stop, [Symbol.asyncDispose]: stop };
}

/** Event number `index` (from 0); pure, except for the random numbers it draws. */
export function sampleRecord(topic: string, index: number, now: number, random: Random): SampleRecord {
	const sensor = Math.floor(random() * SENSORS);
	const amount = Math.floor(random() * 1000);
	const fate = random();
	const key = `sensor-${String(sensor).padStart(3, "0")}`;
	// The handler compares this timestamp with its thread's start, so no late clock here.
	if (index % CRASH_EVERY === FIRST_CRASH) return { topic, key, value: JSON.stringify({ name: key, amount, crash: true }), timestamp: now };
	if (fate < DELETE_SHARE) return { topic, key, value: null, timestamp: now };
	const timestamp = fate > 1 - LATE_SHARE ? now - LATE_MS : now;
	return { topic, key, value: JSON.stringify({ name: key, amount }), timestamp };
}
