import { describe, expect, it } from "vitest";
import { metricOf } from "../../../bench/measuring/metrics-text.ts";
import { parseStat } from "../../../bench/measuring/process-cpu.ts";
import { seededRandom } from "../../../src/core/random.ts";
import { eventLog, foldEvents } from "../../support/daemons/event-log.ts";
import { zipfNumbers } from "../../support/daemons/zipf.ts";

describe("what a process has used", () => {
	it("is read behind a command that holds brackets and spaces", () => {
		// Fields 3 to 17 of proc(5): state, parent, nine others, then the times in hundredths of a second.
		const stat = "4242 (a (b) c) S 77 0 0 0 0 0 0 0 0 0 1234 66 500 20 20 0";
		expect(parseStat(stat)).toEqual({ command: "a (b) c", parent: 77, own: 13, ended: 5.2 });
	});
});

describe("a scrape", () => {
	const text = [
		"# HELP a_total words",
		'a_total{topic="t",partition="0"} 3',
		'a_total{topic="t",partition="1"} 4',
		"a_total_more 9",
		"b 0.5",
	].join("\n");

	it("gives the sum of a metric's series, and of no other's", () => {
		expect(metricOf(text, "a_total")).toBe(7);
		expect(metricOf(text, "b")).toBe(0.5);
	});

	it("tells a metric that is not there from one that is zero", () => {
		expect(metricOf(text, "a")).toBeNull();
	});
});

describe("hot ids", () => {
	it("come as often as Zipf's law says", () => {
		const next = zipfNumbers(1_000, 1, seededRandom(5));
		const counts = new Map<number, number>();
		for (let i = 0; i < 100_000; i++) {
			const number = next();
			counts.set(number, (counts.get(number) ?? 0) + 1);
		}
		const harmonic = Array.from({ length: 1_000 }, (_, k) => 1 / (k + 1)).reduce((sum, each) => sum + each, 0);
		for (const k of [0, 1, 9]) expect((counts.get(k) ?? 0) / 100_000).toBeCloseTo(1 / (k + 1) / harmonic, 2);
		expect(Math.min(...counts.keys())).toBe(0);
		expect(Math.max(...counts.keys())).toBeLessThan(1_000);
	});

	it("make a log with the same seed twice, and leave logs without them as they were", () => {
		const shape = { topic: "t", count: 500, ids: 100, partitions: 4, seed: 3, wander: false, deletes: 0 };
		expect([...eventLog({ ...shape, zipf: 1 })]).toEqual([...eventLog({ ...shape, zipf: 1 })]);
		expect(foldEvents(eventLog({ ...shape, zipf: 1 })).size).toBeLessThan(foldEvents(eventLog(shape)).size);
		// Without them an event draws its id, and then how far its time goes back.
		const random = seededRandom(shape.seed);
		const keys = Array.from({ length: shape.count }, () => [`id-${Math.floor(random() * shape.ids)}`, random()] as const);
		expect([...eventLog(shape)].map(({ key }) => key)).toEqual(keys.map(([key]) => key));
	});
});
