/** What people and accidents do to the broker. */
import type { Operation } from "./operation.ts";

export const brokerOperations: readonly Operation[] = [
	{
		name: "the broker is killed and comes back",
		may: ["not_in_group", "commits_failing"],
		run: async ({ servers }) => {
			await servers.kafka.kill();
			await servers.kafka.restart();
		},
	},
	{
		name: "the broker is shut down and started again",
		may: ["not_in_group", "commits_failing"],
		run: async ({ servers }) => {
			await servers.kafka.kill("SIGTERM");
			await servers.kafka.restart();
		},
	},
	{
		name: "the broker is away for longer than the session",
		says: ["not_in_group"],
		may: ["commits_failing"],
		run: async (scene) => {
			await scene.servers.kafka.kill();
			await scene.during(12_000);
			await scene.servers.kafka.restart();
		},
	},
	{
		name: "the broker hangs for a minute",
		says: ["not_in_group"],
		may: ["commits_failing"],
		run: async (scene) => {
			scene.servers.kafka.freeze();
			await scene.during(60_000);
			scene.servers.kafka.thaw();
		},
	},
];
