/**
 * Which rights a run would miss, found out without changing anything: what needs the right is asked for. To commit the offset of a
 * partition that no topic has takes the rights to read the topic and to work in the group, and is refused behind them; so is a topic
 * without partitions behind the right to make it.
 */
import type { ConsumerClient } from "../client/consumer-client.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import { polledAnswer } from "../client/polled-answer.ts";
import { isRefusal, type Operation } from "./rights.ts";

/** What is to be done. */
export interface NeededAccess {
	/** Empty where no group is asked for. */
	readonly group: string;
	/** To be read. */
	readonly topics: readonly string[];
	/** To be written to; made where they are missing. */
	readonly written: readonly string[];
	/** To be written to, and never made. */
	readonly produced?: readonly string[];
}

/** A right that is missing; `words` are Kafka's. */
export interface MissingRight {
	readonly operation: Operation;
	readonly resource: "topic" | "group";
	readonly name: string;
	readonly words: string;
}

/** What is asked, and what is known already. */
export interface AccessParts {
	readonly client: Pick<ConsumerClient, "commit" | "committed" | "consume" | "operationsOn">;
	/** Topics that are there and may be seen. */
	readonly existing: readonly string[];
	/** Tries to make a topic as nobody can; rejects with what Kafka says. */
	readonly createNone: (topic: string) => Promise<void>;
}

type Asked = AccessParts["client"];

const NO_PARTITION = 2 ** 31 - 1;

/** Rejects with KafkaError where Kafka doesn't answer. */
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
		// Behind a group that is refused nothing is said of the topic.
		const words = refusal?.message ?? (await lacking(client, topic, "Read"));
		if (words !== null) note("Read", "topic", topic, words);
	}
	if (ofGroup !== null) note("Read", "group", group, ofGroup.message);
	for (const topic of written) {
		const words = await lacking(client, topic, "Write");
		if (words !== null) note("Write", "topic", topic, words);
		// Who may not see it can't know whether it is there, and learns that with the right to write.
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

/** Who may not even describe the group is refused its coordinator. */
async function groupRefusal(client: Asked, topic: string): Promise<KafkaError | null> {
	const refusal = await refusalOf(polledAnswer(client, client.committed([{ topic, partition: 0 }])));
	return refusal?.kafkaCode === kafkaErrors.groupAuthorizationFailed ? refusal : null;
}

function commitRefusal(client: Asked, topic: string): Promise<KafkaError | null> {
	return refusalOf(polledAnswer(client, client.commit([{ topic, partition: NO_PARTITION, offset: 0 }])));
}

/** Brokers before Kafka 2.0 ask for a right to the cluster. */
async function creationRefusal({ createNone }: AccessParts, topic: string): Promise<KafkaError | null> {
	const answer = await createNone(topic).catch((error: unknown) => error);
	if (!(answer instanceof KafkaError)) return null;
	return isRefusal(answer.kafkaCode) || answer.kafkaCode === kafkaErrors.clusterAuthorizationFailed ? answer : null;
}

/** Only a refusal is one; rejects where nobody answers. */
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
