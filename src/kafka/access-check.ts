/**
 * Which rights a run would miss, found out without changing anything: what needs the right is asked for. To commit the offset of a partition
 * that no topic has takes the rights to read the topic and to work in the group, and is refused behind them.
 */
import type { Clock } from "../core/clock.ts";
import type { TopicPartition } from "../core/message.ts";
import type { ConsumerClient } from "./consumer-client.ts";
import type { StoredOffset } from "./group-client.ts";
import { KafkaError, kafkaErrors } from "./kafka-error.ts";
import { isRefusal, type Operation } from "./rights.ts";

/** What is to be done. */
export interface NeededAccess {
	/** Empty where no group is asked for. */
	readonly group: string;
	/** To be read. */
	readonly topics: readonly string[];
	/** To be written to. */
	readonly written: readonly string[];
}

/** A right that is missing; `words` are Kafka's. */
export interface MissingRight {
	readonly operation: Operation;
	readonly resource: "topic" | "group";
	readonly name: string;
	readonly words: string;
}

type Asked = Pick<ConsumerClient, "commit" | "committed" | "consume" | "operationsOn">;

const NO_PARTITION = 2 ** 31 - 1;
const POLL_MS = 50;
const TIMEOUT_MS = 10_000;

/** Rejects with KafkaError where Kafka doesn't answer. */
export async function missingRights(client: Asked, clock: Clock, { group, topics, written }: NeededAccess): Promise<MissingRight[]> {
	const missing: MissingRight[] = [];
	const note = (operation: Operation, resource: "topic" | "group", name: string, words: string) =>
		missing.push({ operation, resource, name, words });
	let ofGroup = group === "" ? null : await groupRefusal(client, clock, topics[0] ?? "pockaffe");
	for (const topic of topics) {
		let refusal = ofGroup === null && group !== "" ? await commitRefusal(client, clock, topic) : null;
		if (refusal?.kafkaCode === kafkaErrors.groupAuthorizationFailed) {
			ofGroup = refusal;
			refusal = null;
		}
		// Behind a group that is refused nothing is said of the topic.
		const words = refusal?.message ?? (await lacking(client, topic, "Read"));
		if (words !== null) note("Read", "topic", topic, words);
	}
	if (ofGroup !== null) note("Read", "group", group, ofGroup.message);
	for (const topic of written) {
		const words = await lacking(client, topic, "Write");
		if (words !== null) note("Write", "topic", topic, words);
	}
	return missing;
}

/**
 * Committed offsets, for a client that nobody polls: who may not see the group is refused its coordinator, which a poll alone tells, and the
 * question itself only has no answer.
 */
export async function committedOrRefused(
	client: Pick<Asked, "committed" | "consume">,
	partitions: readonly TopicPartition[],
): Promise<StoredOffset[]> {
	try {
		return await client.committed(partitions);
	} catch (error) {
		if (error instanceof KafkaError && error.kafkaCode === kafkaErrors.timedOut) await client.consume(1, POLL_MS);
		throw error;
	}
}

/** Kafka's refusal, or that it does not list the operation; null where it does, and where nobody can tell. */
async function lacking(client: Asked, topic: string, operation: Operation): Promise<string | null> {
	try {
		const may = await client.operationsOn(topic);
		return may === null || may.has(operation) ? null : `only ${[...may].join(", ")} is given`;
	} catch (error) {
		if (error instanceof KafkaError && isRefusal(error.kafkaCode)) return error.message;
		throw error;
	}
}

/** Who may not even describe the group is refused its coordinator, and told so by a poll alone. */
async function groupRefusal(client: Asked, clock: Clock, topic: string): Promise<KafkaError | null> {
	const refusal = await refusalOf(client, clock, client.committed([{ topic, partition: 0 }]));
	return refusal?.kafkaCode === kafkaErrors.groupAuthorizationFailed ? refusal : null;
}

function commitRefusal(client: Asked, clock: Clock, topic: string): Promise<KafkaError | null> {
	return refusalOf(client, clock, client.commit([{ topic, partition: NO_PARTITION, offset: 0 }]));
}

/** Polls until it is answered: answers come so. Only a refusal is one; rejects where nobody answers. */
async function refusalOf(client: Asked, clock: Clock, asked: Promise<unknown>): Promise<KafkaError | null> {
	let answer: KafkaError | null | undefined;
	asked.then(
		() => {
			answer = null;
		},
		(error: KafkaError) => {
			answer = error;
		},
	);
	const deadline = clock.monotonic() + TIMEOUT_MS;
	while (answer === undefined && clock.monotonic() < deadline) {
		const polled = await client.consume(1, POLL_MS).catch((error: KafkaError) => error);
		if (polled instanceof KafkaError && isRefusal(polled.kafkaCode)) return polled;
	}
	if (answer === undefined || answer?.kafkaCode === kafkaErrors.timedOut) {
		throw new KafkaError("the group's coordinator does not answer", kafkaErrors.timedOut);
	}
	return answer && isRefusal(answer.kafkaCode) ? answer : null;
}
