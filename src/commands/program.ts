/**
 * The command line: its commands, its global options, and the handling of errors. `declared/` has the name and options of each command. The
 * command's own code is loaded when it runs, so that `--help` costs no Kafka client (test/unit/commands/start-cost.test.ts).
 */
import { Command, CommanderError } from "commander";
import { ExitError, exitCodes, messageOf, PocKaffeError } from "../core/errors.ts";
import { knownSecrets } from "../core/text/secret-mask.ts";
import { type CommandContext, print } from "./command-context.ts";
import { declareCheck } from "./declared/check.ts";
import { declareConsume } from "./declared/consume.ts";
import { declareControl } from "./declared/control.ts";
import { declareDeadLetters } from "./declared/dead-letters.ts";
import { declareOffsets } from "./declared/offsets.ts";
import { declareProduce } from "./declared/produce.ts";
import { declareReprocess } from "./declared/reprocess.ts";
import { declareRun } from "./declared/run.ts";
import { declareSchema } from "./declared/schema.ts";
import { declareSkip } from "./declared/skip.ts";
import { declareTopic } from "./declared/topic.ts";
import { declareVerify } from "./declared/verify.ts";

/** Runs the command line; resolves to the exit code. Never rejects. */
export async function runProgram(args: readonly string[], context: CommandContext): Promise<number> {
	const program = new Command("pockaffe")
		.description("A Kafka consumer-group daemon: supervised handler threads, compare-and-set upserts into Postgres")
		.version(context.version)
		.option("-c, --config <file>", "configuration file; default: $POCKAFFE_CONFIG, else ./pockaffe.yaml")
		.showSuggestionAfterError()
		// Otherwise Commander calls process.exit; commands created from here on inherit this.
		.exitOverride()
		.configureOutput({
			writeOut: (text) => context.stdout.write(text),
			writeErr: (text) => context.stderr.write(text),
			// One line that says what to type.
			outputError: (text, write) => write(`${text.trim().replaceAll(/\s*\n\s*/g, " ")} (--help says more)\n`),
		});
	declareRun(program, context, await optionHelp(args));
	const declarations = [
		declareCheck,
		declareSchema,
		declareTopic,
		declareProduce,
		declareConsume,
		declareOffsets,
		declareControl,
		declareDeadLetters,
		declareVerify,
		declareReprocess,
		declareSkip,
	];
	for (const declare of declarations) declare(program, context);
	try {
		await program.parseAsync([...args], { from: "user" });
		return exitCodes.done;
	} catch (error) {
		return codeOf(error, context);
	}
}

/** Loads the help of the options, if the help of `run` is requested: Commander writes help synchronously. */
async function optionHelp(args: readonly string[]): Promise<() => string> {
	const isAsked = args.includes("run") && args.some((arg) => ["-h", "--help", "help"].includes(arg));
	return isAsked ? (await import("../config/schema/describe-options.ts")).renderOptionHelp : () => "";
}

function codeOf(error: unknown, { stderr }: CommandContext): number {
	if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
	if (error instanceof ExitError) {
		print(stderr, `pockaffe: ${knownSecrets.mask(error.message)}`);
		return error.exitCode;
	}
	if (isClientMissing(error)) {
		print(
			stderr,
			"pockaffe: node-rdkafka is not built for this Node: run `npm rebuild node-rdkafka` (binding.gyp-notes.md says what it needs)",
		);
		return exitCodes.usage;
	}
	const isExpected = error instanceof PocKaffeError || !(error instanceof Error);
	const words = isExpected ? messageOf(error) : (error.stack ?? error.message);
	print(stderr, `pockaffe: ${knownSecrets.mask(words)}`);
	return exitCodes.found;
}

/** True if node-rdkafka is not built: `bindings` then gives its `tries`; ERR_DLOPEN_FAILED is a build for another Node. */
function isClientMissing(error: unknown): boolean {
	const { code, tries } = (error ?? {}) as { code?: string; tries?: unknown };
	return tries !== undefined || code === "ERR_DLOPEN_FAILED";
}
