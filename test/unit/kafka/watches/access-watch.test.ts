import { describe, expect, it } from "vitest";
import type { TopicPartition } from "../../../../src/core/messages/message.ts";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { AccessWatch } from "../../../../src/kafka/watches/access-watch.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";

const refusedTopic = () => new KafkaError("Broker: Topic authorization failed", kafkaErrors.topicAuthorizationFailed);
const refusedGroup = () => new KafkaError("Broker: Group authorization failed", kafkaErrors.groupAuthorizationFailed);

/** A cluster with rights; `withIds`: the addon is there. */
class Cluster {
	readonly clock = new ManualClock();
	readonly topics = new Set(["a", "b"]);
	readonly unseen = new Set<string>();
	readonly unreadable = new Set<string>();
	readonly commits: string[] = [];
	groupIsRefused = false;
	isAway = false;
	coordinatorIsAway = false;
	idle: TopicPartition[] = [
		{ topic: "a", partition: 0 },
		{ topic: "b", partition: 1 },
	];
	readonly watch: AccessWatch;

	constructor(withIds = true) {
		const client = {
			topicIds: async (topics: readonly string[]) => {
				if (this.isAway) throw new KafkaError("Local: Timed out", kafkaErrors.timedOut);
				if (withIds && topics.some((topic) => this.unseen.has(topic))) throw refusedTopic();
				return new Map(topics.filter((topic) => this.topics.has(topic) && !this.unseen.has(topic)).map((topic) => [topic, null]));
			},
			// The coordinator has no offset for a topic that isn't there.
			committed: async (partitions: readonly TopicPartition[]) => {
				if (this.coordinatorIsAway) throw new KafkaError("Local: Timed out", kafkaErrors.timedOut);
				if (this.groupIsRefused) throw refusedGroup();
				if (partitions.some(({ topic }) => this.unseen.has(topic))) throw refusedTopic();
				return partitions.map((each) => ({ ...each, offset: null }));
			},
		};
		this.watch = new AccessWatch({
			clock: this.clock,
			kafka: { brokers: ["x:1"], group: "g", topics: ["a", "b", "^c.*"], sasl: { username: "app" } },
			client: () => client,
			idle: () => this.idle,
			commitAgain: async (partitions) => {
				this.commits.push(partitions.map(({ topic }) => topic).join());
				if (this.groupIsRefused) throw refusedGroup();
				if (partitions.some(({ topic }) => this.unreadable.has(topic))) throw refusedTopic();
			},
		});
	}

	get told(): string[] {
		return this.watch.problems.map(({ code, where }) => `${code} ${where?.topic ?? "-"}`);
	}

	async look(): Promise<string[]> {
		await this.watch.look();
		return this.told;
	}
}

describe.each([
	["with the addon", true],
	["without", false],
])("topics and rights (%s)", (_, withIds) => {
	it("are nothing to tell while all is there; what is committed is committed once more, all topics at once", async () => {
		const cluster = new Cluster(withIds);
		expect(await cluster.look()).toEqual([]);
		expect(cluster.commits).toEqual(["a,b"]);
		cluster.idle = [];
		await cluster.look();
		expect(cluster.commits).toHaveLength(1);
	});

	it("that are missing are told by topic: one that never was, one that was deleted; over when it is made", async () => {
		const cluster = new Cluster(withIds);
		cluster.topics.delete("b");
		expect(await cluster.look()).toEqual(["topic_missing b"]);
		expect(cluster.watch.problems[0]?.message).toMatch(
			/^topic b does not exist: is the name right\? Else create it: pockaffe topic create b -p N; it is found by itself/,
		);
		cluster.topics.delete("a");
		await cluster.look();
		expect(cluster.watch.problems.map(({ message }) => message.slice(0, 19))).toEqual(["topic a was deleted", "topic b does not ex"]);
		cluster.topics.add("a").add("b");
		expect(await cluster.look()).toEqual([]);
	});

	it("a topic that may not be seen is not a missing one", async () => {
		const cluster = new Cluster(withIds);
		cluster.unseen.add("b");
		cluster.topics.delete("a");
		expect(await cluster.look()).toEqual(["topic_missing a", "not_authorized b"]);
		expect(cluster.watch.problems[1]?.message).toContain(
			"Broker: Topic authorization failed; give the right: kafka-acls.sh --bootstrap-server x:1 --add --allow-principal User:app --operation Read --topic b; it goes on by itself",
		);
		cluster.unseen.clear();
		expect(await cluster.look()).toEqual(["topic_missing a"]);
	});

	it("a topic that may be seen and not read is found out by name, and keeps its time while it lasts", async () => {
		const cluster = new Cluster(withIds);
		cluster.unreadable.add("b");
		const sinceMs = cluster.clock.now();
		expect(await cluster.look()).toEqual(["not_authorized b"]);
		expect(cluster.commits).toEqual(["a,b", "a", "b"]);
		await cluster.clock.advance(60_000);
		await cluster.look();
		expect(cluster.watch.problems).toMatchObject([{ sinceMs }]);
		cluster.unreadable.clear();
		expect(await cluster.look()).toEqual([]);
	});

	it("a group that is refused is told with what to give", async () => {
		const cluster = new Cluster(withIds);
		cluster.groupIsRefused = true;
		expect(await cluster.look()).toEqual(["not_authorized -"]);
		expect(cluster.watch.problems[0]?.message).toMatch(
			/^Kafka refuses the group g .*Group authorization failed; .*--operation Read --group g;/,
		);
		// Without partitions there is nothing to try out: the group says by itself why it takes nobody.
		cluster.idle = [];
		expect(await cluster.look()).toEqual([]);
	});

	it("stay as they were while Kafka doesn't answer", async () => {
		const cluster = new Cluster(withIds);
		cluster.topics.delete("b");
		await cluster.look();
		cluster.isAway = true;
		cluster.topics.add("b");
		expect(await cluster.look()).toEqual(["topic_missing b"]);
	});

	it("stay as they were while nobody tells a hidden topic from a missing one: no coordinator answers, or the group is refused", async () => {
		const cluster = new Cluster(withIds);
		cluster.unseen.add("b");
		expect(await cluster.look()).toEqual(["not_authorized b"]);
		cluster.coordinatorIsAway = true;
		expect(await cluster.look()).toEqual(["not_authorized b"]);
		cluster.coordinatorIsAway = false;
		cluster.groupIsRefused = true;
		expect((await cluster.look()).sort()).toEqual(["not_authorized -", "not_authorized b"]);
		cluster.groupIsRefused = false;
		cluster.unseen.clear();
		expect(await cluster.look()).toEqual([]);
	});

	it("are looked at every five seconds, until disposed", async () => {
		const cluster = new Cluster(withIds);
		cluster.watch.start();
		await settle();
		cluster.topics.delete("b");
		await cluster.clock.advance(4_999);
		expect(cluster.told).toEqual([]);
		await cluster.clock.advance(1);
		await settle();
		expect(cluster.told).toEqual(["topic_missing b"]);
		cluster.watch.dispose();
		cluster.topics.add("b");
		const commits = cluster.commits.length;
		// As where a stop comes in the middle of a start.
		cluster.watch.start();
		await cluster.clock.advance(60_000);
		expect(cluster.told).toEqual(["topic_missing b"]);
		expect(cluster.commits).toHaveLength(commits);
	});
});
