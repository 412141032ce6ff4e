import { defineConfig } from "vitest/config";

const common = {
	root: new URL("..", import.meta.url).pathname,
	// Against what hangs. No test depends on how fast the machine is: those that do real work take 20 times as long on a busy one.
	testTimeout: 600_000,
	hookTimeout: 600_000,
	expect: { poll: { timeout: 120_000 } },
	pool: "forks",
} as const;

/** Every project that runs the code: the contract of the group client's real side needs it too. */
const addon = "test/support/project/addon.ts";

/** The longest of those without servers: hundreds of runs of the simulation, its mutations, letters. Of the runs a few are there always. */
const simulated = "test/simulation/{simulation,mutations,letters}.test.ts";

/** Random cases by the thousand: the fast run has a part of them, this project all. */
const long = ["test/unit/worker/legal-logs.test.ts", "test/unit/thread/json-reader.test.ts"];

/** A contract's suite runs against the fake without servers, and against the real thing where one is. */
const contractsOnServers = "test/contract/*.{kafka,postgres}.test.ts";

export default defineConfig({
	test: {
		// More would take the processors from each other: threads, a broker and a database run beside the tests.
		maxWorkers: 2,
		// The default one last: a run ends with its summary.
		reporters: [new URL("../test/support/project/promise-reporter.ts", import.meta.url).pathname, "default"],
		projects: [
			{
				test: {
					...common,
					name: "alone",
					include: ["test/{unit,simulation,contract}/**/*.test.ts"],
					exclude: [contractsOnServers, simulated],
					globalSetup: [addon],
					// A file's imports take longer than its tests: files of one process share them.
					isolate: false,
				},
			},
			{
				test: {
					...common,
					name: "threads",
					include: ["test/{thread,native}/**/*.test.ts"],
					globalSetup: [addon],
				},
			},
			{
				test: {
					...common,
					name: "simulated",
					include: [simulated, ...long],
					env: { TEST_LONG: "true" },
				},
			},
			{
				test: {
					...common,
					name: "servers",
					include: ["test/{postgres,kafka,end-to-end,hostile}/**/*.test.ts", contractsOnServers],
					globalSetup: [addon, "test/support/project/servers.ts"],
				},
			},
			{
				test: {
					...common,
					name: "operations",
					include: ["test/operations/**/*.test.ts"],
					globalSetup: [addon, "test/support/kafka/kafka-there.ts"],
				},
			},
		],
	},
});
