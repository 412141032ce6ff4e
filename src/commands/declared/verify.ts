/** `verify`: its name and options. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Requirement, requirementNames, requirementsOf } from "../../audit/verification/requirements.ts";
import { messageOf } from "../../core/errors.ts";
import type { VerifyOptions } from "../audit/verify.ts";
import type { CommandContext } from "../command-context.ts";
import { parseWholeNumber } from "../terminal/option-values.ts";

export function declareVerify(program: Command, context: CommandContext): void {
	program
		.command("verify")
		.description("compare the tables with the log up to the committed offsets: did everything arrive?")
		.option("--limit <count>", "show at most this many differences", parseWholeNumber, 20)
		.option("--json", "print one JSON document")
		.addOption(new Option("--topic <topic>", "only this topic; may be repeated").argParser(added).default([], "all topics"))
		.addOption(new Option("--table <table>", "only this table; may be repeated").argParser(added).default([], "all tables"))
		.addOption(new Option("--ids <file>", "only the ids in this file, one per line").conflicts("sample"))
		.option("--sample <count>", "only this many random ids of each table", parseWholeNumber)
		.addOption(
			new Option("--require <name=value,…>", `also exit with 1 unless these hold: ${requirementNames.join(", ")}`)
				.argParser(required)
				.default([], "none"),
		)
		.option("--within <seconds>", "for this long compare ids that are ahead of the log again (default with --require share=…: 60)", seconds)
		.addOption(
			new Option(
				"--resume <folder>",
				"save the progress in this folder; if an interrupted verification saved its progress there, go on from it",
			).conflicts("sample"),
		)
		.addHelpText(
			"after",
			`
Runs the handler again on the log (init gets purpose "verify") and changes nothing. A handler can't be verified if it has side effects,
or if its rows depend on more than the message. Rows whose messages the log no longer has count as unchecked. A message with a dead letter
is not missing. The last line says how many of the ids were compared. Exit code 1 if anything differs, if nothing could be compared, or if
a requirement does not hold. For a script that has to be sure of everything: --require open-letters=0,unread=0,share=1`,
		)
		.action(async (options: VerifyOptions, command: Command) => (await import("../audit/verify.ts")).verify(options, command, context));
}

function added(text: string, earlier: readonly string[]): readonly string[] {
	return [...earlier, text];
}

function required(text: string, earlier: readonly Requirement[]): readonly Requirement[] {
	try {
		return [...earlier, ...requirementsOf(text)];
	} catch (error) {
		throw new InvalidArgumentError(messageOf(error));
	}
}

function seconds(text: string): number {
	const value = text.trim() === "" ? Number.NaN : Number(text);
	if (!Number.isFinite(value) || value < 0) throw new InvalidArgumentError("Wanted: seconds, 0 or more.");
	return value;
}
