/** The command line's frame: the commands, the global options, and what becomes of errors. */
import { Command, CommanderError } from "commander";
import { ExitError, exitCodes, messageOf } from "../core/errors.ts";
import { knownSecrets } from "../core/text/secret-mask.ts";
import { registerReprocess } from "./audit/reprocess.ts";
import { registerVerify } from "./audit/verify.ts";
import { registerCheck } from "./check/check.ts";
import { type CommandContext, print } from "./command-context.ts";
import { registerConsume } from "./consume.ts";
import { registerControl } from "./control.ts";
import { registerDeadLetters } from "./dead-letters/dead-letters.ts";
import { registerOffsets } from "./offsets/offsets.ts";
import { registerSkip } from "./offsets/skip.ts";
import { registerProduce } from "./produce.ts";
import { registerRun } from "./run.ts";
import { registerSchema } from "./schema.ts";
import { registerTopic } from "./topic.ts";

/** Runs the command line; resolves to the exit code. Never rejects. */
export async function runProgram(args: readonly string[], context: CommandContext): Promise<number> {
	const program = new Command("pockaffe")
		.description("A Kafka consumer-group daemon: supervised handler threads, compare-and-set upserts into Postgres")
		.version(context.version)
		.option("-c, --config <file>", "configuration file; default: $POCKAFFE_CONFIG, else ./pockaffe.yaml")
		.showSuggestionAfterError()
		// Commander would call process.exit; commands made from here on inherit it.
		.exitOverride()
		.configureOutput({
			writeOut: (text) => context.stdout.write(text),
			writeErr: (text) => context.stderr.write(text),
			// One line that says what to type.
			outputError: (text, write) => write(`${text.trim().replaceAll(/\s*\n\s*/g, " ")}\n`),
		});
	const registrations = [
		registerRun,
		registerCheck,
		registerSchema,
		registerTopic,
		registerProduce,
		registerConsume,
		registerOffsets,
		registerControl,
		registerDeadLetters,
		registerVerify,
		registerReprocess,
		registerSkip,
	];
	for (const register of registrations) register(program, context);
	try {
		await program.parseAsync([...args], { from: "user" });
		return exitCodes.done;
	} catch (error) {
		return codeOf(error, context);
	}
}

function codeOf(error: unknown, { stderr }: CommandContext): number {
	if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
	if (error instanceof ExitError) {
		print(stderr, `pockaffe: ${knownSecrets.mask(error.message)}`);
		return error.exitCode;
	}
	const expected = typeof (error as { code?: unknown }).code === "string" && (error as Error).name === "PocKaffeError";
	const words = expected || !(error instanceof Error) ? messageOf(error) : (error.stack ?? error.message);
	print(stderr, `pockaffe: ${knownSecrets.mask(words)}`);
	return exitCodes.found;
}
