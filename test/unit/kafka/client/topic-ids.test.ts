import { describe, expect, it } from "vitest";
import { answeringBroker } from "../../../../src/kafka/client/client-queries.ts";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { topicIdsFrom } from "../../../../src/kafka/topic-ids.ts";

type Ids = ReadonlyMap<string, string | null> | null;

/** What the asked give one after the other. */
function played(answers: (Ids | KafkaError)[]) {
	const told: string[] = [];
	const source = {
		async ask(topics: readonly string[]): Promise<Ids> {
			told.push(`ids of ${topics}`);
			const answer = answers.shift() ?? null;
			if (answer instanceof KafkaError) throw answer;
			return answer;
		},
		async metadata() {
			told.push("metadata");
			return new Map([
				["a", 4],
				["b", 1],
			]);
		},
	};
	return { source, told };
}

describe("the ids of topics", () => {
	it("are asked once where the broker answers", async () => {
		const { source, told } = played([new Map([["a", "1"]])]);
		expect(await topicIdsFrom(source, ["a", "nope"])).toEqual(new Map([["a", "1"]]));
		expect(told).toEqual(["ids of a,nope"]);
	});

	it.each([kafkaErrors.timedOut, kafkaErrors.transport])("are asked of another broker where this one doesn't answer (%i)", async (code) => {
		const { source, told } = played([new KafkaError("silent", code), new Map([["a", "1"]])]);
		expect(await topicIdsFrom(source, ["a"])).toEqual(new Map([["a", "1"]]));
		expect(told).toEqual(["ids of a", "metadata", "ids of a"]);
		const { source: silent } = played([new KafkaError("silent", code), new KafkaError("silent again", code)]);
		await expect(topicIdsFrom(silent, ["a"])).rejects.toThrow("silent again");
	});

	it("fail at once where they are refused", async () => {
		const { source, told } = played([new KafkaError("not allowed", kafkaErrors.topicAuthorizationFailed)]);
		await expect(topicIdsFrom(source, ["a"])).rejects.toMatchObject({ kafkaCode: 29 });
		expect(told).toEqual(["ids of a"]);
	});

	it("are null for each topic that exists where there is no way to ask", async () => {
		const { source } = played([]);
		expect(await topicIdsFrom(source, ["a", "nope", "b"])).toEqual(
			new Map([
				["a", null],
				["b", null],
			]),
		);
	});

	it("of no topics are not asked for", async () => {
		const { source, told } = played([]);
		expect(await topicIdsFrom(source, [])).toEqual(new Map());
		expect(told).toEqual([]);
	});
});

describe("the broker that gave the metadata", () => {
	const brokers = [
		{ id: 1, host: "a", port: 9092 },
		{ id: 2, host: "b", port: 9092 },
	];

	it.each([
		["says its number", 7, "b:9092/7", 7],
		["says its number, also if that is 0", 0, "b:9092/0", 0],
		["was found by its address, and is the one in the list", -1, "b:9092/bootstrap", 2],
		["also behind TLS", -1, "sasl_ssl://a:9092/bootstrap", 1],
		["may be known by another address alone: then the controller is asked", -1, "kafka:9092/bootstrap", -1],
	])("%s", (_, orig_broker_id, orig_broker_name, expected) => {
		expect(answeringBroker({ orig_broker_id, orig_broker_name, brokers, topics: [] })).toBe(expected);
	});
});
