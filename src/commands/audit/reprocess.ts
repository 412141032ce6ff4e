/** `reprocess`: computes stored rows anew after the handler was corrected. */
import type { Command } from "commander";
import { type ReprocessingParts, type ReprocessingReport, reprocess as reprocessLog } from "../../audit/rows-anew/reprocessing.ts";
import type { Config } from "../../config/config.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { systemRandom } from "../../core/random.ts";
import type { LogRange } from "../../kafka/log-reader.ts";
import type { SetTo } from "../../kafka/offsets/offset-plan.ts";
import { ClusterInspector } from "../../kafka/topics.ts";
import { refused } from "../../kafka/watches/rights.ts";
import { type CommandContext, print } from "../command-context.ts";
import { daemonConfig } from "../configured.ts";
import { unreplayedLetters } from "../dead-letters/letter-store.ts";
import { StoredLetters } from "../dead-letters/stored-letters.ts";
import { failureWords } from "../failure-words.ts";
import { chosenPartitions } from "../offsets/chosen-partitions.ts";
import { CrashWitness } from "../process/crash-witness.ts";
import { isConfirmed } from "../terminal/confirmation.ts";
import { linesIn } from "../terminal/lines-file.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import { auditDatabase } from "./audit-database.ts";
import { isNothing, planWords, reportLines } from "./reprocessing-text.ts";
import { warnOfOtherVersion } from "./running-version.ts";

/** The stretch to handle again, and how to print the result. */
export interface ReprocessOptions {
	readonly from?: SetTo;
	readonly to?: SetTo;
	readonly topic?: string;
	readonly partition?: number;
	readonly keys?: string;
	readonly dryRun?: boolean;
	readonly yes?: boolean;
	readonly json?: boolean;
}

/** Prints the report; exit 1 if a message failed or a row was refused. */
export async function reprocess(options: ReprocessOptions, command: Command, context: CommandContext): Promise<void> {
	const { config } = await daemonConfig(command, context, { "--from": options.from, "--to": options.to });
	await warnOfOtherVersion(config, command, context);
	const report = await reprocessWith(config, options, context);
	if (!report) return;
	if (options.json) print(context.stdout, JSON.stringify({ ...report, dryRun: options.dryRun === true }));
	else for (const line of reportLines(report, options.dryRun === true)) print(context.stdout, line);
	if (report.failed.length + report.refused.length > 0) context.exit(exitCodes.found);
}

/** Null if the user declined. */
async function reprocessWith(config: Config, options: ReprocessOptions, context: CommandContext): Promise<ReprocessingReport | null> {
	const { clock, interrupted, stderr } = context;
	const keys = options.keys === undefined ? undefined : await linesIn(options.keys, { option: "--keys", what: "key" }, context);
	const database = auditDatabase(config, clock);
	await using letters = new StoredLetters(config, database, context);
	let line: ProgressLine | null = new ProgressLine(stderr, clock);
	const endLine = () => {
		line?.[Symbol.dispose]();
		line = null;
	};
	using witness = new CrashWitness("What was written stays, and the same command goes on from there.");
	interrupted.addEventListener("abort", () => witness[Symbol.dispose](), { once: true });
	try {
		const parts: ReprocessingParts = {
			config,
			database,
			letters: (reached) => unreplayedLetters(config, reached, context),
			store: (letter) => letters.store(letter),
			stretch: await stretchOf(config, options, context),
			keys,
			clock,
			random: systemRandom,
			signal: interrupted,
			inHand: witness.inHand.bind(witness),
			progress: ({ phase, done, total }) => line?.show(phase, done, total),
			waits: (message) => print(stderr, `waiting for the database: ${message}`),
		};
		let plan: ReprocessingReport | null = null;
		const done = await reprocessLog(parts, async (found) => {
			plan = found;
			endLine();
			if (options.dryRun || isNothing(found)) return false;
			return isConfirmed(`${planWords(found)}.`, options.yes === true, context);
		}).catch(refused(config.kafka, { group: "Describe" }));
		const seen = plan as ReprocessingReport | null;
		return done ?? (options.dryRun || (seen && isNothing(seen)) ? seen : null);
	} catch (error) {
		if (error instanceof ExitError) throw error;
		throw new ExitError(exitCodes.found, "reprocess", `can't reprocess: ${failureWords(error)}`, { cause: error });
	} finally {
		endLine();
		await database.close();
	}
}

/** The offsets to handle again, by partition. Rejects (ExitError) if there are none. */
export async function stretchOf(config: Config, options: ReprocessOptions, { clock }: CommandContext): Promise<LogRange[]> {
	const { from = { kind: "earliest" }, to = { kind: "latest" }, topic, partition } = options;
	await using inspector = await ClusterInspector.connect(config.kafka, clock, config.kafka.group);
	const chosen = await chosenPartitions(config, inspector, { topic, partition, offsets: { "--from": from, "--to": to } }, "Read");
	const offsetOf = async (where: SetTo, each: Pick<LogRange, "topic" | "partition">, { low, high }: { low: number; high: number }) => {
		if (where.kind === "offset") return where.offset;
		if (where.kind === "time") return (await inspector.offsetForTime(each, where.timestampMs)) ?? high;
		return where.kind === "earliest" ? low : high;
	};
	const stretch = await Promise.all(
		chosen.map(async (each) => {
			const log = await inspector.watermarks(each);
			return { ...each, from: await offsetOf(from, each, log), to: await offsetOf(to, each, log) };
		}),
	);
	if (stretch.some((each) => each.from < each.to)) return stretch;
	throw new ExitError(exitCodes.usage, "empty", "there is no message between --from and --to");
}
