/** `topic create` and `topic describe`. */
import type { Command } from "commander";
import { ExitError, exitCodes } from "../core/errors.ts";
import { counted } from "../core/text/counted.ts";
import { missingTopicHint } from "../core/text/missing-topic.ts";
import { awaitTopic, ClusterInspector, createTopic } from "../kafka/topics.ts";
import { refused } from "../kafka/watches/rights.ts";
import { type CommandContext, print } from "./command-context.ts";
import { kafkaOf } from "./configured.ts";
import { textTable } from "./terminal/text-table.ts";

/** Partitions of every topic of the mock cluster. */
const EMBEDDED_PARTITIONS = 4;

/** Options of `create`. */
export interface CreateTopicOptions {
	readonly partitions: number;
	readonly replication: number;
}

/** Options of `describe`. */
export interface DescribeTopicOptions {
	readonly json?: boolean;
}

/** `topic create`. */
export async function createNamed(
	name: string,
	{ partitions, replication }: CreateTopicOptions,
	command: Command,
	context: CommandContext,
): Promise<void> {
	const { kafka, embedded } = await kafkaOf(command, context);
	if (embedded)
		throw new ExitError(
			exitCodes.found,
			"embedded_topics",
			`the embedded broker creates topics automatically, with ${EMBEDDED_PARTITIONS} partitions: produce to ${name}`,
		);
	await createTopic(kafka, { name, partitions, replication }).catch(refused(kafka, { topic: ["Create", name] }));
	await awaitTopic(kafka, context.clock, name, partitions);
	print(context.stdout, `Created topic ${name} with ${counted(partitions, "partition")}.`);
}

/** `topic describe`. */
export async function describe(name: string, { json }: DescribeTopicOptions, command: Command, context: CommandContext): Promise<void> {
	const { kafka } = await kafkaOf(command, context);
	await using inspector = await ClusterInspector.connect(kafka, context.clock);
	const partitions = await inspector.describe(name);
	if (!partitions) throw await inspector.absent(name, "Describe", `: ${missingTopicHint(name)}`);
	if (json) {
		print(context.stdout, JSON.stringify({ topic: name, partitions }));
		return;
	}
	print(context.stdout, `NAME        ${name}\nPARTITIONS  ${partitions.length}\n`);
	const rows = partitions.map((each) => [
		each.partition,
		each.leader,
		each.replicas.join(","),
		each.inSyncReplicas.join(","),
		each.lowWatermark,
		each.highWatermark,
	]);
	print(context.stdout, textTable(["PARTITION", "LEADER", "REPLICAS", "IN-SYNC", "LOW-WATERMARK", "HIGH-WATERMARK"], rows));
}
