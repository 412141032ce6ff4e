/**
 * The part of the log that a verification covers: every partition of the configured topics, from where the group began to what it has
 * committed, as far as the log still has it. Determined once, before anything is read. A note that the log contradicts is not believed.
 */
import type { Config } from "../../config/config.ts";
import { nearest } from "../../config/schema/problems.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { isTopicMeant, partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { compareLogIds } from "../../core/offsets/log-identity.ts";
import { type PositionNote, type SkippedStretch, stretchesBefore } from "../../core/offsets/position-note.ts";
import type { StoredOffset } from "../../kafka/client/group-client.ts";
import type { LogReader } from "../../kafka/log-reader.ts";
import { absentTopic } from "../../kafka/watches/absent-topic.ts";
import type { Database } from "../../sink/database/database.ts";
import { quotedTable } from "../../sink/database/sql-names.ts";
import { OffsetTable } from "../../sink/offsets/offset-table.ts";
import { StartTable, startTableName } from "../../sink/offsets/start-table.ts";
import { exists } from "../../sink/tables/schema.ts";
import type { CoveredPartition } from "./log-coverage.ts";

/**
 * The partitions of these topics, or of all. Rejects (ExitError) if a topic is missing, or if the group has committed nothing at all, so
 * that there is nothing to verify.
 */
export async function coveredPartitions(
	config: Config,
	database: Database,
	reader: LogReader,
	topics: readonly string[] = [],
): Promise<CoveredPartition[]> {
	const { kafka, offsets } = config;
	const consumerGroup = kafka.group;
	const existing = await existingPartitions(config, reader);
	const all = existing.filter(({ topic }) => topics.length === 0 || topics.includes(topic));
	const other = topics.find((topic) => !all.some((partition) => partition.topic === topic));
	if (other !== undefined) {
		const meant = nearest(
			other,
			existing.map(({ topic }) => topic),
		);
		throw new ExitError(exitCodes.usage, "no_topic", `group ${kafka.group} does not read topic ${other}${meant}`);
	}
	const committed = offsets.store === "postgres" ? await storedInTable(config, database, all) : await reader.committed(all);
	const starts = await new StartTable({ database, offsetsTable: offsets.table, consumerGroup }).read();
	const reached = (partition: TopicPartition) => starts.get(partitionName(partition))?.note.reached ?? null;
	if (committed.every((each) => each.offset === null && reached(each) === null)) throw nothingCommitted(config);
	const ids = await reader.topicIds([...new Set(all.map(({ topic }) => topic))]);
	return Promise.all(
		committed.map(async ({ topic, partition, offset, log }): Promise<CoveredPartition> => {
			const { low, high } = await reader.watermarks({ topic, partition });
			const noted = starts.get(partitionName({ topic, partition }))?.note;
			const isOtherLog = compareLogIds(log?.id ?? noted?.log.id ?? null, ids.get(topic) ?? null) === "other";
			// A stored position says nothing about a log that replaced its own. If Kafka forgot the group, a daemon goes on from its note.
			const committed = isOtherLog ? null : (offset ?? reached({ topic, partition }));
			const start = isOtherLog ? low : (noted?.start ?? 0);
			const from = Math.max(start, low);
			const to = committed === null ? from : Math.max(from, Math.min(committed, high));
			const { skipped, disbelieved } = believed(isOtherLog ? [] : stretchesBefore(noted?.skipped ?? [], to), low);
			const known = { startIs: isOtherLog ? ("new_log" as const) : startIs(noted), topicId: ids.get(topic) ?? null };
			const isNoted = committed !== null && offset === null;
			const hasBegun = committed === null && noted !== undefined && !noted.assumed && !isOtherLog;
			return { topic, partition, hasBegun, ...known, start, low, high, committed, isNoted, from, to, skipped, disbelieved };
		}),
	);
}

/**
 * Returns a function that says whether a topic may have fed the tables: configured, noted by any group, or existing in Kafka. If the group
 * has no notes, nothing is known.
 */
export async function knownTopics(config: Config, database: Database, reader: LogReader): Promise<(topic: string) => boolean> {
	const { kafka, offsets } = config;
	const table = startTableName(offsets.table);
	if (!(await exists(database, table))) return () => true;
	const noted = await database.query(`select distinct topic, consumer_group = $1 as is_own from ${quotedTable(table)}`, [kafka.group]);
	if (!noted.some(({ is_own }) => is_own === true)) return () => true;
	const known = new Set([...noted.map(({ topic }) => String(topic)), ...reader.metadata.topics.map(({ name }) => name)]);
	return (topic) => known.has(topic) || kafka.topics.some((entry) => isTopicMeant(entry, topic));
}

/** The ranges of an interrupted verification, and the partitions added since. Throws ExitError if another log replaced one of them. */
export function resumedRanges(before: readonly CoveredPartition[], now: readonly CoveredPartition[]): readonly CoveredPartition[] {
	const byName = new Map(now.map((range) => [partitionName(range), range]));
	for (const range of before) {
		const current = byName.get(partitionName(range));
		byName.delete(partitionName(range));
		const isOther = !current || compareLogIds(current.topicId, range.topicId) === "other" || current.high < range.to;
		if (!isOther) continue;
		const what = `${partitionName(range)} is ${current ? "another log" : "not there any more"} since the verification was begun`;
		throw new ExitError(exitCodes.usage, "resume", `--resume: ${what}: remove the folder to begin anew`);
	}
	return [...before, ...byName.values()];
}

/**
 * What came since `before`: each partition from where it ended then, in whatever order Kafka lists them. Null if another log replaced one,
 * or one lost its end.
 */
export function grownSince(before: readonly CoveredPartition[], now: readonly CoveredPartition[]): readonly CoveredPartition[] | null {
	const former = new Map(before.map((range) => [partitionName(range), range]));
	const grown = now.map((range) => {
		const was = former.get(partitionName(range));
		return was && was.topicId === range.topicId && was.to <= range.high ? { ...range, from: was.to } : null;
	});
	return grown.every((range) => range !== null) ? grown : null;
}

async function storedInTable(config: Config, database: Database, partitions: readonly TopicPartition[]): Promise<StoredOffset[]> {
	const { kafka, offsets } = config;
	// Only the daemon creates the table; this reader changes nothing.
	if (!(await exists(database, offsets.table))) throw nothingCommitted(config, `: there is no table ${offsets.table}`);
	return new OffsetTable({ database, table: offsets.table, consumerGroup: kafka.group, readOnly: true }).stored(partitions);
}

async function existingPartitions({ kafka }: Config, reader: LogReader): Promise<TopicPartition[]> {
	const existing = reader.metadata.topics.filter(
		({ name, partitions }) => partitions.length > 0 && kafka.topics.some((entry) => isTopicMeant(entry, name)),
	);
	const missing = kafka.topics.find((topic) => !topic.startsWith("^") && !existing.some(({ name }) => name === topic));
	if (missing !== undefined) throw await absentTopic({ client: reader, kafka, wanted: "Read" }, missing, ": nothing can be verified");
	return existing.flatMap(({ name, partitions }) =>
		partitions.map(({ id }) => ({ topic: name, partition: id })).sort((a, b) => a.partition - b.partition),
	);
}

/** Splits the noted stretches: what the log no longer has was passed over; what it still has could be read, whatever the note says. */
function believed(stretches: readonly SkippedStretch[], low: number): Pick<CoveredPartition, "skipped" | "disbelieved"> {
	const skipped = stretches.flatMap((stretch) => {
		if (stretch.reason === "offsets_set") return stretch;
		const to = stretch.reason === "log_begins_after" ? Math.min(stretch.to, low) : stretch.from;
		return stretch.from < to ? { ...stretch, to } : [];
	});
	const disbelieved = stretches.flatMap((stretch) => {
		const to = skipped.find(({ from }) => from === stretch.from)?.to ?? stretch.from;
		return to < stretch.to ? { ...stretch, from: to } : [];
	});
	return { skipped, disbelieved };
}

function startIs(noted: PositionNote | undefined): CoveredPartition["startIs"] {
	if (!noted) return "unknown";
	return noted.assumed ? "assumed" : "recorded";
}

function nothingCommitted({ kafka, offsets }: Config, why = offsets.store === "postgres" ? ` in ${offsets.table}` : ""): ExitError {
	const what = `group ${kafka.group} has committed nothing of ${kafka.topics.join(", ")}${why}: nothing was checked`;
	return new ExitError(exitCodes.found, "nothing_committed", `${what} (is kafka.group the daemon's, and did it run?)`);
}
