/** `offsets`: shows a group's committed offsets, its lag, and which member has which partition. offsets-set.ts has `offsets set`. */
import type { Command } from "commander";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { counted } from "../../core/text/counted.ts";
import { type GroupDescription, type MemberDescription, nativeMissing } from "../../kafka/native.ts";
import { ClusterInspector, type GroupOffset } from "../../kafka/topics.ts";
import { refused } from "../../kafka/watches/rights.ts";
import { type CommandContext, print } from "../command-context.ts";
import { kafkaOf } from "../configured.ts";
import { textTable } from "../terminal/text-table.ts";
import { noGroup } from "./unknown-group.ts";

/** Kafka's state of a group that does not exist, or has expired. */
const DEAD = "Dead";

/** What to show. */
export interface OffsetsOptions {
	readonly topic?: string;
	readonly json?: boolean;
}

/** Prints the offsets. */
export async function showOffsets(
	group: string,
	{ topic, json }: OffsetsOptions,
	command: Command,
	context: CommandContext,
): Promise<void> {
	const { kafka, embedded } = await kafkaOf(command, context);
	await using inspector = await ClusterInspector.connect(kafka, context.clock, group);
	if (topic !== undefined && !inspector.topics.includes(topic)) throw await inspector.absent(topic, "Describe", "");
	const all = await inspector
		.groupOffsets(topic === undefined ? inspector.topics : [topic])
		.catch(refused({ ...kafka, group }, { group: "Describe" }));
	const members = await inspector.group(group).catch(refused({ ...kafka, group }, { group: "Describe" }));
	const owners = ownersOf(members);
	const used = new Set([...all.filter(({ committed }) => committed !== null), ...owned(members)].map((each) => each.topic));
	const shown = topic === undefined ? all.filter((each) => used.has(each.topic)) : all;
	// Without the addon, and at the embedded broker, members without offsets can't be seen.
	const isUnknown = shown.length === 0 && (members === null || (members.members.length === 0 && members.state === DEAD));
	if (isUnknown) throw noGroup(group, [kafka.group]);
	if (json) {
		const told = shown.map((each) => ({ group, ...each, member: owners?.get(partitionName(each)) ?? null }));
		return print(context.stdout, JSON.stringify(told));
	}
	const table = textTable(
		["GROUP", "TOPIC", "PARTITION", "LAG", "LAG%", "COMMITTED", "LATEST", "CLIENT", "HOST", "MEMBER"],
		shown.map((each) => row(group, each, owners)),
	);
	print(context.stdout, table);
	if (members) print(context.stderr, groupWords(group, members));
	else if (nativeMissing && !embedded)
		print(context.stderr, "who has which partition can't be told without the addon (binding.gyp-notes.md)");
	else print(context.stderr, `the ${embedded ? "embedded " : ""}broker does not tell who has which partition: see pockaffe status`);
}

/** The owner of a partition. */
type Owner = Omit<MemberDescription, "partitions">;

function owned(members: GroupDescription | null): TopicPartition[] {
	return (members?.members ?? []).flatMap(({ partitions }) => partitions);
}

/** Owners by partition; null if nobody can tell. */
function ownersOf(group: GroupDescription | null): ReadonlyMap<string, Owner> | null {
	if (!group) return null;
	return new Map(group.members.flatMap(({ partitions, ...owner }) => partitions.map((each) => [partitionName(each), owner] as const)));
}

function groupWords(group: string, { state, members }: GroupDescription): string {
	const idle = members.filter(({ partitions }) => partitions.length === 0).map(({ clientId, host }) => `${clientId} ${host}`);
	const without = idle.length === 0 ? "" : `; without a partition: ${idle.join(", ")}`;
	const unknown = state === DEAD ? ": Kafka has no such group; is the name right?" : "";
	return `group ${group}: ${state}, ${counted(members.length, "member")}${without}${unknown}`;
}

function row(
	group: string,
	{ topic, partition, lag, lagPercent, committed, latest }: GroupOffset,
	owners: ReadonlyMap<string, Owner> | null,
): (string | number)[] {
	const owner = owners?.get(partitionName({ topic, partition }));
	const member = owner ? [owner.clientId, owner.host, owner.instanceId || owner.memberId] : ["-", "-", "-"];
	const percent = lagPercent === null ? "-" : `${lagPercent.toFixed(lagPercent > 0 && lagPercent < 10 ? 1 : 0)}%`;
	return [group, topic, partition, lag ?? "-", percent, committed ?? "-", latest, ...member];
}
