/** What happens to the daemons' processes. */
import { expect } from "vitest";
import type { Operation } from "./operation.ts";
import { SESSION_TIMEOUT_MS } from "./servers.ts";

export const processOperations: readonly Operation[] = [
	{
		name: "the daemon is killed and started again, five times",
		may: ["not_in_group"],
		run: async (scene) => {
			for (let i = 0; i < 5; i++) {
				await scene.end(scene.daemon, "SIGKILL");
				await scene.startDaemon();
				await scene.during(800);
			}
		},
	},
	{
		name: "the daemon is stopped and started again, five times",
		may: ["not_in_group"],
		run: async (scene) => {
			for (let i = 0; i < 5; i++) {
				expect(await scene.end(scene.daemon)).toBe(0);
				await scene.startDaemon();
				await scene.progress();
			}
		},
	},
	{
		name: "a member is frozen past its session, and wakes up beside its successor",
		may: ["not_in_group", "commits_failing"],
		run: async (scene) => {
			const frozen = scene.daemon;
			frozen.child.kill("SIGSTOP");
			scene.daemons.splice(0, 1);
			await scene.startDaemon();
			await scene.during(SESSION_TIMEOUT_MS + 3_000);
			frozen.child.kill("SIGCONT");
			scene.daemons.push(frozen);
		},
	},
	{
		name: "a member is frozen with rows in hand, which its successor has written when it wakes up",
		says: ["database"],
		may: ["not_in_group", "commits_failing"],
		run: async (scene) => {
			const frozen = scene.daemon;
			await scene.sql("alter table events rename to away");
			await scene.says("database");
			await scene.during(1_000);
			frozen.child.kill("SIGSTOP");
			scene.daemons.splice(0, 1);
			await scene.sql("alter table away rename to events");
			await scene.startDaemon();
			await scene.progress();
			frozen.child.kill("SIGCONT");
			scene.daemons.push(frozen);
		},
	},
	{
		name: "the broker is killed, and the daemon stopped two seconds later",
		may: ["not_in_group"],
		run: async (scene) => {
			await scene.servers.kafka.kill();
			await scene.during(2_000);
			// 0 where nothing was left to commit.
			expect([0, 4]).toContain(await scene.end(scene.daemon));
			await scene.servers.kafka.restart();
			await scene.startDaemon();
		},
	},
	{
		name: "a terminal is closed (SIGHUP)",
		run: async (scene) => {
			expect(await scene.end(scene.daemon, "SIGHUP")).toBe(0);
			await scene.startDaemon();
		},
	},
	{
		name: "a second daemon joins and leaves",
		isShort: true,
		may: ["not_in_group"],
		run: async (scene) => {
			const second = await scene.startDaemon();
			await scene.progress();
			await scene.during(2_000);
			expect(await scene.end(second)).toBe(0);
		},
	},
	{
		name: "a member of the classic protocol and one of KIP-848",
		may: ["not_in_group"],
		run: async (scene) => {
			const second = await scene.startDaemon({
				kafka: { protocol: "consumer", brokers: [scene.brokers], topics: [scene.topic], group: scene.group, properties: {} },
			});
			await scene.during(5_000);
			expect(await scene.end(second)).toBe(0);
		},
	},
];
