/** `offsets`: what a group has committed, and how far it is behind. `offsets set` is offsets-set.ts. */
import type { Command } from "commander";
import { refused } from "../kafka/rights.ts";
import { ClusterInspector, type GroupOffset } from "../kafka/topics.ts";
import { type CommandContext, kafkaOf, print } from "./command-context.ts";
import { registerOffsetsSet } from "./offsets-set.ts";
import { textTable } from "./text-table.ts";

export function registerOffsets(program: Command, context: CommandContext): void {
	const offsets = program
		.command("offsets")
		.description("show a group's committed offsets and lag; set them")
		.argument("<group>", "consumer group")
		.option("--topic <topic>", "only this topic, also where nothing is committed")
		.option("--json", "as JSON")
		.action(async (group: string, { topic, json }: { topic?: string; json?: boolean }, command: Command) => {
			const { kafka } = await kafkaOf(command, context);
			await using inspector = await ClusterInspector.connect(kafka, context.clock, group);
			if (topic !== undefined && !inspector.topics.includes(topic)) throw await inspector.absent(topic, "Describe", "");
			const all = await inspector
				.groupOffsets(topic === undefined ? inspector.topics : [topic])
				.catch(refused({ ...kafka, group }, { group: "Describe" }));
			const used = new Set(all.filter(({ committed }) => committed !== null).map((each) => each.topic));
			const shown = topic === undefined ? all.filter((each) => used.has(each.topic)) : all;
			if (json) print(context.stdout, JSON.stringify(shown.map((each) => ({ group, ...each }))));
			else
				print(
					context.stdout,
					textTable(
						["GROUP", "TOPIC", "PARTITION", "LAG", "LAG%", "COMMITTED", "LATEST"],
						shown.map((each) => row(group, each)),
					),
				);
		});
	registerOffsetsSet(offsets, context);
}

function row(group: string, { topic, partition, lag, lagPercent, committed, latest }: GroupOffset): (string | number)[] {
	const percent = lagPercent === null ? "-" : `${lagPercent.toFixed(lagPercent > 0 && lagPercent < 10 ? 1 : 0)}%`;
	return [group, topic, partition, lag ?? "-", percent, committed ?? "-", latest];
}
