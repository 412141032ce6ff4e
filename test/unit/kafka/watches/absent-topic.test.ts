/** Why a topic is not in the cluster's list, for a command that ends with that. */
import { expect, it } from "vitest";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { absentTopic } from "../../../../src/kafka/watches/absent-topic.ts";

const kafka = { brokers: ["k1:9092"], group: "g", sasl: { username: "app" } };

it("a topic that does not exist is told with what the command has to say of that", async () => {
	const client = { topicIds: async () => new Map() };
	expect(await absentTopic({ client, kafka, wanted: "Read" }, "orders", ": is it new?")).toMatchObject({
		code: "no_topic",
		message: "there is no topic orders: is it new?",
		exitCode: 1,
	});
});

it("a topic that this user may not see is told with the right that the command needs, and nobody asks the group", async () => {
	const refusal = new KafkaError("Broker: Topic authorization failed", kafkaErrors.topicAuthorizationFailed);
	const committed = () => Promise.reject(new Error("asked the group"));
	const client = { topicIds: () => Promise.reject(refusal), committed };
	expect(await absentTopic({ client, kafka, wanted: "Write" }, "orders", "")).toMatchObject({
		code: "not_authorized",
		message: `${refusal.message}; give the right: kafka-acls.sh --bootstrap-server k1:9092 --add --allow-principal User:app --operation Write --topic orders`,
		exitCode: 1,
		cause: refusal,
	});
	await expect(
		absentTopic({ client: { ...client, topicIds: async () => new Map() }, kafka, wanted: "Read" }, "a", ""),
	).resolves.toMatchObject({
		code: "no_topic",
	});
});

it("a cluster that does not answer says nothing of a topic", async () => {
	const away = new KafkaError("Local: Timed out", kafkaErrors.timedOut);
	await expect(absentTopic({ client: { topicIds: () => Promise.reject(away) }, kafka, wanted: "Read" }, "a", "")).rejects.toBe(away);
});
