/**
 * Checks whether the configured topics exist, and whether this user may still read them and use the group. The client reports such errors
 * only once, or together with messages, when node-rdkafka drops the error, or not at all while a partition has no messages. So they are
 * tried out: metadata is requested, and an already committed offset is committed once more, which needs the same rights as delivery.
 *
 * Shows the present state: a problem ends by itself when the right is granted or the topic created.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { Problem } from "../../core/problem.ts";
import { missingTopicHint } from "../../core/text/missing-topic.ts";
import type { GroupClient } from "../client/group-client.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import { missingRight, type RightsConfig } from "./rights.ts";

/** What the watch needs. Promises reject with KafkaError. */
export interface AccessWatchParts {
	readonly clock: Clock;
	readonly kafka: RightsConfig & { readonly topics: readonly string[] };
	/** The connected client; null while there is none. */
	readonly client: () => Pick<GroupClient, "topicIds" | "committed"> | null;
	/** A partition of each assigned topic without a recent commit. */
	readonly idle: () => readonly TopicPartition[];
	/** Commits the committed offsets of these partitions once more. */
	readonly commitAgain: (partitions: readonly TopicPartition[]) => Promise<void>;
}

type AccessProblem = Problem<"topic_missing" | "not_authorized">;

const LOOK_EVERY_MS = 5_000;
/** How Kafka says that there is no such topic. */
const UNKNOWN: readonly number[] = [kafkaErrors.unknownTopicOrPartition, kafkaErrors.unknownTopic, kafkaErrors.unknownPartition];
/** Key of the problem that concerns the group: no topic has an empty name. */
const GROUP = "";

/** Finds missing topics and missing rights. Idempotent to dispose. */
export class AccessWatch {
	readonly #parts: AccessWatchParts;
	/** Problems by topic. */
	#problems = new Map<string, AccessProblem>();
	/** Topics that existed once. */
	readonly #seen = new Set<string>();
	#timer: Timer | null = null;
	#looking: Promise<void> | null = null;
	#disposed = false;

	constructor(parts: AccessWatchParts) {
		this.#parts = parts;
	}

	get problems(): readonly AccessProblem[] {
		return [...this.#problems.values()];
	}

	/** Checks at once, and then at intervals. */
	start(): void {
		if (this.#disposed) return;
		void this.look().finally(() => this.#lookLater());
	}

	/** Checks once; one check at a time. Never rejects. */
	look(): Promise<void> {
		this.#looking ??= this.#look()
			.catch(() => {})
			.finally(() => {
				this.#looking = null;
			});
		return this.#looking;
	}

	dispose(): void {
		this.#disposed = true;
		this.#timer?.cancel();
	}

	#lookLater(): void {
		if (!this.#disposed) this.#timer = this.#parts.clock.after(LOOK_EVERY_MS, () => this.start());
	}

	/** If Kafka doesn't answer, nothing changes. */
	async #look(): Promise<void> {
		const found = new Map<string, AccessProblem>();
		const note = (topic: string, code: number | null, words: string) => {
			const problem = this.#problemOf(topic, code, words);
			const known = this.#problems.get(topic);
			found.set(topic, known?.message === problem.message ? known : problem);
		};
		const keep = (topic: string) => {
			const known = this.#problems.get(topic);
			if (known) found.set(topic, known);
		};
		await this.#lookAtTopics(note, keep);
		await this.#tryOut(note);
		if (!this.#disposed) this.#problems = found;
	}

	/** If the group is refused to this user, nobody can say whether a topic is hidden or missing. Then what was known of it stays. */
	async #lookAtTopics(note: (topic: string, code: number | null, words: string) => void, keep: (topic: string) => void): Promise<void> {
		const topics = this.#parts.kafka.topics.filter((topic) => !topic.startsWith("^"));
		const existing = await existingTopics(this.#parts.client(), topics).catch(only(kafkaErrors.groupAuthorizationFailed));
		if (existing instanceof KafkaError) {
			note(GROUP, existing.kafkaCode, existing.message);
			for (const topic of topics) keep(topic);
			return;
		}
		for (const topic of topics) {
			const refusal = existing.get(topic);
			if (refusal === null) this.#seen.add(topic);
			else if (refusal) note(topic, refusal.kafkaCode, refusal.message);
			else note(topic, null, "");
		}
	}

	/** Tries the partitions one by one if they are refused together, because a commit reports only one error. */
	async #tryOut(note: (topic: string, code: number, words: string) => void): Promise<void> {
		const { idle, commitAgain } = this.#parts;
		const partitions = idle();
		if (partitions.length === 0) return;
		const refused = await refusalOf(() => commitAgain(partitions));
		if (refused?.kafkaCode === kafkaErrors.groupAuthorizationFailed) note(GROUP, refused.kafkaCode, refused.message);
		if (refused?.kafkaCode !== kafkaErrors.topicAuthorizationFailed) return;
		for (const partition of partitions) {
			const refusal = partitions.length === 1 ? refused : await refusalOf(() => commitAgain([partition]));
			if (refusal?.kafkaCode === kafkaErrors.topicAuthorizationFailed) note(partition.topic, refusal.kafkaCode, refusal.message);
		}
	}

	#problemOf(topic: string, code: number | null, words: string): AccessProblem {
		const { clock, kafka } = this.#parts;
		const where = topic === GROUP ? null : { topic, partition: null };
		const sinceMs = this.#problems.get(topic)?.sinceMs ?? clock.now();
		if (code === null) {
			const what = this.#seen.has(topic) ? "was deleted" : "does not exist";
			const remedy = this.#seen.has(topic) ? `create it again: pockaffe topic create ${topic} -p N` : missingTopicHint(topic);
			const message = `topic ${topic} ${what}: ${remedy}; it is found by itself and read from its beginning`;
			return { code: "topic_missing", where, message, sinceMs };
		}
		const what = topic === GROUP ? `the group ${kafka.group}` : `topic ${topic}`;
		const message = `Kafka refuses ${what} to this user: ${words}; ${missingRight(kafka, code, topic)}; it goes on by itself`;
		return { code: "not_authorized", where, message, sinceMs };
	}
}

/**
 * Those of these topics that exist, with null; and those that this user may not see, with Kafka's refusal: nobody can tell whether they
 * exist. Rejects if Kafka doesn't answer, or if the group is refused. Without the addon only a group's member (a client with `committed`)
 * hears of a refusal.
 */
export async function existingTopics(
	client: (Pick<GroupClient, "topicIds"> & Partial<Pick<GroupClient, "committed">>) | null,
	topics: readonly string[],
): Promise<Map<string, KafkaError | null>> {
	if (!client) throw new KafkaError("not connected to Kafka", kafkaErrors.state);
	const found = new Map<string, KafkaError | null>();
	const together = await client.topicIds(topics).catch(only(kafkaErrors.topicAuthorizationFailed));
	for (const topic of topics) {
		const ids =
			together instanceof KafkaError ? await client.topicIds([topic]).catch(only(kafkaErrors.topicAuthorizationFailed)) : together;
		if (ids instanceof KafkaError) found.set(topic, ids);
		else if (ids.has(topic)) found.set(topic, null);
		else {
			// Without the addon only the list of all topics is available, which also lacks topics that this user may not see. The group's
			// coordinator tells the two apart; whoever asks for a partition's leader is told of an unknown partition in both cases.
			const refusal = await refusalOf(async () => client.committed?.([{ topic, partition: 0 }]));
			if (refusal?.kafkaCode === kafkaErrors.topicAuthorizationFailed) found.set(topic, refusal);
			else if (refusal && !UNKNOWN.includes(refusal.kafkaCode)) throw refusal;
		}
	}
	return found;
}

/** The error that a request was refused with; null if it was not. */
async function refusalOf(call: () => Promise<unknown>): Promise<KafkaError | null> {
	try {
		await call();
		return null;
	} catch (error) {
		if (error instanceof KafkaError) return error;
		throw error;
	}
}

/** Returns the error if it has this code, and throws any other. */
function only(code: number): (error: unknown) => KafkaError {
	return (error) => {
		if (error instanceof KafkaError && error.kafkaCode === code) return error;
		throw error;
	};
}
