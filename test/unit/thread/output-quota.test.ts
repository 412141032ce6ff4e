import { beforeEach, describe, expect, it } from "vitest";
import { CHARACTERS_PER_SECOND, LINES_PER_SECOND, OutputQuota, type Printed } from "../../../src/worker/thread/output-quota.ts";

const orders3 = { topic: "orders", partition: 3 };
const orders4 = { topic: "orders", partition: 4 };

let now: number;
let sent: Printed[];
let quota: OutputQuota;

beforeEach(() => {
	now = 0;
	sent = [];
	quota = new OutputQuota(
		() => now,
		(printed) => sent.push(printed),
	);
});

function print(count: number, { partition = orders3, line = "x" } = {}): void {
	for (let i = 0; i < count; i++) quota.print({ partition, stream: "stdout", line });
}

const linesSent = () => sent.reduce((sum, { lines }) => sum + lines.length, 0);

describe("the quota of a thread's output", () => {
	it("sends the first lines of a second one by one, and the ones behind them together", () => {
		print(19);
		expect(sent.map(({ lines }) => lines.length)).toEqual(Array.from({ length: 19 }, () => 1));
		print(102);
		expect(sent.slice(19).map(({ lines }) => lines.length)).toEqual([1, 100]);
		quota.flush();
		expect(sent.at(-1)?.lines.length).toBe(1);
	});

	it("counts what is over the lines of a second by partition, and tells it when the next one begins", () => {
		print(LINES_PER_SECOND + 7);
		print(2, { partition: orders4 });
		quota.flush();
		expect([linesSent(), quota.hasRoom]).toEqual([LINES_PER_SECOND, false]);
		now = 999;
		expect(quota.hasRoom).toBe(false);
		now = 1_000;
		print(1);
		expect(sent.flatMap(({ leftOut }) => leftOut)).toEqual([
			{ partition: orders3, lines: 7 },
			{ partition: orders4, lines: 2 },
		]);
		expect(linesSent()).toBe(LINES_PER_SECOND + 1);
	});

	it("counts characters as well: a few long lines use a second up", () => {
		print(3, { line: "x".repeat(CHARACTERS_PER_SECOND / 2) });
		expect(linesSent()).toBe(2);
		quota.flushAll();
		expect(sent.at(-1)).toEqual({ lines: [], leftOut: [{ partition: orders3, lines: 1 }] });
	});

	it("sends nothing where nothing waits", () => {
		quota.flush();
		quota.flushAll();
		expect(sent).toEqual([]);
	});
});
