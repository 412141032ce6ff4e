/** `dead-letters list | show | replay | discard`: their names and options. */
import { type Command, Option } from "commander";
import { deadLetterReasons } from "../../core/dead-letters/dead-letter.ts";
import { type LetterState, letterStates, letterVerbs } from "../../core/dead-letters/letter-state.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import type { CommandContext } from "../command-context.ts";
import type { LetterOptions } from "../dead-letters/dead-letters.ts";
import { offsetNumber, parseWholeNumber, partitionNumber } from "../terminal/option-values.ts";

const commands = () => import("../dead-letters/dead-letters.ts");

export function declareDeadLetters(program: Command, context: CommandContext): void {
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
	withFilters(group.command("list").description("list letters; default: open ones"), [...letterStates, "all"])
		.option("--limit <count>", "show at most this many, or: all", (text: string) => (text === "all" ? text : parseWholeNumber(text)), 100)
		.option("--json", "print a JSON line for each letter")
		.action(async (options: LetterOptions, command: Command) => (await commands()).listLetters(options, command, context));
	group
		.command("show")
		.description("show one letter in full")
		.argument("<topic>", "topic of the message")
		.argument("<partition>", "its partition", partitionNumber)
		.argument("<offset>", "its offset", offsetNumber)
		.option("--json", "print JSON")
		.action(async (topic: string, partition: number, offset: number, options: LetterOptions, command: Command) =>
			(await commands()).showLetter({ topic, partition, offset }, options, command, context),
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
		.action(async (options: LetterOptions, command: Command) => (await commands()).replayLetters(options, command, context));
	withFilters(
		group
			.command("discard")
			.description(
				"mark open letters as resolved without replaying them (with --state skipped: skipped ones), or delete letters (--purge)",
			),
		letterStates,
	)
		.option("--all", "letters of all topics; without this a filter is needed")
		.option("--purge", "delete replayed and discarded letters; open or skipped ones only if --state names them")
		.option("--dry-run", "only count them")
		.option("-y, --yes", "do not ask; needed without a terminal")
		.option("--json", "print JSON")
		.action(async (options: LetterOptions, command: Command) => (await commands()).discardLetters(options, command, context));
}

/** Adds the options that select. */
function withFilters(command: Command, states: readonly (LetterState | "all")[]): Command {
	return command
		.option("--topic <topic>", "only letters of this topic")
		.option("--partition <number>", "only letters of this partition", partitionNumber)
		.option("--offset <number>", "only the letter at this offset", offsetNumber)
		.option(
			"--topic-id <id>",
			"only letters of the topic with this Kafka topic id (a topic that is created again has another id); -: letters without an id",
		)
		.addOption(new Option("--reason <reason>", "only letters with this reason").choices(deadLetterReasons))
		.addOption(
			new Option(
				"--state <state>",
				states.includes("all") ? "only letters in this state; all: in any" : "only letters in this state",
			).choices([...states]),
		);
}
