/** Chooses the group's partitions that a command is about: all, those of a topic, or one. */
import type { Config } from "../../config/config.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { isTopicMeant, type TopicPartition } from "../../core/messages/message.ts";
import type { SetTo } from "../../kafka/offsets/offset-plan.ts";
import type { ClusterInspector } from "../../kafka/topics.ts";
import type { Operation } from "../../kafka/watches/rights.ts";

/** What the user said. */
export interface ChosenBy {
	readonly topic?: string | undefined;
	readonly partition?: number | undefined;
	/** By option; an offset makes sense for one partition only. */
	readonly offsets: Readonly<Record<string, SetTo | undefined>>;
}

/** Rejects (ExitError) if there is none, or if options don't go together. `wanted`: the right needed on each. */
export async function chosenPartitions(
	{ kafka }: Config,
	inspector: ClusterInspector,
	{ topic, partition, offsets }: ChosenBy,
	wanted: Operation,
): Promise<TopicPartition[]> {
	const topics = topic === undefined ? inspector.topics.filter((name) => kafka.topics.some((entry) => isTopicMeant(entry, name))) : [topic];
	const all = topics.flatMap((name) => inspector.partitionsOf(name).map((number) => ({ topic: name, partition: number })));
	// A group with several topics uses those that exist; a topic that this user may not see is reported before anything is changed.
	const named = topic === undefined ? kafka.topics.filter((name) => !name.startsWith("^")) : [topic];
	for (const name of named.filter((each) => !inspector.topics.includes(each))) {
		const absence = await inspector.absent(name, wanted, "");
		if (absence.code === "not_authorized" || all.length === 0) throw absence;
	}
	if (all.length === 0) throw new ExitError(exitCodes.found, "no_topic", `there is no topic ${kafka.topics.join(", ")}`);
	if (partition !== undefined && topics.length > 1)
		throw new ExitError(exitCodes.usage, "topic", `--partition ${partition} of which topic? Add --topic: ${topics.join(", ")}`);
	const chosen = all.filter((each) => partition === undefined || each.partition === partition);
	if (partition !== undefined && chosen.length === 0)
		throw noPartition(topics[0] as string, partition, inspector.partitionsOf(topics[0] as string));
	for (const [option, where] of Object.entries(offsets)) {
		if (where?.kind !== "offset" || chosen.length === 1) continue;
		const what = `${option} ${where.offset} is an offset of one partition: add --topic and --partition`;
		throw new ExitError(exitCodes.usage, "partition", what);
	}
	return chosen;
}

/** The error for a partition that the topic does not have. */
export function noPartition(topic: string, partition: number, existing: readonly number[]): ExitError {
	const those = existing.length === 1 ? "its only one is 0" : `it has 0 to ${existing.length - 1}`;
	return new ExitError(exitCodes.usage, "partition", `topic ${topic} has no partition ${partition}: ${those}`);
}
