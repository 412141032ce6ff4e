import { beforeEach, describe, expect, it } from "vitest";
import { observeOutput } from "../../../src/observe/logs/printed-output.ts";
import { Metrics } from "../../../src/observe/metrics/metrics.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const orders3 = { topic: "orders", partition: 3 };

let clock: ManualClock;
let metrics: Metrics;
let log: { level: string; fields: object; message: string }[];
let printed: ReturnType<typeof observeOutput>["printed"];

beforeEach(() => {
	clock = new ManualClock();
	metrics = new Metrics({ nodeMetrics: false });
	log = [];
	const write = (level: string) => (fields: object, message: string) => void log.push({ level, fields, message });
	const logger = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
	printed = observeOutput({ metrics, logger, clock }).printed;
});

const lines = (count: number, partition: typeof orders3 | null = orders3) =>
	Array.from({ length: count }, (_, index) => ({ partition, stream: "stdout" as const, line: `line ${index}` }));

const leftOut = (count: number) => [{ partition: orders3, lines: count }];
const warnings = () => log.filter(({ level }) => level === "warn").map(({ message }) => message.slice(0, message.indexOf(" left")));

async function dropped(): Promise<string[]> {
	return (await metrics.render()).body.split("\n").filter((line) => line.startsWith("pockaffe_output_dropped_total"));
}

describe("what handlers print", () => {
	it("is logged with its partition and stream", () => {
		printed({ lines: [...lines(1), { partition: null, stream: "stderr", line: "later" }], leftOut: [] });
		expect(log).toEqual([
			{ level: "info", fields: { ...orders3, source: "handler", stream: "stdout" }, message: "line 0" },
			{ level: "info", fields: { source: "handler", stream: "stderr" }, message: "later" },
		]);
	});

	it("is counted where it was left out, told at once, and then every ten seconds as long as it goes on", async () => {
		printed({ lines: [], leftOut: leftOut(12_000) });
		printed({ lines: [], leftOut: leftOut(300) });
		printed({ lines: [], leftOut: leftOut(100) });
		expect(warnings()).toEqual(["the handler prints too much: 12,000 lines of orders/3"]);
		await clock.advance(10_000);
		expect(warnings().slice(1)).toEqual(["the handler prints too much: 400 lines of orders/3"]);
		await clock.advance(20_000);
		expect([warnings().length, clock.pending]).toEqual([2, []]);
		printed({ lines: [], leftOut: leftOut(1) });
		expect(warnings().length).toBe(3);
		expect(await dropped()).toEqual(['pockaffe_output_dropped_total{topic="orders",partition="3"} 12401']);
	});

	it("is limited over all threads together", async () => {
		for (let thread = 0; thread < 5; thread++) printed({ lines: lines(500, thread === 4 ? null : orders3), leftOut: [] });
		expect(log.filter(({ level }) => level === "info").length).toBe(2_000);
		expect(await dropped()).toEqual(['pockaffe_output_dropped_total{topic="",partition=""} 500']);
		await clock.advance(1_000);
		printed({ lines: lines(2), leftOut: [] });
		expect(log.filter(({ level }) => level === "info").length).toBe(2_002);
	});
});
