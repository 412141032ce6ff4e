/** `verify`: did everything arrive? Compares the tables with the log up to the committed offsets; exit 1 where they differ. */
import type { Command } from "commander";
import { type VerificationReport, verify } from "../audit/verification.ts";
import type { Config } from "../config/config.ts";
import type { LetterPosition, LetterStore } from "../core/dead-letter.ts";
import { ExitError, exitCodes, messageOf, PocKaffeError } from "../core/errors.ts";
import { systemRandom } from "../core/random.ts";
import { DeadLetterTopicStore } from "../kafka/dead-letter-topic-store.ts";
import { connectDatabase, type Database } from "../sink/database.ts";
import { DeadLetterTableStore } from "../sink/dead-letter-table-store.ts";
import { problemOf } from "../sink/sql-faults.ts";
import { type CommandContext, daemonConfig, print } from "./command-context.ts";
import { CrashWitness } from "./crash-witness.ts";
import { wholeNumber } from "./option-values.ts";
import { ProgressLine } from "./progress-line.ts";
import { reportLines } from "./verification-text.ts";

interface VerifyOptions {
	readonly limit: number;
	readonly json?: boolean;
}

/** A sort of the whole table may take its time before the first row comes. */
const DEADLINE_MS = 30 * 60_000;
const CONNECTIONS = 2;

export function registerVerify(program: Command, context: CommandContext): void {
	program
		.command("verify")
		.description("compare the tables with the log up to the committed offsets: did everything arrive?")
		.option("--limit <count>", "show at most so many differences", wholeNumber, 20)
		.option("--json", "one JSON document")
		.addHelpText(
			"after",
			`
Runs the handler again over the log (init gets purpose "verify") and changes nothing. A handler with side effects, or whose rows
depend on more than the message, can't be verified. What the log no longer holds is counted as unchecked; dead letters are accounted for.
Exit code 1 where anything differs.`,
		)
		.action(async ({ limit, json }: VerifyOptions, command: Command) => {
			const { config } = await daemonConfig(command, context);
			const report = await verifyWith(config, limit, context);
			if (json) print(context.stdout, JSON.stringify(report));
			else for (const line of reportLines(report)) print(context.stdout, line);
			if (!report.verified) context.exit(exitCodes.found);
		});
}

async function verifyWith(config: Config, maxDifferences: number, context: CommandContext): Promise<VerificationReport> {
	const { clock, interrupted, stderr, version } = context;
	const database = connectDatabase({
		...config.database,
		connections: CONNECTIONS,
		clock,
		deadlineMs: DEADLINE_MS,
		statementTimeoutMs: 0,
	});
	using line = new ProgressLine(stderr);
	using witness = new CrashWitness("Nothing was verified, and nothing was changed.");
	interrupted.addEventListener("abort", () => witness[Symbol.dispose](), { once: true });
	try {
		return await verify({
			config,
			database,
			letters: (reached) => unreplayedLetters(config, reached, { clock, version, interrupted }),
			clock,
			random: systemRandom,
			signal: interrupted,
			inHand: witness.inHand.bind(witness),
			maxDifferences,
			progress: ({ read, total, table }) => line.show(table === null ? "reading the log" : `comparing ${table}`, read, total),
		});
	} catch (error) {
		if (error instanceof ExitError) throw error;
		// What has no code is no server's error but our own.
		const isServers = !(error instanceof PocKaffeError) && (error as { code?: string }).code !== undefined;
		const message = isServers ? problemOf(error).message : messageOf(error);
		throw new ExitError(exitCodes.found, "verify", `can't verify: ${message}`, { cause: error });
	} finally {
		await database.close();
	}
}

/** Null where their table or topic is missing. */
async function unreplayedLetters(
	{ deadLetters, kafka }: Config,
	database: Database,
	{ clock, version, interrupted: signal }: Pick<CommandContext, "clock" | "version" | "interrupted">,
): Promise<LetterPosition[] | null> {
	await using store: LetterStore =
		deadLetters.target === "topic"
			? new DeadLetterTopicStore({ kafka, topic: deadLetters.topic, clock, version, signal, consumerGroup: kafka.group })
			: new DeadLetterTableStore(database, deadLetters.table, kafka.group);
	try {
		return await store.unreplayed();
	} catch (error) {
		const { code } = error as { code?: string };
		if (code === "42P01" || code === "no_topic") return null;
		throw error;
	}
}
