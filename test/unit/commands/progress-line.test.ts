import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { ProgressLine } from "../../../src/commands/terminal/progress-line.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

it("progress is told in a line every ten seconds where no terminal is", async () => {
	const clock = new ManualClock();
	const stream = new PassThrough().setEncoding("utf8");
	{
		using line = new ProgressLine(stream, clock);
		for (let second = 0; second <= 25; second++) {
			line.show(second < 15 ? "reading the log" : "comparing events", 1_000 * second, 40_000);
			await clock.advance(1_000);
		}
	}
	expect(stream.read()).toBe("reading the log: 10,000 of 40,000 (25%)\ncomparing events: 20,000 of 40,000 (50%)\n");
});

it("progress on a terminal is one bar, which is gone when it ends, and the cursor is there again", () => {
	const stream = Object.assign(new PassThrough().setEncoding("utf8"), { isTTY: true, columns: 100, rows: 20 });
	const [hidden, shown] = ["\x1b[?25l", "\x1b[?25h"];
	{
		using line = new ProgressLine(stream, new ManualClock());
		for (const done of [1_000, 2_000, 3_000]) line.show("reading the log", done, 40_000);
	}
	const written = String(stream.read());
	expect([written.split(hidden).length, written.split(shown).length]).toEqual([2, 2]);
	expect(written.indexOf(shown)).toBeGreaterThan(written.indexOf(hidden));
});

it("progress that was never shown leaves a terminal alone", () => {
	const stream = Object.assign(new PassThrough(), { isTTY: true });
	new ProgressLine(stream, new ManualClock())[Symbol.dispose]();
	expect(stream.read()).toBeNull();
});
