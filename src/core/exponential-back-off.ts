/** How long to wait before the next attempt: pure functions of the number of failures so far. */
import type { Random } from "./random.ts";

/** Bounds of an exponential back-off in ms; both at least 0. `maxMs` wins if they contradict. */
export interface BackOffBounds {
	readonly minMs: number;
	readonly maxMs: number;
}

/** Between attempts at Kafka. */
export const KAFKA_RETRY: BackOffBounds = { minMs: 200, maxMs: 5_000 };

/** Between attempts at the database: short, because a database that is back should get its rows soon. */
export const DATABASE_RETRY: BackOffBounds = { minMs: 100, maxMs: 5_000 };

/** `minMs` doubled with each failure, at most `maxMs`. `failures` counts from 1; 0 means no wait. */
export function exponentialBackOff(failures: number, { minMs, maxMs }: BackOffBounds): number {
	if (failures <= 0) return 0;
	return Math.min(maxMs, minMs * 2 ** Math.min(failures - 1, 40));
}

/** Full jitter: uniform between 0 and the exponential wait, so that many clients don't return in step. For shared servers. */
export function fullJitter(failures: number, bounds: BackOffBounds, random: Random): number {
	return exponentialBackOff(failures, bounds) * random();
}

/** Equal jitter: between half and the whole of the exponential wait. For restarts, which must not be immediate. */
export function equalJitter(failures: number, bounds: BackOffBounds, random: Random): number {
	return exponentialBackOff(failures, bounds) * (0.5 + random() / 2);
}
