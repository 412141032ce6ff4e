/**
 * The command line of the benches: a command for each, `all`, and `report`. Exit codes: 0 measured, 1 something is wrong with what was
 * measured (a table differs from the fold of its log), 2 usage.
 */
import { Command, CommanderError } from "commander";
import { ExitError, exitCodes } from "../src/core/errors.ts";
import { allBenches, benchGroups } from "./all-benches.ts";
import type { Bench, BenchSetting } from "./bench.ts";
import { declareOptions, readOptions, share, wholeNumber } from "./options.ts";
import type { BenchResult } from "./report/figures.ts";
import { printResult, say } from "./report/output.ts";
import { writeReport } from "./report/report.ts";

interface CommonOptions {
	readonly json?: boolean;
	readonly repeats: number;
	readonly databaseUrl?: string;
	readonly embedded?: boolean;
	readonly scale: number;
}

/** Runs the command line; resolves to the exit code. */
export async function runBenches(args: readonly string[]): Promise<number> {
	let code: number = exitCodes.done;
	const done = (results: readonly BenchResult[]) => {
		if (results.some(({ findings }) => findings.length > 0)) code = exitCodes.found;
	};
	const program = new Command("bench")
		.description("Measures PocKaffe, and compares with other ways or with an upper limit, measured in the same run. No time makes it fail")
		.helpCommand(false)
		.showSuggestionAfterError()
		.exitOverride();
	for (const bench of allBenches) addBench(program, bench, done);
	for (const name of Object.keys(benchGroups)) addGroup(program, name, done);
	addReport(program, done);
	try {
		await program.parseAsync([...args], { from: "user" });
		return code;
	} catch (error) {
		if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
		say(error instanceof ExitError ? `bench: ${error.message}` : `bench: ${error instanceof Error ? error.stack : error}`);
		return error instanceof ExitError ? error.exitCode : exitCodes.found;
	}
}

function addBench(program: Command, bench: Bench, done: (results: BenchResult[]) => void): void {
	const command = withCommonOptions(program.command(bench.name).description(bench.question));
	declareOptions(command, bench.options);
	command.action(async () => {
		const common = command.opts<CommonOptions>();
		const result = await runBench(bench, readOptions(command, bench.options, common.scale), common);
		printResult(result, common.json ?? false);
		done([result]);
	});
}

function addGroup(program: Command, name: string, done: (results: BenchResult[]) => void): void {
	const benches = benchesNamed(name);
	const names = benches.map((bench) => bench.name).join(", ");
	const command = withCommonOptions(program.command(name).description(`runs these one after the other, each with its defaults: ${names}`));
	command.action(async () => {
		const common = command.opts<CommonOptions>();
		done(await runEach(benches, common, (result) => printResult(result, common.json ?? false)));
	});
}

function addReport(program: Command, done: (results: BenchResult[]) => void): void {
	const command = withCommonOptions(program.command("report"))
		.argument("[names...]", "which benches; default: all")
		.description("runs benches and writes one HTML page with plots, and a Markdown table beside it")
		.option("--out <file>", "where to write the page; the table gets the same name ending in .md", "bench-report.html");
	command.action(async (names: string[], { out }: { out: string }) => {
		const chosen = new Set((names.length === 0 ? ["all"] : names).flatMap(benchesNamed));
		const results = await runEach([...chosen], command.opts<CommonOptions>(), (result) => printResult(result, false));
		for (const file of await writeReport(out, results)) say(`written: ${file}`);
		done(results);
	});
}

function withCommonOptions(command: Command): Command {
	return command
		.option("--json", "print a line of JSON instead of the table")
		.option("--repeats <count>", "how often everything is measured", wholeNumber, 3)
		.option("--database-url <url>", "use this server instead of the embedded one; the bench creates its own database there")
		.option("--embedded", "use the embedded broker even if a real Kafka is available")
		.option("--scale <share>", "multiply the number of messages and the seconds by this, e.g. 0.02 for a quick try", share, 1);
}

/** One that can't run here is said; of one that fails the error is its finding. The others go on: they may have taken an hour. */
async function runEach(benches: readonly Bench[], common: CommonOptions, told: (result: BenchResult) => void): Promise<BenchResult[]> {
	const results: BenchResult[] = [];
	for (const bench of benches) {
		const options = readOptions(new Command(), bench.options, common.scale);
		say(`— ${bench.name}`);
		try {
			results.push(await runBench(bench, options, common));
		} catch (error) {
			if (error instanceof ExitError) {
				say(`${bench.name} is skipped: ${error.message}`);
				continue;
			}
			results.push(failedResult(bench, options, error));
		}
		told(results.at(-1) as BenchResult);
	}
	return results;
}

function failedResult({ name, question }: Bench, options: Readonly<Record<string, unknown>>, error: unknown): BenchResult {
	const findings = [`${name} failed: ${error instanceof Error ? error.stack : error}`];
	return { bench: name, question, options, broker: null, database: null, figures: [], courses: [], notes: [], findings };
}

async function runBench(bench: Bench, options: Readonly<Record<string, unknown>>, common: CommonOptions): Promise<BenchResult> {
	const { repeats, databaseUrl = null, embedded = false } = common;
	const setting: BenchSetting = { repeats, databaseUrl, embedded, say };
	const { name, question } = bench;
	return { bench: name, question, options: { ...options, repeats }, ...(await bench.run(options, setting)) };
}

function benchesNamed(name: string): readonly Bench[] {
	const found = benchGroups[name] ?? allBenches.filter((bench) => bench.name === name);
	if (found.length > 0) return found;
	const known = [...allBenches.map((bench) => bench.name), ...Object.keys(benchGroups)];
	throw new ExitError(exitCodes.usage, "bench_name", `there is no bench ${name}; there are ${known.join(", ")}`);
}
