/**
 * Finds the rights that a run would lack, without changing anything, by trying requests that need a right but can't take effect. Committing
 * the offset of a partition that no topic has needs the rights to read the topic and to use the group, and fails only after them. Creating
 * a topic without partitions fails only after the right to create it.
 */
import type { ConsumerClient } from "../client/consumer-client.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import { polledAnswer } from "../client/polled-answer.ts";
import { isRefusal, type Operation } from "./rights.ts";

/** What the user wants to do. */
export interface NeededAccess {
	/** The group; empty for none. */
	readonly group: string;
	/** Topics to read. */
	readonly topics: readonly string[];
	/** Topics to write to, created if missing. */
	readonly written: readonly string[];
	/** Topics to write to, never created. */
	readonly produced?: readonly string[];
}

/** A missing right; `words` are Kafka's. */
export interface MissingRight {
	readonly operation: Operation;
	readonly resource: "topic" | "group";
	readonly name: string;
	readonly words: string;
}

/** What the check needs. */
export interface AccessParts {
	readonly client: Pick<ConsumerClient, "commit" | "committed" | "consume" | "operationsOn">;
	/** Topics that exist and that this user may see. */
	readonly existing: readonly string[];
	/** Tries to create an impossible topic; rejects with Kafka's error. */
	readonly createNone: (topic: string) => Promise<void>;
}

type Asked = AccessParts["client"];

const NO_PARTITION = 2 ** 31 - 1;

/** The missing rights. Rejects with KafkaError if Kafka doesn't answer. */
export async function missingRights(parts: AccessParts, { group, topics, written, produced = [] }: NeededAccess): Promise<MissingRight[]> {
	const { client, existing } = parts;
	const missing: MissingRight[] = [];
	const note = (operation: Operation, resource: "topic" | "group", name: string, words: string) =>
		missing.push({ operation, resource, name, words });
	let ofGroup = group === "" ? null : await groupRefusal(client, topics[0] ?? "pockaffe");
	for (const topic of topics) {
		let refusal = ofGroup === null && group !== "" ? await commitRefusal(client, topic) : null;
		if (refusal?.kafkaCode === kafkaErrors.groupAuthorizationFailed) {
			ofGroup = refusal;
			refusal = null;
		}
		// If the group is refused, Kafka says nothing about the topic.
		const words = refusal?.message ?? (await lacking(client, topic, "Read"));
		if (words !== null) note("Read", "topic", topic, words);
	}
	if (ofGroup !== null) note("Read", "group", group, ofGroup.message);
	for (const topic of written) {
		const words = await lacking(client, topic, "Write");
		if (words !== null) note("Write", "topic", topic, words);
		// A user who may not see the topic can't know whether it exists, and learns that with the right to write.
		else if (!existing.includes(topic)) {
			const refusal = await creationRefusal(parts, topic);
			if (refusal !== null) note("Create", "topic", topic, refusal.message);
		}
	}
	for (const topic of produced) {
		const words = await lacking(client, topic, "Write");
		if (words !== null) note("Write", "topic", topic, words);
	}
	return missing;
}

/** Kafka's refusal, or the words that it does not list the operation; null if it is allowed, or nobody can tell. */
async function lacking(client: Asked, topic: string, operation: Operation): Promise<string | null> {
	try {
		const may = await client.operationsOn(topic);
		return may === null || may.has(operation) ? null : `only ${[...may].join(", ")} is given`;
	} catch (error) {
		if (error instanceof KafkaError && isRefusal(error.kafkaCode)) return error.message;
		throw error;
	}
}

/** A user who may not even describe the group is refused its coordinator. */
async function groupRefusal(client: Asked, topic: string): Promise<KafkaError | null> {
	const refusal = await refusalOf(polledAnswer(client, client.committed([{ topic, partition: 0 }])));
	return refusal?.kafkaCode === kafkaErrors.groupAuthorizationFailed ? refusal : null;
}

function commitRefusal(client: Asked, topic: string): Promise<KafkaError | null> {
	return refusalOf(polledAnswer(client, client.commit([{ topic, partition: NO_PARTITION, offset: 0 }])));
}

/** Brokers before Kafka 2.0 require a right on the cluster. */
async function creationRefusal({ createNone }: AccessParts, topic: string): Promise<KafkaError | null> {
	const answer = await createNone(topic).catch((error: unknown) => error);
	if (!(answer instanceof KafkaError)) return null;
	return isRefusal(answer.kafkaCode) || answer.kafkaCode === kafkaErrors.clusterAuthorizationFailed ? answer : null;
}

/** The error if it is a refusal, else null. Rejects if nobody answers. */
async function refusalOf(answer: Promise<unknown>): Promise<KafkaError | null> {
	try {
		await answer;
		return null;
	} catch (error) {
		if (!(error instanceof KafkaError)) throw error;
		if (error.kafkaCode !== kafkaErrors.timedOut) return isRefusal(error.kafkaCode) ? error : null;
		throw new KafkaError("the group's coordinator does not answer", kafkaErrors.timedOut, { cause: error });
	}
}
