import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import type { CommandContext } from "../../../src/commands/command-context.ts";
import { runProgram } from "../../../src/commands/program.ts";
import { allOptions } from "../../../src/config/schema/describe-options.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

async function run(args: readonly string[], environment: Record<string, string> = {}) {
	const [stdout, stderr] = [new PassThrough(), new PassThrough()];
	let exit = 0;
	const context: CommandContext = {
		environment,
		cwd: "/nowhere",
		stdin: new PassThrough(),
		stdout,
		stderr,
		clock: new ManualClock(),
		version: "1.2.3",
		interrupted: new AbortController().signal,
		exit: (code) => (exit = code),
	};
	const code = await runProgram(args, context);
	return { code: code || exit, stdout: String(stdout.read() ?? ""), stderr: String(stderr.read() ?? "") };
}

describe("the command line", () => {
	it.each<[readonly string[], RegExp]>([
		[["run"], /no configuration here: .*-c FILE.*POCKAFFE_KAFKA_BROKERS.*--embedded/],
		[[], /no configuration here/],
		[["rnu"], /no command rnu \(did you mean run\?\)/],
		[["--bogus"], /unknown option '--bogus' \(--help says more\)/],
		[["skip", "t"], /^error: missing required argument 'partition' \(--help says more\)/],
		[["topic"], /pockaffe topic create <topic> -p <partitions>/],
		[["topic", "create"], /-p, --partitions/],
		[["topic", "create", "t"], /-p, --partitions/],
		[["topic", "create", "t", "-p", "0"], /a whole number above 0/],
		[["topic", "create", "t", "-p", "3.5"], /a whole number above 0/],
		[["topic", "descrbe", "t"], /pockaffe topic describe/],
		[["produce"], /topic/],
		[["produce", "t", "-H", "no-equals-sign"], /name=value/],
		[["produce", "t", "-p", "-1"], /partition/],
		[["produce", "t", "-K", ""], /a character or several/],
		[["produce", "t", "-K", ":", "-k", "a"], /'-K, --key-separator <text>' cannot be used with option '-k, --key <key>'/],
		...["", " 5 ", "0x10", "1e3", "+1", "9007199254740993"].flatMap((number): [readonly string[], RegExp][] => [
			[["pause", "t", number], /a partition's number, 0 or more/],
			[["skip", "t", "0", number], /an offset, 0 or more/],
			[["topic", "create", "t", "-p", number], /a whole number above 0/],
		]),
		[["consume", "t"], /-g, --group/],
		[["consume", "t", "-g", "g", "-n", "none"], /a whole number above 0/],
		[["offsets"], /group/],
		[["offsets", "g"], /POCKAFFE_KAFKA_BROKERS/],
		[["-c", "gone.yaml", "schema"], /gone\.yaml/],
	])("says in one line what to type: %j", async (args, line) => {
		const { code, stdout, stderr } = await run(args);
		expect([code, stdout]).toEqual([2, ""]);
		expect(stderr.trim().split("\n")).toHaveLength(1);
		expect(stderr).toMatch(line);
	});

	it.each([
		["run"],
		["check"],
		["schema"],
		["topic"],
		["topic", "create"],
		["topic", "describe"],
		["produce"],
		["consume"],
		["offsets"],
		["offsets", "set"],
		["status"],
		["pause"],
		["resume"],
		["restart"],
		["dead-letters"],
		["dead-letters", "list"],
		["dead-letters", "show"],
		["dead-letters", "replay"],
		["dead-letters", "discard"],
		["verify"],
		["reprocess"],
		["skip"],
	])("has help for %s %s", async (...command) => {
		const { code, stdout, stderr } = await run([...command, "--help"]);
		expect([code, stderr]).toEqual([0, ""]);
		expect(stdout).toContain(`Usage: pockaffe ${command.filter(Boolean).join(" ")}`);
	});

	it("lists every option in the help of run", async () => {
		const { stdout } = await run(["run", "--help"]);
		const names = allOptions().map(({ path }) => path.join("."));
		expect(names).toContain("batch.lingerMs");
		expect(names.filter((name) => !stdout.includes(`  ${name} `))).toEqual([]);
	});

	it("tells its version", async () => {
		expect(await run(["--version"])).toMatchObject({ code: 0, stdout: "1.2.3\n" });
	});

	it("prints the tables' SQL without a database", async () => {
		const tables = '{"events":{"columns":{"name":"text"}}}';
		const { code, stdout } = await run(["schema"], { POCKAFFE_TABLES: tables });
		expect(code).toBe(0);
		expect(stdout).toContain('create table if not exists "events"');
		expect(stdout).toContain('create table if not exists "pockaffe_dead_letters"');
		const json = await run(["schema", "--json"], { POCKAFFE_TABLES: tables });
		expect(JSON.parse(json.stdout).map(({ table }: { table: string }) => table)).toEqual([
			"events",
			"pockaffe_dead_letters",
			"pockaffe_offsets_start",
		]);
		const postgres = await run(["schema", "--json"], { POCKAFFE_OFFSETS_STORE: "postgres", POCKAFFE_OFFSETS_TABLE: "kept.offsets" });
		expect(JSON.parse(postgres.stdout).map(({ table }: { table: string }) => table)).toEqual([
			"pockaffe_dead_letters",
			"kept.offsets",
			"kept.offsets_start",
		]);
	});

	it("tells each error of the configuration apart in the one line that check has for them", async () => {
		// A database that nobody listens for: there is something configured.
		const { code, stdout } = await run(["check", "--json"], { POCKAFFE_DATABASE_URL: "postgres://u@127.0.0.1:1/d" });
		expect(code).toBe(1);
		expect(JSON.parse(stdout)[0].detail).toMatch(
			/^5 errors in the configuration \([^)]*\): kafka\.brokers – [^;]*; kafka\.group – [^;]*; kafka\.topics – /,
		);
	});

	it("says that there is no configuration, and not what each key lacks, where there is none", async () => {
		for (const command of [["run"], ["verify"], ["reprocess", "--dry-run"]])
			expect(await run(command, {})).toMatchObject({
				code: 2,
				stderr: expect.stringMatching(/^pockaffe: there is no configuration here: /),
			});
		const { code, stdout } = await run(["check", "--json"], {});
		expect([code, JSON.parse(stdout)[0]]).toMatchObject([
			1,
			{ item: "configuration", detail: expect.stringMatching(/^there is no configuration here: /) },
		]);
	});

	it("says how to name a configuration where a command has no broker or no database", async () => {
		for (const command of [
			["topic", "describe", "t"],
			["offsets", "g"],
			["dead-letters", "list"],
		])
			expect(await run(command, {})).toMatchObject({ code: 2, stderr: expect.stringContaining("name a configuration (-c FILE)") });
	});

	it("refuses to run with a broker and no database: a forgotten URL must not commit a real group's offsets", async () => {
		const { code, stderr } = await run(["run"], { POCKAFFE_KAFKA_BROKERS: "127.0.0.1:1" });
		expect(code).toBe(2);
		expect(stderr).toMatch(/database\.url – is needed/);
	});
});
