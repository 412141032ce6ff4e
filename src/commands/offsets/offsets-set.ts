/**
 * `offsets set`: sets where a group goes on. The daemons that have the partitions do it, after finishing what they have in hand. While none
 * runs, the command sets them itself (offset-setting.ts). If offsets are in the database, it also does so when a daemon can't be asked.
 */
import type { Command } from "commander";
import type { Config } from "../../config/config.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { counted } from "../../core/text/counted.ts";
import type { OffsetPlan, SetTo } from "../../kafka/offsets/offset-plan.ts";
import type { ClusterInspector } from "../../kafka/topics.ts";
import { refused } from "../../kafka/watches/rights.ts";
import { type CommandContext, print } from "../command-context.ts";
import { daemonConfig } from "../configured.ts";
import { isConfirmed } from "../terminal/confirmation.ts";
import { textTable } from "../terminal/text-table.ts";
import { GroupDaemons } from "./group-daemons.ts";
import { hasMoved } from "./moved-meanwhile.ts";
import { type OffsetSetting, type StoredPlan, withSetting } from "./offset-setting.ts";
import { noGroup } from "./unknown-group.ts";

const NOTHING = "nothing was changed";

interface SetOptions {
	readonly to: SetTo;
	readonly topic?: string;
	readonly partition?: number;
	readonly url?: readonly string[];
	readonly dryRun?: boolean;
	readonly yes?: boolean;
	readonly json?: boolean;
}

/** The part of a plan that is shown. */
type Shown = Pick<OffsetPlan, "topic" | "partition" | "log" | "kept" | "to" | "again" | "passedOver">;

interface Setting {
	readonly config: Config;
	/** `kafka.group`; the command may name another. */
	readonly configuredGroup: string;
	readonly setting: OffsetSetting;
	readonly inspector: ClusterInspector;
	readonly daemons: () => Promise<GroupDaemons>;
	readonly options: SetOptions;
}

/** Shows what would be done, asks, and does it. */
export async function setGroupsOffsets(group: string | undefined, command: Command, context: CommandContext): Promise<void> {
	// `offsets` also has --topic and --json, and takes them if they follow `set`.
	const options = command.optsWithGlobals<SetOptions>();
	requirePast(options.to, context);
	const { config: base } = await daemonConfig(command, context, { "--to": options.to });
	const config = group === undefined ? base : { ...base, kafka: { ...base.kafka, group } };
	await withSetting(config, context, async (setting, inspector) => {
		const daemons = () => GroupDaemons.find(config.kafka.group, options.url ?? [], command, context);
		await set({ config, configuredGroup: base.kafka.group, setting, inspector, daemons, options }, context);
	});
}

/** A time to come would be the end of the log, which nobody means who names a time. Throws ExitError. */
function requirePast(to: SetTo, { clock }: Pick<CommandContext, "clock">): void {
	if (to.kind !== "time" || to.timestampMs <= clock.now()) return;
	const [wanted, now] = [to.timestampMs, clock.now()].map((ms) => new Date(ms).toISOString());
	const words = `--to ${wanted} is in the future (it is ${now}): for the end of the log, --to latest; ${NOTHING}`;
	throw new ExitError(exitCodes.usage, "future", words);
}

async function set({ config, configuredGroup, setting, inspector, daemons, options }: Setting, context: CommandContext): Promise<void> {
	const { stdout } = context;
	const plans = await setting.plan(options);
	await requireGroup(config.kafka.group, configuredGroup, setting, plans, context);
	if (options.dryRun) {
		if (options.json) print(stdout, JSON.stringify(plans.map(shown)));
		else print(stdout, `${planTable(plans)}\nNothing was changed (--dry-run). With these offsets, ${countWords(plans)}.`);
		return;
	}
	const running = await runningDaemons(config, plans, inspector, daemons);
	const question = `${planTable(plans)}\nThis will set the offsets of group ${config.kafka.group}: ${countWords(plans)}.`;
	if (!(await isConfirmed(question, options.yes === true, context))) return;
	if (options.yes !== true) {
		// A person may think for a long time. The target was confirmed; the present offsets may have moved.
		const now = await setting.plan(options, new Map(plans.map((plan) => [partitionName(plan), plan.to])));
		const runningNow = await runningDaemons(config, now, inspector, daemons);
		if (hasMoved(plans, now, (plan) => [running.has(plan), runningNow.has(plan)])) {
			print(stdout, options.json ? JSON.stringify(now.map(shown)) : planTable(now));
			throw new ExitError(exitCodes.found, "moved", `the group has moved meanwhile: run this again; ${NOTHING}`);
		}
		return await carryOut({ config, setting, options }, now, runningNow, context);
	}
	await carryOut({ config, setting, options }, plans, running, context);
}

async function carryOut(
	{ config, setting, options }: Pick<Setting, "config" | "setting" | "options">,
	plans: readonly StoredPlan[],
	running: GroupDaemons,
	{ stdout }: CommandContext,
): Promise<void> {
	const [theirs, others] = [plans.filter((plan) => running.has(plan)), plans.filter((plan) => !running.has(plan))];
	const { set: told, failed } = theirs.length > 0 ? await running.set(theirs) : { set: [], failed: [] };
	// Partitions without a daemon are left alone too if one failed: the command is run again for all of them.
	const own = failed.length === 0 ? others : [];
	const moved = own.length > 0 ? await setting.carryOut(own) : [];
	const names = (partitions: readonly TopicPartition[]) => partitions.map(partitionName);
	const [bySelf, byDaemon] = [new Set(names(own)), new Map(told.map((found) => [partitionName(found), found]))];
	for (const name of names(moved)) bySelf.delete(name);
	const done = plans.flatMap((plan): Shown[] => {
		if (bySelf.has(partitionName(plan))) return [plan];
		const found = byDaemon.get(partitionName(plan));
		return found ? [{ ...plan, kept: found.committed, again: found.again, passedOver: found.passedOver }] : [];
	});
	const inDatabase = bySelf.size > 0 && config.offsets.store === "postgres";
	const later = inDatabase ? " in the database; a running daemon begins there within some seconds" : "";
	if (options.json) print(stdout, JSON.stringify(done.map(shown)));
	else if (done.length > 0)
		print(stdout, `${planTable(done)}\nThe offsets of group ${config.kafka.group} are set${later}: ${countWords(done)}.`);
	if (done.length === plans.length) return;
	const troubled = new Set(failed.flatMap(({ partitions }) => names(partitions)));
	const released = names(theirs).filter((name) => !byDaemon.has(name) && !troubled.has(name));
	const left = [
		...(released.length > 0 ? [`a rebalance came in between: ${released.join(", ")}`] : []),
		...failed.map(({ partitions, why }) => `${names(partitions).join(", ")} (${why})`),
		...(failed.length > 0 && others.length > 0 ? [`${names(others).join(", ")} (no daemon has it)`] : []),
		...(moved.length > 0 ? [`the group has moved meanwhile: ${names(moved).join(", ")}`] : []),
	];
	throw new ExitError(exitCodes.found, "not_all_set", `not set, ${left.join("; ")}. Run this again`);
}

/** A group that has not begun can be set only if it is the configured one: another name is probably mistyped, and ends in ExitError. */
async function requireGroup(
	group: string,
	configured: string,
	setting: OffsetSetting,
	plans: readonly StoredPlan[],
	{ stderr }: CommandContext,
): Promise<void> {
	if (await setting.hasBegun(plans)) return;
	if (group !== configured)
		throw noGroup(
			group,
			[configured, ...(await setting.notedGroups())],
			`; to set where a new group begins, configure it (kafka.group); ${NOTHING}`,
		);
	print(stderr, `group ${group} has not begun yet (is kafka.group right?): its first start will be at these offsets`);
}

/** The daemons that answer. Throws ExitError if offsets in Kafka belong to a daemon that doesn't. */
async function runningDaemons(
	{ kafka, offsets }: Config,
	plans: readonly TopicPartition[],
	inspector: ClusterInspector,
	daemons: () => Promise<GroupDaemons>,
): Promise<GroupDaemons> {
	const group = await inspector.group(kafka.group).catch(refused(kafka, { group: "Describe" }));
	// Without the addon the members are not known; then Kafka itself refuses a group with members.
	if (group?.members.length === 0) return GroupDaemons.none;
	const found = await daemons();
	if (offsets.store === "postgres" || !group) return found;
	const owners = new Map(group.members.flatMap(({ partitions, ...owner }) => partitions.map((each) => [partitionName(each), owner])));
	const left = plans.filter((plan) => !found.has(plan)).map(partitionName);
	if (left.length === 0) return found;
	const whose = left.map((name) => {
		const owner = owners.get(name);
		return owner ? `${name} (${owner.clientId} at ${owner.host})` : `${name} (nobody yet)`;
	});
	const words = `group ${kafka.group} has members, and no daemon answered that has ${whose.join(", ")}`;
	const ways =
		"say where each daemon is (--url, once for each; http.admin: true), or stop them (one that was killed counts until its session is over)";
	throw new ExitError(exitCodes.found, "has_members", `${words}: ${ways}; ${NOTHING}${found.trouble ? `. ${found.trouble}` : ""}`);
}

function shown({ topic, partition, log, kept, to, again, passedOver }: Shown) {
	return { topic, partition, low: log.low, high: log.high, committed: kept, to, again, passedOver };
}

function planTable(plans: readonly Shown[]): string {
	return textTable(
		["TOPIC", "PARTITION", "LOG", "COMMITTED", "TO", "AGAIN", "PASSED-OVER"],
		plans.map(({ topic, partition, log, kept, to, again, passedOver }) => [
			topic,
			partition,
			`${log.low}-${log.high}`,
			kept ?? "-",
			to,
			again,
			passedOver,
		]),
	);
}

function areOf(count: number): string {
	return count === 1 ? "is" : "are";
}

function countWords(plans: readonly Shown[]): string {
	const [again, passedOver] = [plans.reduce((sum, plan) => sum + plan.again, 0), plans.reduce((sum, plan) => sum + plan.passedOver, 0)];
	return `at most ${counted(again, "message")} ${areOf(again)} read again, ${passedOver} ${areOf(passedOver)} passed over`;
}
