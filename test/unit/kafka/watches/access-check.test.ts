/** Which rights a run would miss, by what Kafka says to what is tried. */
import { expect, it } from "vitest";
import type { TopicPartition, TopicPartitionOffset } from "../../../../src/core/messages/message.ts";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { polledAnswer } from "../../../../src/kafka/client/polled-answer.ts";
import { missingRights, type NeededAccess } from "../../../../src/kafka/watches/access-check.ts";
import type { Operation } from "../../../../src/kafka/watches/rights.ts";

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

/** A cluster that refuses these, by what was tried: `group`, or `commit t`, `operations t`. */
function refusing(refusals: Readonly<Record<string, KafkaError>>, operations: Readonly<Record<string, readonly Operation[]>> = {}) {
	const tried: string[] = [];
	const answer = async (what: string) => {
		tried.push(what);
		const refused = refusals[what];
		if (refused) throw refused;
	};
	const client = {
		commit: async (offsets: readonly TopicPartitionOffset[]) => {
			for (const { topic, partition, offset } of offsets) {
				expect([partition, offset]).toEqual([2 ** 31 - 1, 0]);
				await answer(`commit ${topic}`);
			}
		},
		committed: async (asked: readonly TopicPartition[]) => {
			expect(asked.map(({ partition }) => partition)).toEqual([0]);
			await answer("group");
			return [];
		},
		consume: async () => ({ messages: [], ends: [] }),
		operationsOn: async (topic: string) => {
			await answer(`operations ${topic}`);
			return operations[topic] ? new Set(operations[topic]) : null;
		},
	};
	const rights = (over: Partial<NeededAccess> = {}, existing: readonly string[] = []) =>
		missingRights(
			{ client, existing, createNone: async (topic) => answer(`create ${topic}`) },
			{ group: "g", topics: ["a", "b"], written: [], ...over },
		);
	return { tried, rights };
}

const [ofTopic, ofGroup] = [refusal(kafkaErrors.topicAuthorizationFailed), refusal(kafkaErrors.groupAuthorizationFailed)];
const read = (resource: "topic" | "group", name: string, words: string) => ({ operation: "Read", resource, name, words });

it("nothing is missing where the cluster refuses nothing: a commit that can't take effect is tried for each topic", async () => {
	const { tried, rights } = refusing({ "commit a": refusal(kafkaErrors.unknownTopicOrPartition) });
	expect(await rights()).toEqual([]);
	expect(tried).toEqual(["group", "commit a", "operations a", "commit b", "operations b"]);
});

it("a topic that may not be read is told with Kafka's words, and the others are tried all the same", async () => {
	const { rights } = refusing({ "commit a": ofTopic }, { b: ["Describe"] });
	expect(await rights()).toEqual([read("topic", "a", ofTopic.message), read("topic", "b", "only Describe is given")]);
});

it("a topic that may not even be seen is told with Kafka's words", async () => {
	const { rights } = refusing({ "operations a": ofTopic }, { b: ["Read", "Describe"] });
	expect(await rights()).toEqual([read("topic", "a", ofTopic.message)]);
});

it("a group that may not be described says nothing of topics: they are asked for by what is given", async () => {
	const { tried, rights } = refusing({ group: ofGroup }, { a: ["Write"], b: ["Read"] });
	expect(await rights()).toEqual([read("topic", "a", "only Write is given"), read("group", "g", ofGroup.message)]);
	expect(tried).toEqual(["group", "operations a", "operations b"]);
});

it("a group that may be described and not joined is found by the first commit, once", async () => {
	const { tried, rights } = refusing({ "commit a": ofGroup, "commit b": ofGroup });
	expect(await rights()).toEqual([read("group", "g", ofGroup.message)]);
	expect(tried).toEqual(["group", "commit a", "operations a", "operations b"]);
});

it("without a group only what is given is asked for", async () => {
	const { tried, rights } = refusing({}, { a: ["Describe"] });
	expect(await rights({ group: "" })).toEqual([read("topic", "a", "only Describe is given")]);
	expect(tried).toEqual(["operations a", "operations b"]);
});

it("a topic of dead letters that may be seen and not written is not tried to be made", async () => {
	const { tried, rights } = refusing({ "operations secret": ofTopic }, { letters: ["Read"], open: ["Write"] });
	const missing = await rights({ group: "", topics: [], written: ["letters", "secret", "open", "absent"] }, ["open"]);
	expect(missing).toEqual([
		{ operation: "Write", resource: "topic", name: "letters", words: "only Read is given" },
		{ operation: "Write", resource: "topic", name: "secret", words: ofTopic.message },
	]);
	expect(tried.filter((each) => each.startsWith("create"))).toEqual(["create absent"]);
});

it("a coordinator that does not answer is told as such: nothing is known then", async () => {
	for (const what of ["group", "commit a"]) {
		const { rights } = refusing({ [what]: refusal(kafkaErrors.timedOut) });
		await expect(rights()).rejects.toMatchObject({ message: "the group's coordinator does not answer", kafkaCode: kafkaErrors.timedOut });
	}
});

it("what fails for another reason than a right ends the check", async () => {
	const down = refusal(kafkaErrors.transport);
	await expect(refusing({ "operations a": down }).rights()).rejects.toBe(down);
	const broken = new Error("no Kafka error") as KafkaError;
	await expect(refusing({ group: broken }).rights()).rejects.toBe(broken);
	await expect(refusing({ "operations a": broken }).rights()).rejects.toBe(broken);
	// A group whose offsets can't be had for another reason may be used, as far as is known.
	expect(await refusing({ group: refusal(kafkaErrors.notCoordinator) }).rights()).toEqual([]);
	expect(await refusing({ group: ofTopic }).rights()).toEqual([]);
});
