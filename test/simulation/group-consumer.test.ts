/** The group consumer alone on simulated Kafka: what the group may do to a member at the worst moment. */
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { kafkaErrors } from "../../src/kafka/client/kafka-error.ts";
import { GroupConsumer } from "../../src/kafka/group/group-consumer.ts";
import { KafkaOffsetStore } from "../../src/kafka/offsets/offset-store.ts";
import { SimClient } from "./client.ts";
import { SimKafka, TOPIC } from "./kafka.ts";
import { SimProcess, World } from "./world.ts";

const { kafka: kafkaConfig } = loadConfig({
	file: undefined,
	cwd: "/",
	environment: { POCKAFFE_KAFKA_BROKERS: "simulated:1", POCKAFFE_KAFKA_GROUP: "g", POCKAFFE_KAFKA_TOPICS: TOPIC },
}).config;

const noNotes = {
	owner: "me",
	read: async () => new Map(),
	begin: async () => {},
	reach: async () => ({ others: [], displaced: [] }),
	compare: async () => [],
	forget: async () => {},
};

/** A consumer and what it tells its member; `answers` holds each revocation until it is set. */
class Daemon {
	readonly told: string[] = [];
	readonly consumer: GroupConsumer;
	client!: SimClient;
	answers = true;
	/** Clients are not let in from here on. */
	refused = false;

	constructor(world: World, kafka: SimKafka, name: string) {
		const process = new SimProcess(world, name);
		const say = (what: string, partitions: readonly { partition: number }[]) =>
			this.told.push(`${what} ${partitions.map(({ partition }) => partition).join(" ")}`);
		this.consumer = new GroupConsumer({
			createClient: () => {
				this.client = new SimClient(kafka, process);
				if (this.refused) this.client.connect = () => Promise.reject(new Error("not let in"));
				return this.client;
			},
			member: {
				isCrowded: false,
				assignmentsReceived: (partitions) => void (partitions.length > 0 && say("received", partitions)),
				assignmentsRevoked: async (partitions) => {
					say("revoked", partitions);
					while (!this.answers) await process.sleep(10);
				},
				assignmentsLost: (partitions) => void say("lost", partitions),
				messagesReceived: () => {},
				messagesNotTaken: () => {},
				endOfPartition: () => {},
				refetched: () => {},
			},
			clock: process,
			kafka: kafkaConfig,
			incremental: true,
			offsets: new KafkaOffsetStore(
				() => this.consumer.client,
				noNotes,
				() => {},
				process,
			),
			notes: noNotes,
		});
		void this.consumer.start();
	}

	get assigned(): string {
		return this.consumer.assigned.map(({ partition }) => partition).join(" ");
	}
}

function open(partitions: number) {
	const world = new World(1);
	const faults = { latencyMs: 5, fails: 0, answerLost: 0, repeats: 0 };
	const kafka = new SimKafka(world, partitions, faults, { committed: () => {}, assigned: () => {}, sought: () => {}, released: () => {} });
	const until = async (what: string, holds: () => boolean) => {
		if (!(await world.until(holds, 60_000))) throw new Error(`${what} did not come; ${kafka.describe()}`);
	};
	return { world, kafka, faults, until };
}

describe("a member that", () => {
	it("missed its polls takes what is revoked behind an empty assignment for lost", async () => {
		const { world, kafka, until } = open(2);
		const first = new Daemon(world, kafka, "first");
		await until("both", () => first.told.includes("received 0 1"));
		first.answers = false;
		const second = new Daemon(world, kafka, "second");
		await until("a revocation", () => first.told.length === 2);
		first.client.exceedMaxPoll();
		first.answers = true;
		await until("a share for each", () => first.assigned.length === 1 && second.assigned.length === 1);
		const [given, kept] = first.told[1] === "revoked 0" ? [0, 1] : [1, 0];
		expect(first.told.slice(0, 3)).toEqual(["received 0 1", `revoked ${given}`, `lost ${kept}`]);
	});

	it("joins again while its group rebalances gives up all that it has", async () => {
		const { world, kafka, until } = open(2);
		const first = new Daemon(world, kafka, "first");
		await until("both", () => first.told.includes("received 0 1"));
		first.answers = false;
		const second = new Daemon(world, kafka, "second");
		await until("a revocation", () => first.told.length === 2);
		first.consumer.rejoin();
		first.consumer.rejoin();
		first.answers = true;
		await until("a share for each", () => first.told.length === 4 && first.assigned.length === 1 && second.assigned.length === 1);
		const [given, kept] = first.told[1] === "revoked 0" ? [0, 1] : [1, 0];
		expect(first.told).toEqual(["received 0 1", `revoked ${given}`, `revoked ${kept}`, expect.stringContaining("received")]);
	});

	it("is to be renewed while its group rebalances gives away all that it has before another client takes its place", async () => {
		const { world, kafka, until } = open(2);
		const first = new Daemon(world, kafka, "first");
		await until("both", () => first.told.includes("received 0 1"));
		first.answers = false;
		const second = new Daemon(world, kafka, "second");
		await until("a revocation", () => first.told.length === 2);
		let isRenewed = false;
		void first.consumer.renewClient().then((is) => {
			isRenewed = is;
		});
		await world.until(() => false, 1_000);
		first.answers = true;
		await until("a share for each", () => isRenewed && first.assigned.length === 1 && second.assigned.length === 1);
		const [given, kept] = first.told[1] === "revoked 0" ? [0, 1] : [1, 0];
		expect(first.told.slice(0, 3)).toEqual(["received 0 1", `revoked ${given}`, `revoked ${kept}`]);
	});

	it("is given up before its start positions are stored joins again", async () => {
		const { world, kafka, faults, until } = open(1);
		const daemon = new Daemon(world, kafka, "daemon");
		await until("the subscription", () => daemon.client !== undefined && kafka.isMember(daemon.client));
		// It can't ask for positions, and meanwhile the coordinator gives it up.
		faults.fails = 1;
		await world.until(() => false, 1_000);
		kafka.remove(daemon.client);
		daemon.client.wasExpelled();
		faults.fails = 0;
		await until("the partition", () => daemon.told.includes("received 0"));
		expect(daemon.told).toEqual(["revoked 0", "received 0"]);
		expect(kafka.committed.get(0)).toBe(0);
	});

	it("is fenced loses what it has at once, without a commit, and says that it must end", async () => {
		const { world, kafka, until } = open(2);
		const daemon = new Daemon(world, kafka, "daemon");
		const fatal: object[] = [];
		daemon.consumer.on("fatal", (fact) => fatal.push(fact));
		await until("both", () => daemon.assigned === "0 1");
		const { client } = daemon;
		client.emit("fatal", { message: "fenced", code: kafkaErrors.fencedInstanceId });
		expect([daemon.told.at(-1), daemon.assigned, fatal]).toEqual([
			"lost 0 1",
			"",
			[{ message: "fenced", code: kafkaErrors.fencedInstanceId }],
		]);
		await world.until(() => false, 60_000);
		expect(daemon.client).toBe(client);
	});

	it("is refused by its group for good (KIP-848) asks again by another client, says why, and no more once it is taken", async () => {
		const { world, kafka, until } = open(1);
		const daemon = new Daemon(world, kafka, "daemon");
		const fatal: object[] = [];
		daemon.consumer.on("fatal", (fact) => fatal.push(fact));
		await until("the partition", () => daemon.assigned === "0");
		const first = daemon.client;
		first.emit("fatal", { message: "Broker: Consumer group has reached maximum size", code: kafkaErrors.groupMaxSizeReached });
		expect([daemon.told.at(-1), daemon.assigned]).toEqual(["lost 0", ""]);
		expect(daemon.consumer.problems).toMatchObject(
			[{ code: "cannot_join", message: /reached maximum size; .*group.max.size/ }].map(({ message, ...rest }) => ({
				...rest,
				message: expect.stringMatching(message),
			})),
		);
		await until("another client", () => daemon.client !== first);
		await until("the partition again", () => daemon.assigned === "0");
		expect([daemon.consumer.problems, fatal]).toEqual([[], []]);
	});

	it("is to begin anew with renewed files gives away in order, and another client takes its place", async () => {
		const { world, kafka, until } = open(2);
		const daemon = new Daemon(world, kafka, "daemon");
		await until("both", () => daemon.told.includes("received 0 1"));
		const first = daemon.client;
		let isRenewed = false;
		void daemon.consumer.renewClient().then((is) => {
			isRenewed = is;
		});
		await until("both again", () => isRenewed && daemon.told.at(-1) === "received 0 1");
		expect(daemon.told.filter((each) => each !== "lost ")).toEqual(["received 0 1", "revoked 0 1", "received 0 1"]);
		expect(daemon.consumer.client).not.toBe(first);
	});

	it("is to begin anew and is not let in so stays as it is", async () => {
		const { world, kafka, until } = open(1);
		const daemon = new Daemon(world, kafka, "daemon");
		await until("the partition", () => daemon.told.includes("received 0"));
		const { client } = daemon.consumer;
		daemon.refused = true;
		let refusal: unknown;
		daemon.consumer.renewClient().catch((error) => {
			refusal = error;
		});
		await until("the refusal", () => refusal !== undefined);
		await world.until(() => false, 10_000);
		expect([daemon.told, daemon.consumer.client === client]).toEqual([["received 0"], true]);
	});
});
