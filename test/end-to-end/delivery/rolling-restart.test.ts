/** All daemons of a group are replaced one after the other under load: nobody handles twice what a drained member has handled. */
import { expect, inject, it } from "vitest";
import type { VerificationReport } from "../../../src/audit/verification/verification-report.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { rollingRestart } from "../../support/daemons/rolling-restart.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

describeOnKafka("a rolling restart of three daemons under load", () => {
	it.each(["classic", "eager", "consumer"] as const)("handles no message twice, and all arrive (protocol %s)", async (protocol) => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const result = await rollingRestart({
			brokers: inject("kafkaBrokers"),
			databaseUrl: db.url,
			folder: folder.path,
			topic: uniqueName("rolling"),
			group: uniqueName("g"),
			protocol,
			partitions: 6,
			daemons: 3,
			perSecond: 1_000,
			rounds: 1,
			say: () => {},
		});
		expect(result.exitCodes).toEqual([0, 0, 0, 0, 0, 0]);
		expect(result.handledTwice).toEqual([]);
		const { stdout } = await pockaffe(["verify", "--json"], { cwd: folder.path });
		const report = JSON.parse(stdout) as VerificationReport;
		expect(report).toMatchObject({ verified: true, messages: result.messages, differences: [] });
	});
});
