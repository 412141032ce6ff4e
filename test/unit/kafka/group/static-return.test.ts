import { describe, expect, it } from "vitest";
import { partitionName, type TopicPartition } from "../../../../src/core/messages/message.ts";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { returnsUnseen, StaticReturn } from "../../../../src/kafka/group/static-return.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";

const SOON_MS = 10_000;

/** Topics `a` and `b`, of which this member has the first partition each; `begun` in the group by name, with the log's id. */
class Group {
	readonly clock = new ManualClock();
	readonly topics = new Map([
		["a", 2],
		["b", 1],
		["other", 9],
	]);
	readonly begun = new Map([["a/1", "id"]]);
	readonly assigned: TopicPartition[] = [
		{ topic: "a", partition: 0 },
		{ topic: "b", partition: 0 },
	];
	readonly told: string[] = [];
	readonly ended = new AbortController();
	isAway = false;
	isCurrent = true;
	readonly returned = new StaticReturn({
		clock: this.clock,
		ended: this.ended.signal,
		isCurrent: () => this.isCurrent,
		topics: ["a", "^b.*"],
		client: {
			metadata: async () => {
				if (this.isAway) throw new KafkaError("Local: Timed out", kafkaErrors.timedOut);
				return this.topics;
			},
			topicIds: async (topics) => new Map(topics.map((topic) => [topic, "id"])),
		},
		offsets: {
			stored: async (partitions) =>
				partitions.map((each) => {
					const id = this.begun.get(partitionName(each));
					return id === undefined ? { ...each, offset: null } : { ...each, offset: 5, log: { id, witness: null } };
				}),
		},
		assigned: () => this.assigned,
		outdated: ({ gone, unread }) => void this.told.push(`gone ${gone.map(partitionName)}, unread ${unread.map(partitionName)}`),
	});

	async join(): Promise<readonly string[]> {
		this.returned.joined();
		await settle();
		await this.clock.advance(SOON_MS);
		return this.told;
	}
}

describe("a static member that comes back", () => {
	it("stays where its topics are as they were: others have begun what it has not", async () => {
		const group = new Group();
		expect(await group.join()).toEqual([]);
		expect(group.clock.pending).toEqual([]);
	});

	it("joins anew where it has partitions that are no more", async () => {
		const group = new Group();
		group.assigned.push({ topic: "a", partition: 2 });
		expect(await group.join()).toEqual(["gone a/2, unread "]);
	});

	it("keeps those of a topic that is not there at all: it may be made again", async () => {
		const group = new Group();
		group.topics.delete("b");
		expect(await group.join()).toEqual([]);
	});

	it("joins anew where partitions of its topics were begun by nobody, or in an earlier log", async () => {
		const group = new Group();
		group.topics.set("a", 4).set("b.later", 1);
		group.begun.set("a/2", "an earlier one's");
		expect(await group.join()).toEqual(["gone , unread a/2,a/3,b.later/0"]);
	});

	it("gives others some seconds to begin theirs", async () => {
		const group = new Group();
		group.begun.clear();
		group.returned.joined();
		await group.clock.advance(SOON_MS - 1);
		group.begun.set("a/1", "id");
		await group.clock.advance(1);
		expect(group.told).toEqual([]);
	});

	it("looks once, and again only where Kafka could not be asked", async () => {
		const group = new Group();
		group.isAway = true;
		expect(await group.join()).toEqual([]);
		group.isAway = false;
		group.begun.clear();
		await group.clock.advance(SOON_MS);
		expect(group.told).toEqual(["gone , unread a/1"]);
		expect(await group.join()).toHaveLength(1);
	});

	it.each(["closed", "replaced"])("says nothing more once it is %s", async (how) => {
		const group = new Group();
		group.begun.clear();
		group.returned.joined();
		if (how === "closed") group.ended.abort(new Error("closing"));
		else group.isCurrent = false;
		await group.clock.advance(SOON_MS);
		expect(group.told).toEqual([]);
	});

	it("has to look by the classic protocols; others make a rebalance, or their coordinator looks", () => {
		const kafka = (instanceId: string, protocol: string) => ({ instanceId, protocol }) as Parameters<typeof returnsUnseen>[0];
		expect([kafka("a", "classic"), kafka("a", "eager")].map(returnsUnseen)).toEqual([true, true]);
		expect([kafka("", "classic"), kafka("a", "consumer")].map(returnsUnseen)).toEqual([false, false]);
	});
});
