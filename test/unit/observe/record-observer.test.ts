import { expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { observeRecords } from "../../../src/observe/listeners/record-observer.ts";
import { Metrics } from "../../../src/observe/metrics/metrics.ts";

it("producers' clients that give themselves up again and again are told every 10 s, with how many were not", () => {
	let monotonic = 0;
	const told: object[] = [];
	const warn = (fields: object) => void told.push(fields);
	const observer = observeRecords({
		metrics: new Metrics(),
		logger: { warn, debug: warn, info: warn, error: warn },
		clock: { ...systemClock, monotonic: () => monotonic },
		...{ module: "./handler.mjs", makesRows: true },
		totals: { messages: 0, inserted: 0, updated: 0, deleted: 0, stale: 0, restarts: 0, deadLetters: 0 },
	});
	for (; monotonic <= 10_000; monotonic += 1_000) observer["client:replaced"]({ message: "fatal", records: 3 });
	expect(told).toEqual([
		{ records: 3, held: 0 },
		{ records: 3, held: 9 },
	]);
});
