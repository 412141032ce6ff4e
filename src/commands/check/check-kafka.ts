/** `check` for Kafka: broker, topics, group, and the rights on them. Changes nothing. */
import type { Config } from "../../config/config.ts";
import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { isTopicMeant } from "../../core/messages/message.ts";
import { counted } from "../../core/text/counted.ts";
import { missingTopicHint } from "../../core/text/missing-topic.ts";
import type { KafkaError } from "../../kafka/client/kafka-error.ts";
import { type UnreachableBroker, unreachableBrokers } from "../../kafka/connecting/reachability.ts";
import { letterTopicPolicy } from "../../kafka/dead-letters/letter-topic-policy.ts";
import { ClusterInspector } from "../../kafka/topics.ts";
import type { MissingRight } from "../../kafka/watches/access-check.ts";
import { aclCommand } from "../../kafka/watches/rights.ts";
import { type Finding, failed, ok, warning } from "./check-finding.ts";
import { messageFindings } from "./check-messages.ts";

const DEADLINE_MS = 10_000;

/** Checks Kafka. Never rejects. */
export async function kafkaFindings(config: Config, clock: Clock): Promise<Finding[]> {
	const { kafka } = config;
	let inspector: ClusterInspector;
	try {
		inspector = await ClusterInspector.connect(kafka, clock, kafka.group || undefined, DEADLINE_MS);
	} catch (error) {
		return [failed("broker", messageOf(error))];
	}
	try {
		const unreachable = await unreachableBrokers(inspector.metadata.brokers);
		const broker = brokerFinding(kafka, inspector, unreachable);
		// If no broker can be reached, there is nobody to ask about rights and the group.
		if (unreachable.length === inspector.metadata.brokers.length)
			return [broker, ...kafka.topics.map((topic) => topicFinding(topic, inspector))];
		return [broker, ...(await accessFindings(config, inspector)), ...(await messageFindings(config, inspector, clock))];
	} finally {
		await inspector[Symbol.asyncDispose]();
	}
}

async function accessFindings({ kafka, handler, deadLetters }: Config, inspector: ClusterInspector): Promise<Finding[]> {
	const { group, topics } = kafka;
	const written = deadLetters.target === "topic" ? [deadLetters.topic] : [];
	const read = topics.flatMap((topic) => (topic.startsWith("^") ? inspector.topics.filter((name) => isTopicMeant(topic, name)) : [topic]));
	let missing: readonly MissingRight[] = [];
	let unanswered: string | null = null;
	try {
		missing = await inspector.missingRights({ group, topics: read, written, produced: handler.produces });
	} catch (error) {
		unanswered = messageOf(error);
	}
	const lacks = (resource: "topic" | "group", name: string, operation: string) =>
		missing.find((each) => each.resource === resource && each.name === name && each.operation === operation);
	const findings: Finding[] = [];
	for (const topic of topics) {
		const refused = lacks("topic", topic, "Read");
		findings.push(refused ? refusedFinding(kafka, `topic ${topic}`, refused) : topicFinding(topic, inspector));
	}
	for (const topic of read.filter((each) => !topics.includes(each))) {
		const refused = lacks("topic", topic, "Read");
		if (refused) findings.push(refusedFinding(kafka, `topic ${topic}`, refused));
	}
	for (const topic of written) {
		const refused = lacks("topic", topic, "Write") ?? lacks("topic", topic, "Create");
		if (refused) findings.push(refusedFinding(kafka, `dead letters ${topic}`, refused));
		else findings.push(...(await deadLetterFindings(kafka, topic, read, inspector)));
	}
	for (const topic of handler.produces) findings.push(producedFinding(kafka, topic, lacks("topic", topic, "Write"), inspector));
	if (group === "") return findings;
	const refused = lacks("group", group, "Read");
	if (refused) findings.push(refusedFinding(kafka, `group ${group}`, refused));
	else if (unanswered !== null) findings.push(failed(`group ${group}`, unanswered));
	else findings.push(await groupFinding(kafka, inspector, missing));
	return findings;
}

/** In the same words as `run`. */
function refusedFinding(kafka: Config["kafka"], item: string, { operation, resource, name, words }: MissingRight): Finding {
	const command = aclCommand(kafka, operation, resource, name);
	return failed(item, `this user lacks the right ${operation}: ${words}; give it: ${command}`, [command]);
}

function brokerFinding({ brokers }: Config["kafka"], { metadata }: ClusterInspector, unreachable: readonly UnreachableBroker[]): Finding {
	if (unreachable.length === 0) return ok("broker", metadata.brokers.map(({ host, port }) => `${host}:${port}`).join(", "));
	const addresses = unreachable.map(({ id, address, why }) => `${address} of broker ${id} can't be reached (${why})`).join(", ");
	const look = "that is the address it advertises to clients: look at its advertised.listeners";
	return failed("broker", `the cluster is found at ${brokers.join(",")}, but ${addresses}; ${look}`);
}

function topicFinding(topic: string, { metadata, topics }: ClusterInspector): Finding {
	if (topic.startsWith("^")) {
		const matching = topics.filter((name) => isTopicMeant(topic, name));
		const detail = matching.length > 0 ? matching.join(", ") : "no topic matches yet; one made later is found";
		return (matching.length > 0 ? ok : warning)(`topic ${topic}`, detail);
	}
	const found = metadata.topics.find(({ name, partitions }) => name === topic && partitions.length > 0);
	if (!found) return failed(`topic ${topic}`, `is missing: ${missingTopicHint(topic)}`);
	return ok(`topic ${topic}`, counted(found.partitions.length, "partition"));
}

/** A broker that creates topics automatically does so for the first record. */
function producedFinding(kafka: Config["kafka"], topic: string, refused: MissingRight | undefined, inspector: ClusterInspector): Finding {
	const item = `produces ${topic}`;
	if (refused) return refusedFinding(kafka, item, refused);
	const partitions = inspector.partitionsOf(topic).length;
	if (partitions > 0) return ok(item, counted(partitions, "partition"));
	return warning(item, `the topic is missing, and its records would wait for it: ${missingTopicHint(topic)}`);
}

async function deadLetterFindings(
	kafka: Config["kafka"],
	topic: string,
	sources: readonly string[],
	inspector: ClusterInspector,
): Promise<Finding[]> {
	const item = `dead letters ${topic}`;
	if (!inspector.topics.includes(topic)) return [warning(item, "the topic is missing; run creates it")];
	const settings = await inspector.topicSettings([topic, ...sources]).catch((error: KafkaError) => error);
	const { refusal, doubts, unknown } = letterTopicPolicy({ kafka, topic, sources, settings });
	if (refusal !== null) return [failed(item, refusal), ...doubts.map((doubt) => warning(item, doubt))];
	const all = unknown === null ? doubts : [unknown];
	return all.length > 0 ? all.map((doubt) => warning(item, doubt)) : [ok(item, "the topic is there, and keeps letters for ever")];
}

async function groupFinding(
	{ group, topics }: Config["kafka"],
	inspector: ClusterInspector,
	missing: readonly MissingRight[],
): Promise<Finding> {
	const refused = missing.map(({ name }) => name);
	try {
		const offsets = await inspector.groupOffsets(inspector.topics.filter((name) => topics.includes(name) && !refused.includes(name)));
		const committed = offsets.filter((each) => each.committed !== null).length;
		return ok(
			`group ${group}`,
			committed === 0 ? "has committed nothing yet" : `has committed offsets for ${counted(committed, "partition")}`,
		);
	} catch (error) {
		return failed(`group ${group}`, messageOf(error));
	}
}
