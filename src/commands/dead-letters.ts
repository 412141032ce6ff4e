/** `dead-letters list | show | replay | discard`: what could not be handled or written, looked at and looked after. */
import { type Command, Option } from "commander";
import type { LetterFilter, LetterStore, StoredLetter } from "../core/dead-letter.ts";
import { ExitError, exitCodes } from "../core/errors.ts";
import { partitionName } from "../core/message.ts";
import { type CommandContext, print } from "./command-context.ts";
import { oneLine, replay } from "./letter-replay.ts";
import { withStore } from "./letter-store.ts";
import { offsetNumber, partitionNumber, wholeNumber } from "./option-values.ts";
import { shownBytes } from "./shown-bytes.ts";
import { textTable } from "./text-table.ts";

interface SelectOptions {
	readonly topic?: string;
	readonly partition?: number;
	readonly offset?: number;
	readonly topicId?: string;
	readonly reason?: string;
	readonly state?: string;
	readonly limit?: number;
	readonly all?: boolean;
	readonly purge?: boolean;
	readonly json?: boolean;
}

const reasons = ["rejected", "poison", "timeout", "process_died", "row_fault", "future_timestamp"];
const states = ["open", "replayed", "discarded", "skipped"];

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
			withStore(command, context, (tools) => replay(tools, selectionOf(options), options.json === true, context)),
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
		.option("--topic-id <id>", "of the log with this topic id of Kafka's; - for letters without one")
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
	// Only a topic that was made again has letters of several logs.
	const logs = new Set(letters.map(({ topic, topicId }) => `${topic} ${topicId}`));
	const hasLogs = logs.size > new Set(letters.map(({ topic }) => topic)).size;
	const rows = letters.map(({ topic, partition, offset, topicId, reason, sqlstate, state, attempts, lastAt, error }) => [
		topic,
		partition,
		offset,
		...(hasLogs ? [topicId ?? "-"] : []),
		reason,
		sqlstate ?? "-",
		state,
		attempts,
		lastAt,
		oneLine(error),
	]);
	const head = [
		"TOPIC",
		"PARTITION",
		"OFFSET",
		...(hasLogs ? ["TOPIC-ID"] : []),
		"REASON",
		"SQLSTATE",
		"STATE",
		"ATTEMPTS",
		"LAST-AT",
		"ERROR",
	];
	print(stdout, textTable(head, rows));
}

async function show(
	store: LetterStore,
	at: { topic: string; partition: number; offset: number },
	json: boolean,
	{ stdout }: CommandContext,
): Promise<void> {
	const letters = await store.find(at);
	if (letters.length === 0)
		throw new ExitError(exitCodes.found, "no_letter", `there is no dead letter of ${partitionName(at)} at offset ${at.offset}`);
	// Several logs of a topic have one each.
	for (const [index, letter] of letters.entries()) {
		const document = documentOf(letter);
		if (json) {
			print(stdout, JSON.stringify(document));
			continue;
		}
		if (index > 0) print(stdout, "");
		const width = Math.max(...Object.keys(document).map((name) => name.length));
		for (const [name, value] of Object.entries(document)) {
			print(stdout, `${name.padEnd(width)}  ${typeof value === "string" ? value : JSON.stringify(value)}`);
		}
	}
}

async function discard(store: LetterStore, options: SelectOptions, { stdout }: CommandContext): Promise<void> {
	const count = options.purge ? await store.purge(selectionOf(options)) : await store.discard(selectionOf(options));
	const action = options.purge ? "deleted" : "discarded";
	print(stdout, options.json ? JSON.stringify({ [action]: count }) : `${count} ${action}.`);
}

/** Open letters unless a state is asked for. */
function filterOf({ topic, partition, offset, topicId, reason, state = "open" }: SelectOptions): LetterFilter {
	return { topic, partition, offset, topicId: topicId === "-" ? null : topicId, reason, state };
}

/** What changes letters has to be told which. */
function selectionOf(options: SelectOptions): LetterFilter {
	const { topic, partition, offset, topicId, reason, state, all } = options;
	if (!all && [topic, partition, offset, topicId, reason, state].every((value) => value === undefined)) {
		const filters = "--topic, --partition, --offset, --topic-id, --reason, --state";
		throw new ExitError(exitCodes.usage, "no_selection", `say which: --all, or ${filters}`);
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
