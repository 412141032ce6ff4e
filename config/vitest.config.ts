import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		root: new URL("..", import.meta.url).pathname,
		include: ["test/**/*.test.ts"],
		globalSetup: ["test/support/servers.ts"],
		testTimeout: 60_000,
		hookTimeout: 120_000,
		// Two shared cores: threads, a broker and a database run beside the tests.
		maxWorkers: 2,
		pool: "forks",
	},
});
