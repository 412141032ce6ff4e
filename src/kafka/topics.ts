/** Topics for the commands: create, describe, and a group's offsets. Metadata and watermarks supply what the admin client can't. */
import rdkafka from "node-rdkafka";
import type { Config } from "../config/config.ts";
import { nearest } from "../config/schema/problems.ts";
import type { Clock } from "../core/clock.ts";
import { type ExitError, PocKaffeError } from "../core/errors.ts";
import type { TopicPartition, TopicPartitionOffset } from "../core/messages/message.ts";
import type { LogId } from "../core/offsets/log-identity.ts";
import { kafkaClientSettings } from "./client/client-settings.ts";
import { ConsumerClient } from "./client/consumer-client.ts";
import type { StoredOffset } from "./client/group-client.ts";
import { KafkaError, kafkaErrors } from "./client/kafka-error.ts";
import { polledAnswer } from "./client/polled-answer.ts";
import { type ClusterMetadata, connectOrExplain } from "./connecting/connect.ts";
import type { GroupDescription, TopicSettings } from "./native.ts";
import { absentTopic } from "./watches/absent-topic.ts";
import { type MissingRight, missingRights, type NeededAccess } from "./watches/access-check.ts";
import type { Operation } from "./watches/rights.ts";

/** A partition of a topic. */
export interface PartitionDescription {
	readonly partition: number;
	readonly leader: number;
	readonly replicas: readonly number[];
	readonly inSyncReplicas: readonly number[];
	readonly lowWatermark: number;
	readonly highWatermark: number;
}

/** A group's offsets of a partition; `committed` and `lag` are null if nothing is committed. */
export interface GroupOffset extends TopicPartition {
	readonly committed: number | null;
	readonly latest: number;
	readonly lag: number | null;
	/** Share of the log still to be read, 0 to 100. */
	readonly lagPercent: number | null;
}

const TIMEOUT_MS = 10_000;
const POLL_MS = 100;

/** Inspects a cluster. Dispose it after use. */
export class ClusterInspector implements AsyncDisposable {
	readonly #client: ConsumerClient;
	readonly #kafka: Config["kafka"];
	readonly metadata: ClusterMetadata;

	private constructor(client: ConsumerClient, kafka: Config["kafka"], metadata: ClusterMetadata) {
		this.#client = client;
		this.#kafka = kafka;
		this.metadata = metadata;
	}

	/** Connects without joining. `group`: the group whose offsets may be asked for. Rejects with `kafka_connect`. */
	static async connect(
		kafka: Config["kafka"],
		clock: Clock,
		group = "pockaffe-inspector",
		timeoutMs = TIMEOUT_MS,
	): Promise<ClusterInspector> {
		const client = new ConsumerClient({ ...kafkaClientSettings(kafka), "group.id": group, "enable.auto.commit": false }, {}, clock);
		const metadata = await connectOrExplain(client.raw, kafka, timeoutMs);
		return new ClusterInspector(client, kafka, metadata);
	}

	/** Names of all topics except Kafka's internal ones. */
	get topics(): string[] {
		return this.metadata.topics.map(({ name }) => name).filter((name) => !name.startsWith("__"));
	}

	/** Partitions of a topic; null if there is no such topic. */
	async describe(topic: string): Promise<PartitionDescription[] | null> {
		const found = this.metadata.topics.find(({ name, partitions }) => name === topic && partitions.length > 0);
		if (!found) return null;
		const partitions = [...found.partitions].sort((left, right) => left.id - right.id);
		return Promise.all(
			partitions.map(async ({ id, leader, replicas, isrs }) => {
				const { low, high } = await this.#client.watermarks({ topic, partition: id });
				return { partition: id, leader, replicas, inSyncReplicas: isrs, lowWatermark: low, highWatermark: high };
			}),
		);
	}

	/** Numbers of a topic's partitions, in order; empty if there is no such topic. */
	partitionsOf(topic: string): number[] {
		const found = this.metadata.topics.find(({ name }) => name === topic);
		return (found?.partitions ?? []).map(({ id }) => id).sort((left, right) => left - right);
	}

	/** Why a topic is missing: see absentTopic. Names a topic that may be meant. */
	absent(topic: string, wanted: Operation, otherwise: string): Promise<ExitError> {
		return absentTopic({ client: this.#client, kafka: this.#kafka, wanted }, topic, `${nearest(topic, this.topics)}${otherwise}`);
	}

	/** Committed offsets of the group; null if nothing is committed. */
	committed(partitions: readonly TopicPartition[]): Promise<StoredOffset[]> {
		return polledAnswer(this.#client, this.#client.committed(partitions));
	}

	/** Kafka's ids of those of these topics that exist; null if an id can't be known. */
	topicIds(topics: readonly string[]): Promise<ReadonlyMap<string, LogId>> {
		return this.#client.topicIds(topics);
	}

	/** The partition's first offset, and the one that its next message gets. */
	watermarks(partition: TopicPartition): Promise<{ low: number; high: number }> {
		return this.#client.watermarks(partition);
	}

	/** The first offset with this timestamp (ms) or a later one; null if there is none. */
	offsetForTime(partition: TopicPartition, timestampMs: number): Promise<number | null> {
		return this.#client.offsetForTime(partition, timestampMs);
	}

	/** Which rights this user lacks of those that `run` needs. */
	missingRights(needs: NeededAccess): Promise<MissingRight[]> {
		const createNone = (topic: string) => createTopic(this.#kafka, { name: topic, partitions: 0, replication: 0 });
		return missingRights({ client: this.#client, existing: this.topics, createNone }, needs);
	}

	/** The settings of topics, or Kafka's error for a topic; null if nobody can tell. */
	topicSettings(topics: readonly string[]): Promise<ReadonlyMap<string, TopicSettings | KafkaError> | null> {
		return this.#client.topicSettings(topics);
	}

	/** The members of a group with their partitions; null without the addon. */
	group(group: string): Promise<GroupDescription | null> {
		return polledAnswer(this.#client, this.#client.group(group));
	}

	/** Sets offsets of the group, which must have no members. */
	commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		return polledAnswer(this.#client, this.#client.commit(offsets));
	}

	/** The group's committed offsets in these topics, by partition. */
	async groupOffsets(topics: readonly string[]): Promise<GroupOffset[]> {
		const wanted = this.metadata.topics.filter(({ name }) => topics.includes(name));
		const partitions = wanted.flatMap(({ name, partitions: all }) => all.map(({ id }) => ({ topic: name, partition: id })));
		if (partitions.length === 0) return [];
		const committed = await this.committed(
			partitions.sort((a, b) => (a.topic < b.topic ? -1 : Number(a.topic > b.topic) || a.partition - b.partition)),
		);
		return Promise.all(
			committed.map(async ({ topic, partition, offset }) => {
				const { low, high } = await this.#client.watermarks({ topic, partition });
				const lag = offset === null ? null : Math.max(0, high - offset);
				const lagPercent = lag === null ? null : high === low ? 0 : Math.min(100, (100 * lag) / (high - low));
				return { topic, partition, committed: offset, latest: high, lag, lagPercent };
			}),
		);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#client.close();
	}
}

/** A topic to create. -1 leaves partitions or replication to the broker, and so do settings absent from `config`. */
export interface NewTopic {
	readonly name: string;
	readonly partitions: number;
	readonly replication: number;
	readonly config?: Readonly<Record<string, string>>;
}

/** Creates a topic. Rejects with `topic_exists`, or the broker's words. */
export async function createTopic(kafka: Config["kafka"], topic: NewTopic): Promise<void> {
	const admin = rdkafka.AdminClient.create(kafkaClientSettings(kafka) as never);
	try {
		await new Promise<void>((resolve, reject) => {
			const { name, partitions, replication, config = {} } = topic;
			const spec = { topic: name, num_partitions: partitions, replication_factor: replication, config };
			admin.createTopic(spec, TIMEOUT_MS, (error) => (error ? reject(error) : resolve()));
		});
	} catch (cause) {
		const { code, message } = cause as { code: number; message: string };
		if (code === kafkaErrors.topicExists) throw new PocKaffeError("topic_exists", `topic ${topic.name} is there already`, { cause });
		throw new KafkaError(`topic ${topic.name} could not be created: ${message}`, code, { cause });
	} finally {
		admin.disconnect();
	}
}

/**
 * Waits until every partition of a new topic has a leader, so that the next command finds it. Does not wait if this user may not see the
 * topic.
 */
export async function awaitTopic(kafka: Config["kafka"], clock: Clock, topic: string, partitions: number): Promise<void> {
	const deadline = clock.monotonic() + TIMEOUT_MS;
	for (;;) {
		await using inspector = await ClusterInspector.connect(kafka, clock);
		const found = inspector.metadata.topics.find(({ name }) => name === topic);
		if (found && found.partitions.length >= partitions && found.partitions.every(({ leader }) => leader >= 0)) return;
		// A user who may only create topics can't see them.
		if (!found && (await inspector.absent(topic, "Describe", "")).code === "not_authorized") return;
		if (clock.monotonic() > deadline) throw new PocKaffeError("topic_not_ready", `topic ${topic} was created but has no leaders yet`);
		await clock.sleep(POLL_MS);
	}
}
