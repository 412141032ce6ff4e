/** What people and accidents do to the topic. */
import { deleteRecords } from "../support/kafka/kafka-admin.ts";
import { raisePartitions } from "../support/kafka/load-topic.ts";
import { openTransaction } from "../support/kafka/open-transaction.ts";
import type { Operation } from "./operation.ts";
import { type OperationScene, PARTITIONS } from "./scene.ts";

/** Deleted and made again under load, with `partitions`; what the old log had and nobody read is lost with it. */
async function makeAgain(scene: OperationScene, partitions = PARTITIONS): Promise<void> {
	await scene.deleteTopic();
	await scene.makeTopic(partitions);
}

/** Made again while no daemon runs; the new log is longer than the old one was before a daemon starts. */
function madeAgainWhileStopped(name: string, config: NonNullable<Operation["config"]>): Operation {
	return {
		name: `the topic is made again while no daemon runs (${name})`,
		config,
		leavesExtra: true,
		run: (scene) =>
			scene.whileStopped(async () => {
				await makeAgain(scene);
				await scene.during(5_000);
			}),
	};
}

/** A segment a second. */
const quickly = { "segment.ms": "1000", "file.delete.delay.ms": "0" };

export const topicOperations: readonly Operation[] = [
	{
		name: "the topic gets more partitions",
		may: ["not_in_group"],
		run: async (scene) => {
			await raisePartitions(scene.brokers, scene.topic, 7);
			await scene.during(5_000);
		},
	},
	{
		name: "the topic is made again under load",
		may: ["topic_missing"],
		leavesExtra: true,
		run: async (scene) => {
			await makeAgain(scene);
			await scene.progress();
		},
	},
	{
		name: "the topic is made again with fewer partitions",
		may: ["topic_missing"],
		leavesExtra: true,
		run: async (scene) => {
			await makeAgain(scene, 1);
			await scene.progress();
		},
	},
	{
		name: "the topic is away for a while",
		says: ["topic_missing"],
		leavesExtra: true,
		run: async (scene) => {
			await scene.deleteTopic();
			await scene.says("topic_missing");
			await scene.makeTopic();
			await scene.progress();
		},
	},
	madeAgainWhileStopped("offsets in kafka", {}),
	madeAgainWhileStopped("startFrom latest", { kafka: { startFrom: "latest" } }),
	madeAgainWhileStopped("offsets in postgres", { offsets: { store: "postgres", commitIntervalMs: 100 } }),
	{
		name: "old records are deleted by retention",
		topic: { ...quickly, "retention.ms": "2000" },
		run: (scene) => scene.during(10_000),
	},
	{
		name: "records are deleted before they were read",
		says: ["parked"],
		run: async (scene) => {
			await scene.whileStopped(async () => {
				await scene.during(2_000);
				for (const { partition, latest } of await scene.offsets()) await deleteRecords(scene.brokers, scene.topic, partition, latest);
				scene.load.forget();
			});
			await scene.followAdvice("parked", "earliest");
		},
	},
	{
		name: "the log is compacted under a running daemon, and before one that was stopped",
		topic: { ...quickly, "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01" },
		run: async (scene) => {
			await scene.during(5_000);
			await scene.whileStopped(() => scene.during(8_000));
		},
	},
	{
		name: "transactions are aborted",
		run: async (scene) => {
			for (let i = 0; i < 5; i++) {
				const transaction = await openTransaction(scene.brokers, scene.topic, `id-${i}`);
				await scene.during(500);
				await transaction.abort();
				await scene.progress();
			}
		},
	},
	{
		name: "a transaction hangs",
		says: ["standing_transaction"],
		run: async (scene) => {
			const transaction = await openTransaction(scene.brokers, scene.topic);
			await scene.says("standing_transaction");
			await transaction.abort();
		},
	},
];
