/** `verify`: checks that everything arrived, by comparing the tables with the log up to the committed offsets; exit 1 if they differ. */
import { resolve } from "node:path";
import { setFlagsFromString } from "node:v8";
import type { Command } from "commander";
import type { Requirement } from "../../audit/verification/requirements.ts";
import { verify as verifyTables } from "../../audit/verification/verification.ts";
import type { VerificationReport } from "../../audit/verification/verification-report.ts";
import type { Config } from "../../config/config.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { systemRandom } from "../../core/random.ts";
import { refused } from "../../kafka/watches/rights.ts";
import { type CommandContext, print } from "../command-context.ts";
import { daemonConfig } from "../configured.ts";
import { unreplayedLetters } from "../dead-letters/letter-store.ts";
import { failureWords } from "../failure-words.ts";
import { CrashWitness } from "../process/crash-witness.ts";
import { linesIn } from "../terminal/lines-file.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import { auditDatabase } from "./audit-database.ts";
import { reportLines } from "./verification-text.ts";

/** The part to compare, and the requirements. */
export interface VerifyOptions {
	readonly limit: number;
	readonly json?: boolean;
	readonly topic: readonly string[];
	readonly table: readonly string[];
	readonly ids?: string;
	readonly sample?: number;
	readonly require: readonly Requirement[];
	readonly within?: number;
	readonly resume?: string;
}

/**
 * How far V8 may let the heap grow, in percent of the live heap, before it collects garbage. Replaced rows are old by then: with V8's own
 * figure (up to three times) a million messages and 100,000 ids took 350 MiB instead of 242, with 30 % six MiB more than with 15, at no
 * less CPU.
 */
const HEAP_GROWING_PERCENT = 15;

/** Default of --within if a share is required. */
const USUAL_WITHIN_S = 60;

/** Prints the report; exit 1 if something differs. */
export async function verify(options: VerifyOptions, command: Command, context: CommandContext): Promise<void> {
	setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
	const { config } = await daemonConfig(command, context);
	const report = await verifyWith(config, options, context);
	if (options.json) print(context.stdout, JSON.stringify(report));
	else for (const line of reportLines(report)) print(context.stdout, line);
	if (!report.verified || report.unmet.length > 0) context.exit(exitCodes.found);
}

async function verifyWith(config: Config, options: VerifyOptions, context: CommandContext): Promise<VerificationReport> {
	const { limit: maxDifferences, topic: topics, table: tables, sample, require: requirements } = options;
	const ids = options.ids === undefined ? undefined : await linesIn(options.ids, { option: "--ids", what: "id" }, context);
	const usualWithin = requirements.some(({ name }) => name === "share") ? USUAL_WITHIN_S : 0;
	const { clock, interrupted, stderr, version } = context;
	// With several topics it is not known which one was refused.
	const soleTopic = config.kafka.topics.length === 1 ? config.kafka.topics[0] : undefined;
	const database = auditDatabase(config, clock);
	using line = new ProgressLine(stderr, clock);
	using witness = new CrashWitness("Nothing was verified, and nothing was changed.");
	interrupted.addEventListener("abort", () => witness[Symbol.dispose](), { once: true });
	try {
		return await verifyTables({
			config,
			database,
			letters: (reached) => unreplayedLetters(config, reached, { clock, version, interrupted }),
			clock,
			random: systemRandom,
			signal: interrupted,
			inHand: witness.inHand.bind(witness),
			maxDifferences,
			scope: { topics, tables, ids, sample },
			requirements,
			resume: options.resume === undefined ? undefined : { folder: resolve(context.cwd, options.resume) },
			comeBackMs: 1_000 * (options.within ?? usualWithin),
			progress: ({ read, total, table }) => line.show(table === null ? "reading the log" : `comparing ${table}`, read, total),
		}).catch(refused(config.kafka, { group: "Describe", topic: soleTopic ? ["Read", soleTopic] : null }));
	} catch (error) {
		if (error instanceof ExitError) throw error;
		throw new ExitError(exitCodes.found, "verify", `can't verify: ${failureWords(error)}`, { cause: error });
	} finally {
		await database.close();
	}
}
