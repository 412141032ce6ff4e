/** Which rights a run would miss, by what Kafka says to what is tried. */
import { expect, it } from "vitest";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { polledAnswer } from "../../../../src/kafka/client/polled-answer.ts";
import { missingRights } from "../../../../src/kafka/watches/access-check.ts";

const refusal = (code: number) => new KafkaError(`Broker: refused ${code}`, code);
const needs = { group: "g", topics: [], written: ["letters"] };

/** A cluster where the group and what is seen are as they have to be. */
function cluster({ existing = [] as string[], made = async () => {} }) {
	const tried: string[] = [];
	/** Topics whose committed offsets were asked for. */
	const asked: string[] = [];
	const client = {
		commit: async () => {},
		committed: async ([first]: readonly { readonly topic: string }[]) => {
			asked.push(String(first?.topic));
			return [];
		},
		consume: async () => ({ messages: [], ends: [] }),
		operationsOn: async () => null,
	};
	const createNone = (topic: string) => {
		tried.push(topic);
		return made();
	};
	return { tried, asked, rights: () => missingRights({ client, existing, createNone }, needs) };
}

it.each([
	["to the topic", kafkaErrors.topicAuthorizationFailed],
	["to the cluster, as old brokers ask for", kafkaErrors.clusterAuthorizationFailed],
])("a topic of dead letters that is missing takes the right to make it: %s", async (_, code) => {
	const { rights } = cluster({ made: () => Promise.reject(refusal(code)) });
	expect(await rights()).toEqual([{ operation: "Create", resource: "topic", name: "letters", words: `Broker: refused ${code}` }]);
});

it("a topic that nobody can make as it is tried may be made, and so may one where the broker does not say", async () => {
	const invalidReplication = 38;
	for (const answer of [refusal(invalidReplication), refusal(kafkaErrors.timedOut), new Error("topic_exists")]) {
		const { rights, tried } = cluster({ made: () => Promise.reject(answer) });
		expect([await rights(), tried]).toEqual([[], ["letters"]]);
	}
});

it("a topic that is there is not tried to be made", async () => {
	const { rights, tried } = cluster({ existing: ["letters"] });
	expect([await rights(), tried]).toEqual([[], []]);
});

it("the right to the group is asked with a legal topic, also if none is read", async () => {
	const { rights, asked } = cluster({});
	await rights();
	expect(asked).toEqual(["pockaffe"]);
});

it("a topic that a handler produces to takes the right to write, and is never made", async () => {
	const { tried } = cluster({});
	const client = {
		...{ commit: async () => {}, committed: async () => [], consume: async () => ({ messages: [], ends: [] }) },
		operationsOn: async (topic: string) => (topic === "read-only" ? new Set(["Read", "Describe"] as const) : null),
	};
	const createNone = async (topic: string) => void tried.push(topic);
	const wanted = { group: "g", topics: [], written: [], produced: ["read-only", "absent"] };
	const missing = await missingRights({ client, existing: [], createNone }, wanted);
	expect(missing).toEqual([{ operation: "Write", resource: "topic", name: "read-only", words: "only Read, Describe is given" }]);
	expect(tried).toEqual([]);
});

it("a question without an answer ends with the refusal that a poll tells; other errors of polls end nothing", async () => {
	const polls = [refusal(kafkaErrors.transport), refusal(kafkaErrors.groupAuthorizationFailed)];
	const consume = async () => Promise.reject(polls.shift());
	await expect(polledAnswer({ consume }, new Promise(() => {}))).rejects.toMatchObject({ kafkaCode: kafkaErrors.groupAuthorizationFailed });
	expect(polls).toEqual([]);
});

it("an answer that came holds against what a poll tells behind it", async () => {
	let answer: (value: string) => void = () => {};
	const asked = new Promise<string>((resolve) => {
		answer = resolve;
	});
	const consume = async () => {
		answer("answered");
		await new Promise((resolve) => setImmediate(resolve));
		throw refusal(kafkaErrors.topicAuthorizationFailed);
	};
	expect(await polledAnswer({ consume }, asked)).toBe("answered");
});
