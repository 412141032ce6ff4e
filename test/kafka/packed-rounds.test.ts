/**
 * Twenty rounds of everything that happens to a member while it polls packed: a second one joins and leaves, partitions are paused and
 * resumed, one is fetched anew from an earlier offset, the broker is shut down or dies. Every message is seen once, in order, by who has
 * its partition; but for what was fetched anew.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { TopicPartition } from "../../src/core/messages/message.ts";
import { keyAt } from "../../src/core/messages/message-codec.ts";
import type { PackedBatch } from "../../src/core/messages/packed-batch.ts";
import { ConsumerClient } from "../../src/kafka/client/consumer-client.ts";
import { consumerSettings } from "../../src/kafka/client/consumer-settings.ts";
import { type KafkaError, kafkaErrors } from "../../src/kafka/client/kafka-error.ts";
import { GroupConsumer } from "../../src/kafka/group/group-consumer.ts";
import { KafkaOffsetStore } from "../../src/kafka/offsets/offset-store.ts";
import { Producer } from "../../src/kafka/producer.ts";
import { type KafkaServer, startKafka } from "../support/kafka/kafka-server.ts";
import { kafkaAt, loadTopic } from "../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { withAddon } from "../support/project/with-addon.ts";
import { waitFor } from "../support/wait-for.ts";

const ROUNDS = 20;
const PARTITIONS = 4;
const PER_ROUND = 300;
/** No commit of this member is taken any more. */
const NOT_ITS_MEMBER: readonly number[] = [kafkaErrors.illegalGeneration, kafkaErrors.unknownMember];
const noNotes = {
	owner: "me",
	read: async () => new Map(),
	begin: async () => {},
	reach: async () => ({ others: [], displaced: [] }),
	compare: async () => [],
	forget: async () => {},
};

let kafka: KafkaServer;
beforeAll(async () => {
	kafka = await startKafka();
});
afterAll(() => kafka?.stop());

/** A member whose messages are finished as they come. */
class CountingMember {
	readonly consumer: GroupConsumer;
	/** What it saw that it should not have. */
	readonly wrong: string[] = [];
	/** What its client complained of: nothing wrong while a broker is away. */
	readonly complaints: string[] = [];
	/** The next offset of each partition that it has. */
	readonly next = new Map<number, number>();
	/** The last one received of each since it was given. */
	readonly #last = new Map<number, number>();

	constructor(topic: string, group: string) {
		const environment = {
			POCKAFFE_KAFKA_BROKERS: kafka.brokers,
			POCKAFFE_KAFKA_GROUP: group,
			POCKAFFE_KAFKA_TOPICS: topic,
			POCKAFFE_KAFKA_PROPERTIES: JSON.stringify({ "heartbeat.interval.ms": 100, "fetch.wait.max.ms": 50, "reconnect.backoff.max.ms": 500 }),
		};
		const { config } = loadConfig({ file: undefined, environment, cwd: "/" });
		const { settings, topicSettings } = consumerSettings(config);
		this.consumer = new GroupConsumer({
			createClient: () => new ConsumerClient(settings, topicSettings, systemClock),
			member: {
				isCrowded: false,
				assignmentsReceived: (begun) => {
					for (const { partition, offset } of begun) {
						this.next.set(partition, offset);
						this.#last.delete(partition);
					}
				},
				assignmentsRevoked: (partitions) => this.giveAway(partitions),
				assignmentsLost: (partitions) => {
					for (const { partition } of partitions) this.next.delete(partition);
					this.wrong.push(`lost ${partitions.map(({ partition }) => partition)}`);
				},
				messagesReceived: ({ partition }, batch) => this.#received(partition, batch),
				messagesNotTaken: ({ partition }, reason) => void this.wrong.push(`${partition}: ${reason}`),
				endOfPartition: () => {},
				refetched: () => {},
			},
			clock: systemClock,
			kafka: config.kafka,
			incremental: true,
			offsets: new KafkaOffsetStore(
				() => this.consumer.client,
				noNotes,
				() => {},
				systemClock,
			),
			notes: noNotes,
		});
		const complain = ({ message }: { message: string }) => void this.complaints.push(message);
		this.consumer.on("consume:failed", complain).on("start:failed", complain);
		void this.consumer.start();
	}

	/** For whoever looks why something did not come. */
	get state() {
		const { next, wrong, complaints, consumer } = this;
		return { next: [...next], assigned: consumer.assigned.map(({ partition }) => partition), wrong, complaints: complaints.slice(-10) };
	}

	/**
	 * Commits what it has seen, however long the broker is away, and takes nothing more of these. A group that was made up anew behind the
	 * restart may not know this member any more: what it could not commit comes to the next owner again.
	 */
	async giveAway(partitions: readonly TopicPartition[]): Promise<void> {
		const offsets = partitions.flatMap(({ topic, partition }) => {
			const offset = this.next.get(partition);
			this.next.delete(partition);
			return offset === undefined ? [] : [{ topic, partition, offset }];
		});
		if (offsets.length === 0) return;
		await waitFor("the commit", async () => {
			return this.consumer.client?.commit(offsets).then(
				() => true,
				(error: KafkaError) => {
					this.complaints.push(`commit: ${error.message}`);
					return NOT_ITS_MEMBER.includes(error.kafkaCode);
				},
			);
		});
	}

	async leave(): Promise<void> {
		await this.giveAway(this.consumer.assigned);
		expect(await this.consumer.close({ withinMs: 30_000 })).toBe(true);
	}

	/** What was polled before a partition was given away is the next owner's. The last message may come once more: see GroupMember. */
	#received(partition: number, batch: PackedBatch): void {
		let expected = this.next.get(partition);
		if (expected === undefined) return;
		for (let index = 0; index < batch.length; index++) {
			const offset = batch.offsets[index] as number;
			if (offset === expected - 1 && offset === this.#last.get(partition)) continue;
			if (offset !== expected) this.wrong.push(`${partition}: ${offset} in place of ${expected}`);
			if (keyAt(batch, index)?.toString() !== `k${offset}`) this.wrong.push(`${partition}: another key at ${offset}`);
			expected = offset + 1;
			this.#last.set(partition, offset);
		}
		this.next.set(partition, expected);
	}
}

describeOnKafka("packed polls", withAddon, () => {
	it("lose nothing, repeat nothing and mix nothing up in twenty rounds of joins, leaves, pauses, seeks and a broker that restarts", async () => {
		const [topic, group] = [uniqueName("rounds"), uniqueName("g")];
		await loadTopic(kafka.brokers, { name: topic, partitions: PARTITIONS }, []);
		await using producer = await Producer.connect(kafkaAt(kafka.brokers));
		const at = (partition: number) => ({ topic, partition });
		const first = new CountingMember(topic, group);
		let produced = 0;
		let sought = 0;
		for (let round = 1; round <= ROUNDS; round++) {
			await waitFor("all partitions of the first", () => first.next.size === PARTITIONS);
			const from = produced;
			produced += PER_ROUND;
			const sent = Array.from({ length: PARTITIONS * PER_ROUND }, (_, index) =>
				producer.produce({ topic, partition: index % PARTITIONS, key: `k${from + Math.floor(index / PARTITIONS)}`, value: "v" }),
			);
			const second = new CountingMember(topic, group);
			if (round % 4 === 0) {
				await kafka.kill(round % 8 === 0 ? "SIGKILL" : "SIGTERM");
				await kafka.restart();
			}
			await waitFor("a share of the second", () => second.next.size > 0);
			const [kept] = [...first.next.keys()] as [number];
			first.consumer.pause([at(kept)]);
			first.consumer.resume([at(kept)]);
			await first.consumer.refetch(at(kept), () => {
				const back = Math.max(0, (first.next.get(kept) as number) - 50);
				first.next.set(kept, back);
				sought++;
				return back;
			});
			first.consumer.pause([at(kept)]);
			first.consumer.resume([at(kept)]);
			await Promise.all(sent);
			await waitFor("every message", () => {
				const seen = [...first.next, ...second.next].filter(([, next]) => next === produced).length;
				if (seen === PARTITIONS) return true;
				throw new Error(JSON.stringify({ round, produced, kept, first: first.state, second: second.state }));
			});
			await second.leave();
			expect([round, second.wrong, first.wrong]).toEqual([round, [], []]);
		}
		expect(sought).toBe(ROUNDS);
		await waitFor("all partitions of the first", () => first.next.size === PARTITIONS);
		await first.leave();
	});
});
