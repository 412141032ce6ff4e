/** A letters topic that is missing: how it is made, by whom, and what is told where it can't be. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { KafkaError } from "../../../../src/kafka/client/kafka-error.ts";
import { DeadLetterTopic } from "../../../../src/kafka/dead-letters/dead-letter-topic.ts";
import { deadLetter } from "../../../support/fakes/dead-letters.ts";
import { LettersCluster } from "../../../support/fakes/letters-cluster.ts";

afterEach(() => void vi.restoreAllMocks());

const keep = { "cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1" };

/** The topic is missing, and a letter on its way. */
async function firstLetter(prepare: (cluster: LettersCluster) => void) {
	const cluster = new LettersCluster();
	cluster.topics.delete("dead");
	cluster.makesTopics();
	prepare(cluster);
	const letters = new DeadLetterTopic(cluster.parts);
	const told: string[] = [];
	letters.on("target:blocked", ({ message }) => told.push(message));
	letters.on("target:doubtful", ({ message }) => told.push(message));
	void letters.store(deadLetter({ topic: "orders", partition: 4 }), new AbortController().signal).catch(() => {});
	await cluster.clock.advance(0);
	return { cluster, told, partition: cluster.records[0]?.partition };
}

describe("a letters topic that is missing", () => {
	it("is made with as many partitions as the largest of those that are read, keeps letters for ever, and takes large ones", async () => {
		const { cluster, told, partition } = await firstLetter(({ topics }) => {
			topics.set("many.1", 5).set("other", 9);
		});
		expect(cluster.made).toEqual([
			{ topic: "dead", num_partitions: 5, replication_factor: -1, config: { ...keep, "max.message.bytes": "100000000" } },
		]);
		expect([told, partition, cluster.looks]).toEqual([[], 4, 1]);
	});

	it.each([
		[3, [2]],
		[-1, [0]],
	])("takes no letter before all its partitions are there (%i wanted, %j found first)", async (wanted, found) => {
		const { cluster, partition } = await firstLetter((cluster) => {
			cluster.found.push(...found);
			if (wanted < 0) cluster.topics.delete("orders");
		});
		expect([cluster.made[0]?.num_partitions, partition, cluster.looks]).toEqual([wanted, undefined, 1]);
		await cluster.clock.advance(100);
		expect([cluster.looks, cluster.records.length]).toEqual([2, 1]);
	});

	it("has as many as the broker gives where nothing that is read is there yet", async () => {
		const { cluster, partition } = await firstLetter(({ topics }) => void topics.delete("orders"));
		expect([cluster.made[0]?.num_partitions, partition, cluster.looks]).toEqual([-1, 0, 1]);
	});

	it.each([
		["invalid", 40],
		["against its policy", 44],
	])("is made without a size of its own where the cluster takes that for %s", async (_, code) => {
		const { cluster, partition } = await firstLetter(({ makeErrors }) => void makeErrors.push({ message: "too much", code }));
		expect(cluster.made.map(({ config }) => config)).toEqual([{ ...keep, "max.message.bytes": "100000000" }, keep]);
		expect(partition).toBe(1);
	});

	it("is looked at where somebody else was faster", async () => {
		const { cluster, told, partition } = await firstLetter((cluster) => {
			cluster.makeErrors.push({ message: "Broker: Topic already exists", code: 36 });
			cluster.afterMake = () => cluster.topics.set("dead", 2);
			cluster.settings.set("dead", new Map([["retention.ms", "604800000"]]));
		});
		expect([cluster.made.length, partition]).toEqual([1, 0]);
		expect(told).toEqual([expect.stringMatching(/^dead letters go to topic dead: Kafka deletes its letters after 7 days/)]);
	});

	it("is blocked where this user may not make it: it takes the rights to create and to write", async () => {
		const { cluster, told } = await firstLetter(({ makeErrors }) => void makeErrors.push({ message: "not you", code: 29 }));
		expect(told).toEqual([
			expect.stringMatching(
				/: topic dead could not be created: not you; give the right: .* --operation Write --topic dead; if there is no such topic yet, it needs Create as well as Write \(/,
			),
		]);
		expect(cluster.closed).toEqual(["disposed"]);
	});

	it.each([
		["the broker's own", 7, /: topic dead could not be created: no \(orders\/4 offset 7\)$/],
		["none of Kafka's", 36, /: topic dead is there already \(orders\/4 offset 7\)$/],
	])("is blocked with the reason where that is %s", async (_, code, words) => {
		const { told } = await firstLetter(({ makeErrors }) => void makeErrors.push({ message: "no", code }));
		expect(told).toEqual([expect.stringMatching(words)]);
	});

	it("is blocked where it is made and not there", async () => {
		const { told } = await firstLetter((cluster) => {
			vi.spyOn(cluster.topics, "get").mockReturnValue(undefined);
			const { connectProducer } = cluster.parts;
			const withoutIt = async () => ({ ...(await connectProducer?.()), topics: async () => new Map([["orders", 3]]) });
			Object.assign(cluster.parts, { connectProducer: withoutIt });
		});
		expect(told).toEqual([
			"dead letters can't be stored in topic dead: there is no topic dead: is the name right? Else create it: pockaffe topic create dead -p N (orders/4 offset 7)",
		]);
	});
});

it("a topic whose settings Kafka does not give takes letters, and that is told", async () => {
	const { told, partition } = await firstLetter((cluster) => {
		cluster.topics.set("dead", 3);
		cluster.settingsError = new KafkaError("timed out", -185);
	});
	expect([told, partition]).toEqual([
		[expect.stringMatching(/^dead letters go to topic dead: whether it keeps letters .*: timed out$/)],
		1,
	]);
});
