/** `dead-letters list | show | replay | discard`: what could not be handled or written, looked at and looked after. */
import type { Command } from "commander";
import type { LetterStore } from "../../core/dead-letters/dead-letter.ts";
import { letterStates, letterVerbs } from "../../core/dead-letters/letter-state.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { type CommandContext, print } from "../command-context.ts";
import { isConfirmed } from "../terminal/confirmation.ts";
import { offsetNumber, partitionNumber, wholeNumber } from "../terminal/option-values.ts";
import { list, show } from "./letter-list.ts";
import { replay } from "./letter-replay.ts";
import { countSelected, countWords, filterOf, grouped, type SelectOptions, selectionOf, sumOf, withFilters } from "./letter-selection.ts";
import { withStore } from "./letter-store.ts";

interface Options extends SelectOptions {
	readonly limit?: number | "all";
	readonly purge?: boolean;
	readonly dryRun?: boolean;
	readonly yes?: boolean;
	readonly json?: boolean;
}

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
	withFilters(group.command("list").description("list letters; default: open ones"), letterStates)
		.option("--limit <count>", "show at most this many; all: every one", (text: string) => (text === "all" ? text : wholeNumber(text)), 100)
		.option("--json", "print a JSON line for each letter")
		.action(({ limit = "all", json = false, ...options }: Options, command: Command) => {
			const most = limit === "all" ? Number.POSITIVE_INFINITY : limit;
			return withStore(command, context, ({ store }) => list(store, { filter: filterOf(options, ["open"]), most, json }, context));
		});
	group
		.command("show")
		.description("show one letter in full")
		.argument("<topic>", "topic of the message")
		.argument("<partition>", "its partition", partitionNumber)
		.argument("<offset>", "its offset", offsetNumber)
		.option("--json", "as JSON")
		.action((topic: string, partition: number, offset: number, { json }: Options, command: Command) =>
			withStore(command, context, ({ store }) => show(store, { topic, partition, offset }, json === true, context)),
		);
	withFilters(
		group
			.command("replay")
			.description("run letters through the handler again (default: open ones); those that succeed are marked as replayed"),
		letterVerbs.replay.from,
	)
		.option("--all", "letters of all topics; without this a filter is needed")
		.option("--dry-run", "only count them")
		.option("--json", "print a JSON line for each letter")
		.action((options: Options, command: Command) => {
			const { all = false, dryRun: isDryRun = false, json: asJson = false } = options;
			return withStore(command, context, (tools) => replay(tools, selectionOf(options, "replay"), { all, isDryRun, asJson }, context));
		});
	withFilters(
		group
			.command("discard")
			.description("mark open letters (or, with --state, skipped ones) as resolved without replaying them; or delete letters with --purge"),
		letterStates,
	)
		.option("--all", "letters of all topics; without this a filter is needed")
		.option("--purge", "delete replayed and discarded letters; open or skipped ones only if --state names them")
		.option("--dry-run", "only count them")
		.option("-y, --yes", "do not ask; needed without a terminal")
		.option("--json", "as JSON")
		.action((options: Options, command: Command) => withStore(command, context, ({ store }) => discard(store, options, context)));
}

async function discard(store: LetterStore, options: Options, context: CommandContext): Promise<void> {
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
	if (total > 0 && !(await isConfirmed(`This is to ${verb} ${which}${isForEver}.`, yes, context))) return;
	const count = total === 0 ? 0 : await (isPurge ? store.purge(filter) : store.discard(filter));
	print(stdout, json ? JSON.stringify({ [done as string]: count }) : `${count} ${done}.`);
}
