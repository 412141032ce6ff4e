/**
 * `offsets set`: where a group goes on. With offsets in Kafka only while the group has no members, which Kafka sees to; with offsets in the
 * database also under a running daemon, which finds that out within some seconds and begins there.
 */
import type { Command } from "commander";
import type { Config } from "../../config/config.ts";
import { ExitError, exitCodes, messageOf } from "../../core/errors.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { compareIds } from "../../core/offsets/log-identity.ts";
import type { StoredNote } from "../../core/offsets/position-note.ts";
import { KafkaError, kafkaErrors } from "../../kafka/client/kafka-error.ts";
import { type OffsetPlan, planOffset, type SetTo } from "../../kafka/offsets/offset-plan.ts";
import { ClusterInspector } from "../../kafka/topics.ts";
import { refused } from "../../kafka/watches/rights.ts";
import { connectDatabase, type Database } from "../../sink/database/database.ts";
import { problemOf } from "../../sink/database/sql-faults.ts";
import { NoteFence } from "../../sink/offsets/note-fence.ts";
import { OffsetTable } from "../../sink/offsets/offset-table.ts";
import { StartRecorder } from "../../sink/offsets/start-recorder.ts";
import { StartTable } from "../../sink/offsets/start-table.ts";
import { type CommandContext, daemonConfig, print } from "../command-context.ts";
import { partitionNumber, whereTo } from "../terminal/option-values.ts";
import { textTable } from "../terminal/text-table.ts";
import { chosenPartitions } from "./chosen-partitions.ts";

interface SetOptions {
	readonly to: SetTo;
	readonly topic?: string;
	readonly partition?: number;
	readonly dryRun?: boolean;
	readonly json?: boolean;
	/** What lies between is finished, and not passed over: what is noted of the group's way stays. */
	readonly isFinished?: boolean;
}

const DEADLINE_MS = 10_000;
/** A daemon that begins may note something in the same moment. */
const NOTE_TRIES = 5;

export function registerOffsetsSet(offsets: Command, context: CommandContext): void {
	offsets
		.command("set")
		.description("set where a group goes on: back to read again, on to pass over")
		.argument("[group]", "consumer group; else kafka.group")
		.requiredOption("--to <where>", "earliest, latest, a time (2024-05-01T12:00:00Z), or an offset", whereTo)
		.option("--topic <topic>", "only this topic")
		.option("--partition <number>", "only this partition", partitionNumber)
		.option("--dry-run", "only say what would be set, read again or passed over")
		.option("--json", "as JSON")
		.addHelpText(
			"after",
			`
With offsets.store kafka the group's daemons have to be stopped first: Kafka sets offsets only of a group without members. With postgres a
running daemon finds it out within some seconds, and begins there. What is passed over is noted: verify tells it. What is read again is
handled again; rows that are there already are stale and change nothing.`,
		)
		.action(async (group: string | undefined, _: unknown, command: Command) => {
			// `offsets` has --topic and --json too, and takes them where they stand behind `set`.
			const options = command.optsWithGlobals<SetOptions>();
			const { config: base } = await daemonConfig(command, context);
			const config = group === undefined ? base : { ...base, kafka: { ...base.kafka, group } };
			const plans = await setOffsets(config, options, context);
			if (options.json) print(context.stdout, JSON.stringify(plans.map((plan) => shown(plan))));
			else for (const line of planLines(config, plans, options.dryRun === true)) print(context.stdout, line);
		});
}

/** Sets them, or with `dryRun` says what would be. Rejects (ExitError). */
export async function setOffsets(config: Config, options: SetOptions, { clock, stderr }: CommandContext): Promise<readonly OffsetPlan[]> {
	const { kafka } = config;
	const database = connectDatabase({ ...config.database, connections: 1, clock, deadlineMs: DEADLINE_MS });
	try {
		await using inspector = await ClusterInspector.connect(kafka, clock, kafka.group);
		const setting = new OffsetSetting(config, database, inspector, (message) => print(stderr, message));
		const plans = await setting.plan(options).catch(refused(kafka, { group: "Read" }));
		if (!options.dryRun) await setting.carryOut(plans).catch(refused(kafka, { group: "Read" }));
		return plans;
	} catch (error) {
		if (error instanceof ExitError) throw error;
		const isDatabases = !(error instanceof KafkaError) && !(error as { name?: string }).name?.startsWith("PocKaffe");
		throw new ExitError(exitCodes.found, "offsets_set", `can't set offsets: ${isDatabases ? problemOf(error).message : messageOf(error)}`, {
			cause: error,
		});
	} finally {
		await database.close();
	}
}

/** What is asked and stored, in the order that a crash in between can't hurt. */
class OffsetSetting {
	readonly #config: Config;
	readonly #inspector: ClusterInspector;
	readonly #table: OffsetTable | null;
	readonly #notes: StartRecorder;

	constructor(config: Config, database: Database, inspector: ClusterInspector, warn: (message: string) => void) {
		const { table, store } = config.offsets;
		const consumerGroup = config.kafka.group;
		this.#config = config;
		this.#inspector = inspector;
		this.#table = store === "postgres" ? new OffsetTable({ database, table, consumerGroup }) : null;
		this.#notes = new StartRecorder({
			table: new NoteFence(new StartTable({ database, offsetsTable: table, consumerGroup })),
			notRecorded: (message) => warn(`what is passed over can't be noted, verify would miss it: ${message}`),
		});
	}

	/** Changes nothing. */
	async plan(options: SetOptions): Promise<OffsetPlan[]> {
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
				const to = await this.#target(options.to, { topic, partition }, log);
				const note = noted.get(partitionName({ topic, partition }))?.note ?? null;
				const keptIn = this.#table ? "table" : "kafka";
				const logId = ids.get(topic) ?? null;
				const plan = planOffset({ topic, partition, kept: offset, keptIn, noted: note, logId, log }, to);
				if (!options.isFinished) return plan;
				const isNoted = note !== null && compareIds(note.log.id, logId) !== "other";
				return {
					...plan,
					note: isNoted ? { ...note, ...(this.#table || to === offset ? {} : { reached: to }) } : { ...plan.note, skipped: [] },
				};
			}),
		);
	}

	/**
	 * A note that is behind what Kafka has would look like a restored table, and Kafka may refuse: there it comes after. In the database a
	 * daemon may begin at once, and has to find the note.
	 */
	async carryOut(plans: readonly OffsetPlan[]): Promise<void> {
		const positions = plans.map(({ topic, partition, to, note }) => ({
			topic,
			partition,
			offset: to,
			logId: note.log.id,
			witness: note.log.witness,
		}));
		await this.#notes.prepare();
		if (!this.#table) await this.#commit(positions);
		await this.#note(plans);
		await this.#table?.set(positions);
	}

	async #commit(positions: readonly (TopicPartition & { readonly offset: number })[]): Promise<void> {
		try {
			await this.#inspector.commit(positions);
		} catch (error) {
			if (!(error instanceof KafkaError) || !HAS_MEMBERS.includes(error.kafkaCode)) throw error;
			const { group } = this.#config.kafka;
			const words = `group ${group} has members: stop its daemons first (one that was killed counts until its session is over); nothing was changed`;
			throw new ExitError(exitCodes.found, "has_members", words, { cause: error });
		}
	}

	async #note(plans: readonly OffsetPlan[]): Promise<void> {
		for (let tries = 1; ; tries++) {
			const before = await this.#notes.read();
			const replaces = (plan: TopicPartition): StoredNote | null => before.get(partitionName(plan)) ?? null;
			try {
				return await this.#notes.begin(
					plans.map((plan) => ({ topic: plan.topic, partition: plan.partition, note: plan.note, replaces: replaces(plan) })),
				);
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

/** Of a group with members Kafka says that it doesn't know this one. */
const HAS_MEMBERS: readonly number[] = [kafkaErrors.unknownMember, kafkaErrors.illegalGeneration, kafkaErrors.rebalanceInProgress];

function shown({ topic, partition, log, kept, to, again, passedOver }: OffsetPlan) {
	return { topic, partition, low: log.low, high: log.high, committed: kept, to, again, passedOver };
}

function* planLines({ kafka, offsets }: Config, plans: readonly OffsetPlan[], isDryRun: boolean): Generator<string> {
	yield textTable(
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
	const [again, passedOver] = [plans.reduce((sum, plan) => sum + plan.again, 0), plans.reduce((sum, plan) => sum + plan.passedOver, 0)];
	const counts = `${again} messages at most are read again, ${passedOver} are passed over`;
	if (isDryRun) yield `Nothing was changed (--dry-run). Set so, ${counts}.`;
	else
		yield `The offsets of group ${kafka.group} are set${offsets.store === "postgres" ? " in the database; a running daemon begins there within some seconds" : ""}: ${counts}.`;
}
