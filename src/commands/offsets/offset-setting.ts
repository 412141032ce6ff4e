/**
 * Sets a group's offsets directly. Offsets in Kafka: only while the group has no members, which Kafka enforces. Offsets in the database:
 * also while daemons run, which notice within some seconds and go on there.
 */
import type { Config } from "../../config/config.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { compareLogIds } from "../../core/offsets/log-identity.ts";
import type { StoredNote } from "../../core/offsets/position-note.ts";
import { KafkaError, kafkaErrors } from "../../kafka/client/kafka-error.ts";
import { type OffsetPlan, planOffset, type SetTo } from "../../kafka/offsets/offset-plan.ts";
import { ClusterInspector } from "../../kafka/topics.ts";
import { refused } from "../../kafka/watches/rights.ts";
import { connectDatabase, type Database } from "../../sink/database/database.ts";
import { NoteFence } from "../../sink/offsets/note-fence.ts";
import { OffsetTable } from "../../sink/offsets/offset-table.ts";
import { StartRecorder } from "../../sink/offsets/start-recorder.ts";
import { StartTable } from "../../sink/offsets/start-table.ts";
import { type CommandContext, print } from "../command-context.ts";
import { failureWords } from "../failure-words.ts";
import { chosenPartitions } from "./chosen-partitions.ts";
import { notedGroups } from "./unknown-group.ts";

/** `stored` is the offset that was found, of whichever log. The table of offsets replaces no other. */
export type StoredPlan = OffsetPlan & { readonly stored: number | null };

/** What to set. */
export interface WantedOffsets {
	readonly to: SetTo;
	readonly topic?: string;
	readonly partition?: number;
	/** True: offsets before the target are finished, not passed over. The note keeps its start and what it says was skipped. */
	readonly isFinished?: boolean;
}

const DEADLINE_MS = 10_000;
/** Attempts to write a note: a daemon that begins may write one at the same moment. */
const NOTE_TRIES = 5;

/** Opens what setting needs, and closes it after `work`. Rejects (ExitError). */
export async function withSetting<T>(
	config: Config,
	{ clock, stderr }: Pick<CommandContext, "clock" | "stderr">,
	work: (setting: OffsetSetting, inspector: ClusterInspector) => Promise<T>,
): Promise<T> {
	const { kafka } = config;
	const database = connectDatabase({ ...config.database, connections: 1, clock, deadlineMs: DEADLINE_MS });
	try {
		await using inspector = await ClusterInspector.connect(kafka, clock, kafka.group);
		const setting = new OffsetSetting(config, database, inspector, (message) => print(stderr, message));
		return await work(setting, inspector).catch(refused(kafka, { group: "Read" }));
	} catch (error) {
		if (error instanceof ExitError) throw error;
		throw new ExitError(exitCodes.found, "offsets_set", `can't set offsets: ${failureWords(error)}`, { cause: error });
	} finally {
		await database.close();
	}
}

/** Sets offsets directly in the group, whoever runs. */
export function setOffsets(config: Config, wanted: WantedOffsets, context: CommandContext): Promise<void> {
	return withSetting(config, context, async (setting) => {
		const moved = await setting.carryOut(await setting.plan(wanted));
		if (moved.length === 0) return;
		const words = `the group has moved meanwhile in ${moved.map(partitionName).join(", ")}, which was not set: run this again`;
		throw new ExitError(exitCodes.found, "moved", words);
	});
}

/** Plans and stores offsets. Killed in the middle, it leaves each offset either as it was or as wanted; run again, it finishes. */
export class OffsetSetting {
	readonly #config: Config;
	readonly #database: Database;
	readonly #inspector: ClusterInspector;
	readonly #table: OffsetTable | null;
	readonly #notes: StartRecorder;

	constructor(config: Config, database: Database, inspector: ClusterInspector, warn: (message: string) => void) {
		const { table, store } = config.offsets;
		const consumerGroup = config.kafka.group;
		this.#config = config;
		this.#database = database;
		this.#inspector = inspector;
		this.#table = store === "postgres" ? new OffsetTable({ database, table, consumerGroup }) : null;
		this.#notes = new StartRecorder({
			table: new NoteFence(new StartTable({ database, offsetsTable: table, consumerGroup })),
			notRecorded: (message) => warn(`what is passed over can't be noted, verify would miss it: ${message}`),
		});
	}

	/** Plans, and changes nothing. `fixed`: targets by partition, if decided before; such a target may be outside the log by now. */
	async plan(options: WantedOffsets, fixed: ReadonlyMap<string, number> = new Map()): Promise<StoredPlan[]> {
		const partitions = await chosenPartitions(
			this.#config,
			this.#inspector,
			{ ...options, offsets: { "--to": options.to } },
			this.#table ? "Describe" : "Read",
		);
		const kept = this.#table ? await this.#table.stored(partitions) : await this.#inspector.committed(partitions);
		const noted = await this.#notes.read();
		const ids = await this.#inspector.topicIds([...new Set(partitions.map(({ topic }) => topic))]);
		return Promise.all(
			kept.map(async ({ topic, partition, offset }) => {
				const log = await this.#inspector.watermarks({ topic, partition });
				const to = fixed.get(partitionName({ topic, partition })) ?? (await this.#target(options.to, { topic, partition }, log));
				const note = noted.get(partitionName({ topic, partition }))?.note ?? null;
				const keptIn = this.#table ? "table" : "kafka";
				const logId = ids.get(topic) ?? null;
				const plan = { ...planOffset({ topic, partition, kept: offset, keptIn, noted: note, logId, log }, to), stored: offset };
				if (!options.isFinished) return plan;
				const isNoted = note !== null && compareLogIds(note.log.id, logId) !== "other";
				return {
					...plan,
					note: isNoted ? { ...note, ...(this.#table || to === offset ? {} : { reached: to }) } : { ...plan.note, skipped: [] },
				};
			}),
		);
	}

	/**
	 * True if the group has begun, whatever the plans are about: an offset or a note of it is stored, or it has members. Only Kafka's
	 * offsets of topics that this user may see count.
	 */
	async hasBegun(plans: readonly StoredPlan[]): Promise<boolean> {
		if (plans.some(({ stored }) => stored !== null)) return true;
		if ((await this.#notes.read()).size > 0) return true;
		const members = await this.#inspector.group(this.#config.kafka.group);
		if (members && members.members.length > 0) return true;
		const all = this.#inspector.topics.flatMap((topic) => this.#inspector.partitionsOf(topic).map((partition) => ({ topic, partition })));
		return all.length > 0 && (await this.#inspector.committed(all)).some(({ offset }) => offset !== null);
	}

	/** Groups with notes in the database. */
	notedGroups(): Promise<string[]> {
		return notedGroups(this.#config, this.#database);
	}

	/**
	 * Stores the plans. Returns partitions that were not set, because their stored offset is no longer the planned one.
	 *
	 * The order of note and offset: if offsets are in the database, a daemon may begin at once and must find the note, so the note is first.
	 * If they are in Kafka, a note behind the offset would look like a restored database: so the note is first when going forward, and last
	 * when going back. A kill in between leaves a note that is ahead, which the next start shortens.
	 */
	async carryOut(plans: readonly StoredPlan[]): Promise<TopicPartition[]> {
		const positions = plans.map(({ topic, partition, to, note, stored }) => ({
			topic,
			partition,
			offset: to,
			replaces: stored,
			logId: note.log.id,
			witness: note.log.witness,
		}));
		await this.#notes.prepare();
		if (this.#table) {
			const undo = await this.#note(plans);
			const moved = await this.#table.set(positions);
			if (moved.length > 0) await undo(moved).catch(() => {});
			return moved;
		}
		const isOn = ({ kept, to }: OffsetPlan) => kept !== null && to >= kept;
		const undo = await this.#note(plans.filter(isOn));
		await this.#commit(positions, undo);
		await this.#note(plans.filter((plan) => !isOn(plan)));
		return [];
	}

	async #commit(positions: readonly (TopicPartition & { readonly offset: number })[], undo: () => Promise<unknown>): Promise<void> {
		try {
			await this.#inspector.commit(positions);
		} catch (error) {
			await undo().catch(() => {});
			if (!(error instanceof KafkaError) || !HAS_MEMBERS.includes(error.kafkaCode)) throw error;
			const { group } = this.#config.kafka;
			const ways = "say where each daemon is (--url, once for each), or stop them (one that was killed counts until its session is over)";
			const words = `group ${group} has members by now: ${ways}, and run this again; nothing was changed`;
			throw new ExitError(exitCodes.found, "has_members", words, { cause: error });
		}
	}

	/** Writes the notes. Returns a function that restores the former notes, of all partitions or some. */
	async #note(plans: readonly OffsetPlan[]): Promise<(some?: readonly TopicPartition[]) => Promise<unknown>> {
		for (let tries = 1; ; tries++) {
			const before = await this.#notes.read();
			const replaces = (plan: TopicPartition): StoredNote | null => before.get(partitionName(plan)) ?? null;
			try {
				await this.#notes.begin(
					plans.map((plan) => ({ topic: plan.topic, partition: plan.partition, note: plan.note, replaces: replaces(plan) })),
				);
				return async (some = plans) => {
					const now = await this.#notes.read();
					const former = some.flatMap(({ topic, partition }) => {
						const [was, is] = [before.get(partitionName({ topic, partition })), now.get(partitionName({ topic, partition }))];
						return was && is ? [{ topic, partition, note: was.note, replaces: is }] : [];
					});
					await this.#notes.begin(former);
				};
			} catch (error) {
				if (tries >= NOTE_TRIES || (error as { code?: unknown }).code !== "note_changed") throw error;
			}
		}
	}

	async #target(to: SetTo, partition: TopicPartition, { low, high }: { low: number; high: number }): Promise<number> {
		switch (to.kind) {
			case "earliest":
				return low;
			case "latest":
				return high;
			case "time":
				return (await this.#inspector.offsetForTime(partition, to.timestampMs)) ?? high;
			case "offset":
				if (to.offset >= low && to.offset <= high) return to.offset;
				throw new ExitError(
					exitCodes.usage,
					"outside",
					`offset ${to.offset} is outside the log of ${partitionName(partition)}, which has ${low} to ${high}`,
				);
		}
	}
}

/** Kafka's errors if a group has members and the one that commits is none of them. */
const HAS_MEMBERS: readonly number[] = [kafkaErrors.unknownMember, kafkaErrors.illegalGeneration, kafkaErrors.rebalanceInProgress];
