import { describe, expect, it } from "vitest";
import type { Logger } from "../../../../src/core/logger.ts";
import type { Problem } from "../../../../src/core/problem.ts";
import { ProblemLog } from "../../../../src/observe/logs/problem-log.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

describe("the log of problems", () => {
	it("tells each when it begins, when its words change (seldom), and when it is over", async () => {
		const [lines, clock] = [[] as string[], new ManualClock()];
		let problems: Problem[] = [];
		const logger = {
			error: (fields: object, message: string) => lines.push(`error ${JSON.stringify(fields)} ${message}`),
			info: (fields: object, message: string) => lines.push(`info ${JSON.stringify(fields)} ${message}`),
		} as unknown as Logger;
		const log = new ProblemLog({ clock, logger, problems: () => problems });
		log.start();
		const standing = { code: "standing_transaction", where: { topic: "t", partition: 3 }, message: "stands at 51", sinceMs: 0 };
		problems = [standing, { code: "cannot_join", where: null, message: "too many", sinceMs: 0 }];
		await clock.advance(2_000);
		problems = [{ ...standing, message: "still" }];
		await clock.advance(58_000);
		expect(lines).toHaveLength(3);
		await clock.advance(2_000);
		problems = [];
		await clock.advance(1_000);
		expect(lines).toEqual([
			'error {"reason":"standing_transaction","topic":"t","partition":3} t/3: stands at 51',
			'error {"reason":"cannot_join"} too many',
			'info {"reason":"cannot_join"} cannot_join is over',
			'error {"reason":"standing_transaction","topic":"t","partition":3} t/3: still',
			'info {"reason":"standing_transaction","topic":"t","partition":3} t/3: standing_transaction is over',
		]);
		log.dispose();
	});

	it("tells several of one code and place apart", async () => {
		const [lines, clock] = [[] as string[], new ManualClock()];
		let problems: Problem[] = ["a", "b"].map((message) => ({ code: "commits_failing", where: null, message, sinceMs: 0 }));
		const log = new ProblemLog({
			clock,
			logger: {
				error: (_: object, message: string) => lines.push(message),
				info: (_: object, message: string) => lines.push(message),
			} as never,
			problems: () => problems,
		});
		for (let looks = 0; looks < 3; looks++) log.look();
		problems = [];
		log.look();
		expect(lines).toEqual(["a", "b", "commits_failing is over", "commits_failing is over"]);
	});
});
