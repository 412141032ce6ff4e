/** What people and accidents do to the group: its offsets, its members, what they run. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { createTopic } from "../../src/kafka/topics.ts";
import { setOffsets } from "../support/kafka/group-offsets.ts";
import { deleteGroup, joinGroup } from "../support/kafka/kafka-admin.ts";
import { kafkaAt } from "../support/kafka/load-topic.ts";
import { uniqueName } from "../support/kafka/real-kafka.ts";
import type { Operation } from "./operation.ts";
import type { OperationScene } from "./scene.ts";

/** How long a foreign consumer stays: a few rebalances, and messages between them. */
const FOREIGN_MS = 6_000;

const inPostgres = { offsets: { store: "postgres", commitIntervalMs: 100 } };

/** Passed over by choice, which `verify` counts; then read after all. */
async function onAndBack(scene: OperationScene): Promise<void> {
	await scene.whileStopped(async () => {
		await scene.during(2_000);
		await scene.command("offsets", "set", "--to", "latest", "--yes");
	});
	await scene.progress();
	await scene.ready();
	expect(await scene.command("verify")).toContain("that were passed over");
	await scene.whileStopped(() => scene.command("offsets", "set", "--to", "earliest", "--yes"));
}

export const groupOperations: readonly Operation[] = [
	{
		name: "the offsets are set back while the daemons are stopped",
		run: (scene) => scene.whileStopped(() => scene.command("offsets", "set", "--to", "earliest", "--yes")),
	},
	{
		name: "the offsets are set back by another tool",
		run: async (scene) => {
			await scene.whileStopped(async () => {
				const offsets = await scene.offsets();
				await setOffsets(
					scene.brokers,
					scene.group,
					offsets.map(({ topic, partition, committed }) => ({ topic, partition, offset: Math.floor((committed ?? 0) / 2) })),
				);
			});
		},
	},
	{ name: "the offsets are set on, and back again (in kafka)", run: onAndBack },
	{ name: "the offsets are set on, and back again (in postgres)", config: inPostgres, run: onAndBack },
	{
		name: "the offsets in the database are set back under a running daemon",
		config: inPostgres,
		may: ["starting"],
		run: async (scene) => {
			await scene.command("offsets", "set", "--to", "earliest", "--yes");
			await scene.progress();
		},
	},
	{
		name: "the group is deleted while no daemon runs",
		config: { kafka: { startFrom: "latest" } },
		run: async (scene) => {
			// What came before the first daemon it has not read, as it was told.
			scene.load.forget();
			await scene.whileStopped(async () => {
				await deleteGroup(scene.brokers, scene.group);
				await scene.during(2_000);
			});
		},
	},
	{
		name: "the right to the table of offsets is taken away, and given back",
		config: inPostgres,
		says: ["commits_failing"],
		run: async (scene) => {
			await scene.sql(`revoke insert, update on pockaffe_offsets from ${scene.role.name}`);
			await scene.says("commits_failing", 60_000);
			await scene.sql(`grant insert, update on pockaffe_offsets to ${scene.role.name}`);
		},
	},
	{
		name: "a foreign consumer takes partitions, commits nothing and leaves",
		may: ["not_in_group"],
		run: async (scene) => expect(await joinGroup(scene.brokers, scene.group, scene.topic, FOREIGN_MS)).toBe(true),
	},
	{
		name: "a foreign consumer reads another topic in the same group",
		may: ["not_in_group"],
		run: async (scene) => {
			const other = uniqueName("other");
			await createTopic(kafkaAt(scene.brokers), { name: other, partitions: 2, replication: 1 });
			const [hasRead] = await Promise.all([joinGroup(scene.brokers, scene.group, other, FOREIGN_MS), scene.progress()]);
			expect(hasRead).toBe(false);
		},
	},
	{
		name: "a member of another protocol can't join until the others have left",
		says: ["cannot_join"],
		may: ["not_in_group"],
		run: async (scene) => {
			const [first] = scene.daemons;
			await scene.startDaemon({ kafka: { protocol: "eager" } });
			await scene.says("cannot_join");
			await scene.progress();
			expect(await scene.end(first as never)).toBe(0);
		},
	},
	{
		name: "two daemons have one instance id",
		config: { kafka: { instanceId: "one" } },
		may: ["not_in_group", "commits_failing"],
		run: async (scene) => {
			const [first] = scene.daemons;
			await scene.startDaemon();
			expect(await first?.exited()).toBe(5);
			scene.daemons.splice(0, 1);
		},
	},
	{
		name: "the handler's next version is rolled out, one daemon after the other",
		may: ["not_in_group"],
		run: async (scene) => {
			const file = join(scene.folder, "next.mjs");
			await writeFile(
				file,
				`export function handleMessages(batch) {
					return batch.map(({ key, value }) => {
						const id = key.toString();
						return value === null ? { id, delete: true } : { id, fields: { n: JSON.parse(value.toString()).n } };
					});
				}`,
			);
			const [first] = scene.daemons;
			await scene.startDaemon({ handler: { module: file } });
			await scene.progress();
			await scene.during(2_000);
			expect(await scene.end(first as never)).toBe(0);
		},
	},
];
