import { Command } from "commander";
import { afterEach, describe, expect, it, vi } from "vitest";
import { amount, declareOptions, number, numbers, readOptions, word, words } from "../../../bench/options.ts";
import { runBenches } from "../../../bench/program.ts";

const options = {
	messages: amount("--messages <count>", "messages", 1_000),
	ids: number("--ids <count>", "ids", 50),
	partitions: numbers("--partitions <counts>", "partitions", [1, 4]),
	keys: words("--keys <names>", "keys", ["uniform", "hot"]),
	protocol: word("--protocol <name>", "protocol", ["classic", "eager"], "classic"),
};

function valuesOf(args: readonly string[], scale = 1) {
	const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
	declareOptions(command, options);
	command.parse([...args], { from: "user" });
	return readOptions(command, options, scale);
}

describe("a bench's options", () => {
	it("have their defaults where nothing is typed", () => {
		expect(valuesOf([])).toEqual({ messages: 1_000, ids: 50, partitions: [1, 4], keys: ["uniform", "hot"], protocol: "classic" });
	});

	it("are what is typed", () => {
		const args = ["--messages", "7", "--partitions", "2,8", "--keys", "hot", "--protocol", "eager"];
		expect(valuesOf(args)).toEqual({ messages: 7, ids: 50, partitions: [2, 8], keys: ["hot"], protocol: "eager" });
	});

	it("are scaled where they say how much, and nobody typed it", () => {
		expect(valuesOf([], 0.02)).toMatchObject({ messages: 20, ids: 50, partitions: [1, 4] });
		expect(valuesOf(["--messages", "7"], 0.02)).toMatchObject({ messages: 7 });
		expect(valuesOf([], 0.000_001)).toMatchObject({ messages: 1 });
	});

	it.each([["0"], ["-1"], ["1.5"], ["abc"], [""], ["1e3"], ["0x10"], [" "]])("refuse the count %j", (text) => {
		expect(() => valuesOf(["--messages", text])).toThrow(/a whole number above 0/);
	});

	it("refuse a list with one bad entry, and words that are not known", () => {
		expect(() => valuesOf(["--partitions", "1,,4"])).toThrow(/a whole number above 0/);
		expect(() => valuesOf(["--keys", "uniform,warm"])).toThrow(/warm is none of uniform, hot/);
		expect(() => valuesOf(["--protocol", "modern"])).toThrow(/one of classic, eager/);
	});
});

describe("the benches' command line", () => {
	afterEach(() => vi.restoreAllMocks());

	it.each([
		[["wrter"], /unknown command 'wrter'/],
		[["writer", "--rows", "0"], /a whole number above 0/],
		[["pipeline", "--messages", "many"], /a whole number above 0/],
		[["consume", "--repeats", "0"], /a whole number above 0/],
		[["all", "--scale", "0"], /a number above 0/],
		[["report", "writer", "nothing"], /there is no bench nothing; there are consume, /],
		[["writer", "--colour", "red"], /unknown option '--colour'/],
		[["memory", "--embedded"], /--embedded: the embedded broker keeps too little/],
	])("ends with 2 for %j", async (args, message) => {
		let said = "";
		vi.spyOn(process.stderr, "write").mockImplementation((chunk) => {
			said += chunk;
			return true;
		});
		expect(await runBenches(args)).toBe(2);
		expect(said).toMatch(message);
	});

	it("ends with 0 where it is asked for help", async () => {
		vi.spyOn(process.stdout, "write").mockImplementation(() => true);
		expect(await runBenches(["--help"])).toBe(0);
	});
});
