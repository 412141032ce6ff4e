/** `dead-letters list | show | replay | discard`: what could not be handled or written, looked at and looked after. */
import { type Command, Option } from "commander";
import { type ReplayedLetter, replayLetters } from "../audit/dead-letter-replay.ts";
import type { Config } from "../config/config.ts";
import { withEmbeddedProfile } from "../config/embedded-profile.ts";
import type { LetterFilter, LetterStore, StoredLetter } from "../core/dead-letter.ts";
import { ExitError, exitCodes, PocKaffeError } from "../core/errors.ts";
import { partitionName } from "../core/message.ts";
import { omittedText } from "../core/omitted-parts.ts";
import { systemRandom } from "../core/random.ts";
import { readEmbeddedFile } from "../embedded/embedded-file.ts";
import { DeadLetterTopicStore } from "../kafka/dead-letter-topic-store.ts";
import { connectDatabase, type Database } from "../sink/database.ts";
import { DeadLetterTableStore } from "../sink/dead-letter-table-store.ts";
import { problemOf } from "../sink/sql-faults.ts";
import { type CommandContext, configOf, print } from "./command-context.ts";
import { offsetNumber, partitionNumber, wholeNumber } from "./option-values.ts";
import { shownBytes } from "./shown-bytes.ts";
import { textTable } from "./text-table.ts";

interface SelectOptions {
	readonly topic?: string;
	readonly partition?: number;
	readonly offset?: number;
	readonly reason?: string;
	readonly state?: string;
	readonly limit?: number;
	readonly all?: boolean;
	readonly purge?: boolean;
	readonly json?: boolean;
}

const reasons = ["rejected", "poison", "timeout", "row_fault", "future_timestamp"];
const states = ["open", "replayed", "discarded", "skipped"];
const LONGEST_ERROR = 100;

export function registerDeadLetters(program: Command, context: CommandContext): void {
	const group = program
		.command("dead-letters")
		.description("list, show, replay and discard messages that could not be handled or written")
		.allowExcessArguments()
		.action(() => {
			throw new ExitError(
				exitCodes.usage,
				"no_dead_letters_command",
				"type: pockaffe dead-letters list | show <topic> <partition> <offset> | replay | discard",
			);
		});
	withFilters(group.command("list").description("list letters; without --state the open ones"))
		.option("--limit <count>", "at most so many", wholeNumber, 100)
		.action((options: SelectOptions, command: Command) => withStore(command, context, ({ store }) => list(store, options, context)));
	group
		.command("show")
		.description("show one letter in full")
		.argument("<topic>", "topic of the message")
		.argument("<partition>", "its partition", partitionNumber)
		.argument("<offset>", "its offset", offsetNumber)
		.option("--json", "as JSON")
		.action((topic: string, partition: number, offset: number, { json }: SelectOptions, command: Command) =>
			withStore(command, context, ({ store }) => show(store, { topic, partition, offset }, json === true, context)),
		);
	withFilters(group.command("replay").description("run open letters through the handler again; those that go through are marked replayed"))
		.option("--all", "all open letters; otherwise a filter is needed")
		.action((options: SelectOptions, command: Command) =>
			withStore(command, context, ({ store, config, database }) => replay(store, config, database, options, context)),
		);
	withFilters(group.command("discard").description("mark open letters as looked after without a replay"))
		.option("--all", "all of them; otherwise a filter is needed")
		.option("--purge", "delete the letters instead of marking them")
		.action((options: SelectOptions, command: Command) => withStore(command, context, ({ store }) => discard(store, options, context)));
}

function withFilters(command: Command): Command {
	return command
		.option("--topic <topic>", "of this topic")
		.option("--partition <number>", "of this partition", partitionNumber)
		.option("--offset <number>", "at this offset", offsetNumber)
		.addOption(new Option("--reason <reason>", "with this reason").choices(reasons))
		.addOption(new Option("--state <state>", "in this state").choices(states))
		.option("--json", "a JSON line per letter");
}

async function list(store: LetterStore, options: SelectOptions, { stdout }: CommandContext): Promise<void> {
	const letters = await store.find({ ...filterOf(options), limit: options.limit });
	if (options.json) {
		for (const letter of letters) print(stdout, JSON.stringify(documentOf(letter)));
		return;
	}
	const rows = letters.map(({ topic, partition, offset, reason, sqlstate, state, attempts, lastAt, error }) => [
		topic,
		partition,
		offset,
		reason,
		sqlstate ?? "-",
		state,
		attempts,
		lastAt,
		oneLine(error),
	]);
	print(stdout, textTable(["TOPIC", "PARTITION", "OFFSET", "REASON", "SQLSTATE", "STATE", "ATTEMPTS", "LAST-AT", "ERROR"], rows));
}

async function show(
	store: LetterStore,
	at: { topic: string; partition: number; offset: number },
	json: boolean,
	{ stdout }: CommandContext,
): Promise<void> {
	const [letter] = await store.find(at);
	if (!letter) throw new ExitError(exitCodes.found, "no_letter", `there is no dead letter of ${partitionName(at)} at offset ${at.offset}`);
	const document = documentOf(letter);
	if (json) {
		print(stdout, JSON.stringify(document));
		return;
	}
	const width = Math.max(...Object.keys(document).map((name) => name.length));
	for (const [name, value] of Object.entries(document)) {
		print(stdout, `${name.padEnd(width)}  ${typeof value === "string" ? value : JSON.stringify(value)}`);
	}
}

async function replay(
	store: LetterStore,
	config: Config,
	database: () => Database,
	options: SelectOptions,
	{ stdout, clock, interrupted, exit }: CommandContext,
): Promise<void> {
	if (config.handler.module === "") throw missing("handler.module is needed: the handler to replay with");
	const letters = await store.find(selectionOf(options));
	let failed = 0;
	const told = ({ topic, partition, offset, error }: ReplayedLetter) => {
		if (error !== null) failed++;
		const line = `${partitionName({ topic, partition })} offset ${offset}: ${error === null ? "replayed" : `still fails: ${oneLine(error)}`}`;
		print(stdout, options.json ? JSON.stringify({ topic, partition, offset, replayed: error === null, error }) : line);
	};
	const isWhole = ({ omitted }: StoredLetter) => Object.keys(omitted).length === 0;
	// A handler takes a message without a value for a delete.
	for (const letter of letters.filter((each) => !isWhole(each))) {
		told({ ...letter, error: `it was too large for deadLetters, which has it without its ${omittedText(letter.omitted)}` });
	}
	const parts = { config, database: database(), clock, random: systemRandom, signal: interrupted };
	await replayLetters(parts, letters.filter(isWhole), async (letter) => {
		await store.replayed(letter, letter.error);
		told(letter);
	});
	if (!options.json) print(stdout, `${letters.length - failed} replayed, ${failed} still fail.`);
	if (failed > 0) exit(exitCodes.found);
}

async function discard(store: LetterStore, options: SelectOptions, { stdout }: CommandContext): Promise<void> {
	const count = options.purge ? await store.purge(selectionOf(options)) : await store.discard(selectionOf(options));
	const action = options.purge ? "deleted" : "discarded";
	print(stdout, options.json ? JSON.stringify({ [action]: count }) : `${count} ${action}.`);
}

/** Open letters unless a state is asked for. */
function filterOf({ topic, partition, offset, reason, state = "open" }: SelectOptions): LetterFilter {
	return { topic, partition, offset, reason, state };
}

/** What changes letters has to be told which. */
function selectionOf(options: SelectOptions): LetterFilter {
	const { topic, partition, offset, reason, state, all } = options;
	if (!all && [topic, partition, offset, reason, state].every((value) => value === undefined)) {
		throw new ExitError(exitCodes.usage, "no_selection", "say which: --all, or --topic, --partition, --offset, --reason, --state");
	}
	return filterOf(options);
}

/** A letter for JSON; key, value and headers readable where they are text. */
function documentOf({ key, value, headers, ...letter }: StoredLetter): Record<string, unknown> {
	return {
		...letter,
		key: shownBytes(key),
		value: shownBytes(value),
		headers: headers.map(([name, content]) => [name, shownBytes(content)]),
	};
}

function oneLine(error: string): string {
	const line = error.replaceAll(/\s*\n\s*/g, " ");
	return line.length > LONGEST_ERROR ? `${line.slice(0, LONGEST_ERROR)}…` : line;
}

/** What the subcommands work with; the database is connected to by those that ask for it. */
interface LetterTools {
	readonly config: Config;
	readonly store: LetterStore;
	readonly database: () => Database;
}

/** The letters of the configured group, or of the embedded daemon of this folder. */
async function withStore(command: Command, context: CommandContext, use: (tools: LetterTools) => Promise<void>): Promise<void> {
	const config = await lettersConfigOf(command, context);
	let opened: Database | null = null;
	const database = () => {
		const { url, connections } = config.database;
		if (url === "") throw missing("database.url is needed: set POCKAFFE_DATABASE_URL=postgres://…");
		opened ??= connectDatabase({ url, connections, clock: context.clock });
		return opened;
	};
	try {
		await using store = storeOf(config, database, context);
		await use({ store, config, database });
	} catch (error) {
		if (error instanceof ExitError) throw error;
		if (context.interrupted.aborted) throw new ExitError(exitCodes.found, "interrupted", "interrupted", { cause: error });
		const message = error instanceof PocKaffeError ? error.message : problemOf(error).message;
		throw new ExitError(exitCodes.found, "dead_letters", `the dead letters can't be reached: ${message}`, { cause: error });
	} finally {
		await (opened as Database | null)?.close();
	}
}

function storeOf({ deadLetters, kafka }: Config, database: () => Database, context: CommandContext): LetterStore {
	const { clock, version, interrupted: signal } = context;
	const { target, table, topic } = deadLetters;
	if (target === "table") return new DeadLetterTableStore(database(), table, kafka.group);
	return new DeadLetterTopicStore({ kafka, topic, clock, version, signal, consumerGroup: kafka.group });
}

/** Asks for what the target needs, unless an embedded daemon has it. */
async function lettersConfigOf(command: Command, context: CommandContext): Promise<Config> {
	const { config } = configOf(command, context);
	const inTopic = config.deadLetters.target === "topic";
	const isThere = inTopic ? config.kafka.brokers.length > 0 : config.database.url !== "";
	const embedded = isThere ? null : await readEmbeddedFile(context.cwd);
	if (embedded) return withEmbeddedProfile(config, embedded);
	if (!isThere) {
		const key = inTopic ? "kafka.brokers is needed: set POCKAFFE_KAFKA_BROKERS" : "database.url is needed: set POCKAFFE_DATABASE_URL";
		throw missing(`${key}, or run an embedded daemon here (pockaffe run)`);
	}
	if (config.kafka.group === "") throw missing("kafka.group is needed: dead letters belong to a consumer group");
	return config;
}

function missing(rule: string): ExitError {
	return new ExitError(exitCodes.usage, "config_missing", rule);
}
