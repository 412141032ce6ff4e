/** `verify`: did everything arrive? Compares the tables with the log up to the committed offsets; exit 1 where they differ. */
import type { Command } from "commander";
import type { Difference } from "../audit/findings.ts";
import type { CoveredPartition } from "../audit/log-coverage.ts";
import { type VerificationReport, verify } from "../audit/verification.ts";
import type { Config } from "../config/config.ts";
import type { LetterPosition, LetterStore } from "../core/dead-letter.ts";
import { ExitError, exitCodes, messageOf, PocKaffeError } from "../core/errors.ts";
import { partitionName } from "../core/message.ts";
import { systemRandom } from "../core/random.ts";
import { DeadLetterTopicStore } from "../kafka/dead-letter-topic-store.ts";
import { connectDatabase, type Database } from "../sink/database.ts";
import { DeadLetterTableStore } from "../sink/dead-letter-table-store.ts";
import { problemOf } from "../sink/sql-faults.ts";
import type { RowOrigin } from "../sink/table-comparison.ts";
import { type CommandContext, daemonConfig, print } from "./command-context.ts";
import { wholeNumber } from "./option-values.ts";
import { ProgressLine } from "./progress-line.ts";

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
		url: config.database.url,
		connections: CONNECTIONS,
		clock,
		deadlineMs: DEADLINE_MS,
		statementTimeoutMs: 0,
	});
	using line = new ProgressLine(stderr);
	try {
		return await verify({
			config,
			database,
			letters: (reached) => unreplayedLetters(config, reached, { clock, version, interrupted }),
			clock,
			random: systemRandom,
			signal: interrupted,
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

function* reportLines(report: VerificationReport): Generator<string> {
	const { group, partitions, messages, behind, absentOffsets, passedOver, letters, lettersOfOtherLogs, lettersMissing } = report;
	const { counts, differences, verified } = report;
	yield `group ${group}: ${messages} messages read, in ${partitions.length} partitions`;
	for (const range of partitions) yield `  ${partitionName(range)}  ${rangeText(range)}`;
	yield `not looked at: ${behind} messages behind the committed offsets`;
	const { open = 0, discarded = 0, skipped = 0 } = letters;
	yield `dead letters, left out: ${open} open, ${discarded} discarded, ${skipped} skipped`;
	if (lettersOfOtherLogs > 0)
		yield `  and ${lettersOfOtherLogs} of earlier logs of these topics, which were deleted and made again: they account for nothing here`;
	if (lettersMissing !== null)
		yield `  there is no ${lettersMissing}: if letters were kept elsewhere, their messages are taken for lost (is deadLetters the daemon's?)`;
	yield `rows: ${counts.matched} as the log says, ${counts.purged} deleted and purged, ${counts.ahead} ahead (newer than the committed offsets), ${counts.lettered} of dead letters`;
	if (passedOver > 0) yield `passed over unread: ${passedOver} offsets; what they would have made is not looked at`;
	yield `unchecked: ${absentOffsets} offsets that the log doesn't hold, ${counts.unchecked} rows of such messages`;
	const { missing, older, newer, different, extra, unwritable, failed } = counts;
	yield `differences: ${missing} missing, ${older} older, ${newer} newer, ${different} different, ${extra} extra, ${unwritable} unwritable, ${failed} failed`;
	for (const difference of differences) yield `  ${differenceLine(difference)}`;
	const sum = missing + older + newer + different + extra + unwritable + failed;
	if (sum > differences.length) yield `  … and ${sum - differences.length} more (--limit)`;
	const butFor = passedOver > 0 ? `, but for ${passedOver} offsets that were passed over` : "";
	yield verified ? `verified: the tables are what the log says${butFor}` : `NOT verified.${mayBeHarmless(counts) ? HARMLESS : ""}`;
}

const HARMLESS = " A handler whose rows depend on more than the message (time, state, other systems) differs without anything being lost.";

/** Where every message arrived and only what was made of it differs. Rows that are missing or older are lost whatever the handler does. */
function mayBeHarmless({ missing, older, newer, different, extra, failed }: VerificationReport["counts"]): boolean {
	return missing + older === 0 && newer + different + extra + failed > 0;
}

function rangeText({ from, to, low, start, startIs, committed, skipped }: CoveredPartition): string {
	if (startIs === "new_log") return "the topic was made again, and what is committed is of the log before: nothing of this one";
	if (committed === null) return "nothing is committed";
	const gone = low > start ? `; offsets ${start} to ${low - 1} are no longer in the log` : "";
	const assumed = {
		recorded: "",
		assumed: `; the group had committed before: where it was met, at ${start}, is taken for its beginning`,
		unknown: "; where the group began is not recorded: taken for 0",
	};
	const stretches = skipped.map((stretch) => `; ${stretch.from} to ${stretch.to - 1} were passed over (${stretch.reason})`).join("");
	return `offsets ${from} to ${to}${gone}${assumed[startIs]}${stretches}`;
}

function differenceLine(difference: Difference): string {
	if (difference.kind === "failed") {
		const { reason, error } = difference;
		return `failed     ${partitionName(difference)}@${difference.offset}: ${reason}, and there is no dead letter of it: ${error.replaceAll(/\s+/g, " ").slice(0, 200)}`;
	}
	const { kind, table, id, expected, stored, columns, sqlstate } = difference;
	const parts = [
		`${kind.padEnd(10)} ${table} ${JSON.stringify(id)}`,
		expected ? `expected ${originText(expected)}` : "",
		stored ? `stored ${originText(stored)}` : "",
		stored === null && isThere(kind) ? "stored without coordinates" : "",
		kind === "different" ? `columns ${columns.join(", ")}` : "",
		sqlstate ? `SQLSTATE ${sqlstate}` : "",
	];
	return parts.filter(Boolean).join(" · ");
}

/** A row is in the table; whose it is may be unknown. */
function isThere(kind: Difference["kind"]): boolean {
	return kind === "older" || kind === "newer" || kind === "different" || kind === "extra";
}

function originText({ topic, partition, offset, timestamp, deleted }: RowOrigin): string {
	return `${topic ?? "partition "}${topic ? "/" : ""}${partition}@${offset} (timestamp ${timestamp}${deleted ? ", a delete" : ""})`;
}
