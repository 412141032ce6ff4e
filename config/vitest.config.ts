import { defineConfig } from "vitest/config";

const common = {
	root: new URL("..", import.meta.url).pathname,
	testTimeout: 60_000,
	hookTimeout: 120_000,
	pool: "forks",
} as const;

export default defineConfig({
	test: {
		// Two shared cores: threads, a broker and a database run beside the tests.
		maxWorkers: 2,
		projects: [
			{ test: { ...common, name: "alone", include: ["test/{unit,thread,simulation}/**/*.test.ts"] } },
			{
				test: {
					...common,
					name: "servers",
					include: ["test/{postgres,kafka,end-to-end}/**/*.test.ts"],
					globalSetup: ["test/support/servers.ts"],
				},
			},
		],
	},
});
