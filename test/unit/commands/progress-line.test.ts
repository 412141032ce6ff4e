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
