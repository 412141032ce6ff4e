/** `topic create` and `topic describe`. */

import type { Command } from "commander";
import { ExitError, exitCodes } from "../core/errors.ts";
import { counted } from "../core/text/counted.ts";
import { awaitTopic, ClusterInspector, createTopic } from "../kafka/topics.ts";
import { creationHint } from "../kafka/watches/absent-topic.ts";
import { refused } from "../kafka/watches/rights.ts";
import { type CommandContext, kafkaOf, print } from "./command-context.ts";
import { wholeNumber } from "./terminal/option-values.ts";
import { textTable } from "./terminal/text-table.ts";

/** What the mock cluster gives every topic. */
const EMBEDDED_PARTITIONS = 4;

export function registerTopic(program: Command, context: CommandContext): void {
	const topic = program
		.command("topic")
		.description("create and describe topics")
		.allowExcessArguments()
		.action(() => {
			throw new ExitError(
				exitCodes.usage,
				"no_topic_command",
				"type: pockaffe topic create <topic> -p <partitions>, or pockaffe topic describe <topic>",
			);
		});
	topic
		.command("create")
		.description("create a topic")
		.argument("<topic>", "name of the topic")
		.requiredOption("-p, --partitions <count>", "partitions", wholeNumber)
		.option("-r, --replication <count>", "replicas of each partition", wholeNumber, 1)
		.action(async (name: string, { partitions, replication }: { partitions: number; replication: number }, command: Command) => {
			const { kafka, embedded } = await kafkaOf(command, context);
			if (embedded)
				throw new ExitError(
					exitCodes.found,
					"embedded_topics",
					`the embedded broker creates topics by itself, with ${EMBEDDED_PARTITIONS} partitions: produce to ${name}`,
				);
			await createTopic(kafka, { name, partitions, replication }).catch(refused(kafka, { topic: ["Create", name] }));
			await awaitTopic(kafka, context.clock, name, partitions);
			print(context.stdout, `Created topic ${name} with ${counted(partitions, "partition")}.`);
		});
	topic
		.command("describe")
		.description("show a topic's partitions: leader, replicas, in-sync replicas, watermarks")
		.argument("<topic>", "name of the topic")
		.option("--json", "as JSON")
		.action(async (name: string, { json }: { json?: boolean }, command: Command) => {
			const { kafka } = await kafkaOf(command, context);
			await using inspector = await ClusterInspector.connect(kafka, context.clock);
			const partitions = await inspector.describe(name);
			if (!partitions) throw await inspector.absent(name, "Describe", creationHint(name));
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
		});
}
