/** `dead-letters list | show | replay | discard`: shows and resolves messages that could not be handled or written. */
import type { Command } from "commander";
import type { LetterStore } from "../../core/dead-letters/dead-letter.ts";
import type { TopicPartitionOffset } from "../../core/messages/message.ts";
import { grouped } from "../../core/text/counted.ts";
import { type CommandContext, print } from "../command-context.ts";
import { isConfirmed } from "../terminal/confirmation.ts";
import { list, show } from "./letter-list.ts";
import { replay } from "./letter-replay.ts";
import { countSelected, countWords, filterOf, type SelectOptions, selectionOf, sumOf } from "./letter-selection.ts";
import { withStore } from "./letter-store.ts";

/** Options of all four subcommands. */
export interface LetterOptions extends SelectOptions {
	readonly limit?: number | "all";
	readonly purge?: boolean;
	readonly dryRun?: boolean;
	readonly yes?: boolean;
	readonly json?: boolean;
}

/** `list`: open ones, unless others are asked for. */
export function listLetters(
	{ limit = "all", json = false, ...options }: LetterOptions,
	command: Command,
	context: CommandContext,
): Promise<void> {
	const most = limit === "all" ? Number.POSITIVE_INFINITY : limit;
	return withStore(command, context, ({ store }) => list(store, { filter: filterOf(options, ["open"]), most, json }, context));
}

/** `show`. */
export function showLetter(where: TopicPartitionOffset, { json }: LetterOptions, command: Command, context: CommandContext): Promise<void> {
	return withStore(command, context, ({ store }) => show(store, where, json === true, context));
}

/** `replay`. */
export function replayLetters(options: LetterOptions, command: Command, context: CommandContext): Promise<void> {
	const { all = false, dryRun: isDryRun = false, json: asJson = false } = options;
	return withStore(command, context, (tools) => replay(tools, selectionOf(options, "replay"), { all, isDryRun, asJson }, context));
}

/** `discard`. */
export function discardLetters(options: LetterOptions, command: Command, context: CommandContext): Promise<void> {
	return withStore(command, context, ({ store }) => discard(store, options, context));
}

async function discard(store: LetterStore, options: LetterOptions, context: CommandContext): Promise<void> {
	const { purge: isPurge = false, all = false, dryRun = false, yes = false, json = false } = options;
	const filter = selectionOf(options, isPurge ? "purge" : "discard");
	const counts = await countSelected(store, filter, all);
	const [verb, done] = isPurge ? ["delete", "deleted"] : ["discard", "discarded"];
	const { stdout } = context;
	const total = sumOf(counts);
	const which = `${grouped(total)} ${total === 1 ? "letter" : "letters"}${total === 0 ? "" : ` (${countWords(counts)})`}`;
	if (dryRun) {
		print(stdout, json ? JSON.stringify({ [`would_${verb}`]: total, counts }) : `Would ${verb} ${which}. Nothing was changed (--dry-run).`);
		return;
	}
	const isForEver = isPurge ? ", for ever" : "";
	if (total > 0 && !(await isConfirmed(`This will ${verb} ${which}${isForEver}.`, yes, context))) return;
	const count = total === 0 ? 0 : await (isPurge ? store.purge(filter) : store.discard(filter));
	print(stdout, json ? JSON.stringify({ [done as string]: count }) : `${count} ${done}.`);
}
