/** A group consumer on clients that the test plays: they connect, poll, lose sessions and are given partitions when it says so. */
import { EventEmitter } from "eventemitter3";
import type { Config } from "../../../src/config/config.ts";
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../../../src/core/messages/message.ts";
import type { CloseOptions, GroupClient, GroupClientEvents, Polled } from "../../../src/kafka/client/group-client.ts";
import { KafkaError, kafkaErrors } from "../../../src/kafka/client/kafka-error.ts";
import type { GroupConsumer } from "../../../src/kafka/group/group-consumer.ts";
import type { GroupConsumerEvents, GroupConsumerParts } from "../../../src/kafka/group/group-consumer-parts.ts";
import { kafkaAt } from "../kafka/load-topic.ts";
import { ManualClock, settle } from "./manual-clock.ts";

/** What the cluster and the stores of a scene answer; a test changes it. */
export class PlayedCluster {
	/** Topics and their partitions. */
	readonly topics = new Map([["orders", 2]]);
	/** Topics that this user may not see. */
	readonly hidden = new Set<string>();
	/** Why the next connections fail. */
	readonly refusals: Error[] = [];
	/** Offsets of the group, by partition name. */
	readonly stored = new Map<string, number>();
	/** Why topics, offsets and notes can't be read; null if they can. */
	metadataError: Error | null = null;
	storedError: Error | null = null;
	notesError: Error | null = null;
	brokerSetting: string | null = null;
	/** Clients don't close before their time is over. */
	isHanging = false;
}

/** A client that takes note of what it is told. */
export class PlayedClient extends EventEmitter<GroupClientEvents> {
	readonly number: number;
	readonly said: string[];
	readonly #cluster: PlayedCluster;
	readonly #clock: ManualClock;
	hangs = false;
	/** Why an assignment, and a move, is refused. */
	assignError: Error | null = null;
	seekError: Error | null = null;
	/** What it was told to fetch; one text for each time. */
	readonly takenUp: string[] = [];
	/** What it was told to fetch no more; one text for each time. */
	readonly givenUp: string[] = [];
	#answer: (polled: Polled) => void = () => {};

	constructor(number: number, said: string[], cluster: PlayedCluster, clock: ManualClock) {
		super();
		this.number = number;
		this.said = said;
		this.#cluster = cluster;
		this.#clock = clock;
	}

	async connect(): Promise<void> {
		this.#say("connects");
		const refusal = this.#cluster.refusals.shift();
		if (refusal) throw refusal;
	}

	subscribe(topics: readonly string[]): void {
		this.#say(`subscribes to ${topics.join(" ")}`);
	}

	unsubscribe(): void {
		this.#say("unsubscribes");
	}

	poll(_count: number, timeoutMs: number): Promise<Polled> {
		return new Promise((resolve) => {
			const timer = this.#clock.after(timeoutMs, () => this.#answer(nothing));
			this.#answer = (polled) => {
				timer.cancel();
				resolve(polled);
			};
		});
	}

	wake(): void {
		this.#answer(nothing);
	}

	/** The poll under way ends with this error. */
	async pollFails(message: string, code: number): Promise<void> {
		await settle();
		this.#answer({ ...nothing, errors: [new KafkaError(message, code)] });
		await settle();
	}

	assign(partitions: readonly TopicPartitionOffset[], incremental: boolean): void {
		if (this.assignError) throw this.assignError;
		this.takenUp.push(`${partitions.map(partitionName).join(" ")}${incremental ? "" : " and no more"}`);
		if (partitions.length > 0) this.#say(`fetches ${partitions.map((each) => `${partitionName(each)} from ${each.offset}`).join(" ")}`);
	}

	unassign(partitions: readonly TopicPartition[], incremental: boolean): void {
		this.givenUp.push(`${partitions.map(partitionName).join(" ")}${incremental ? "" : " and all"}`);
	}

	seek(position: TopicPartitionOffset): void {
		if (this.seekError) throw this.seekError;
		this.#say(`seeks ${partitionName(position)} ${position.offset}`);
	}

	pause(partitions: readonly TopicPartition[]): void {
		this.#say(`pauses ${partitions.map(partitionName)}`);
	}

	resume(partitions: readonly TopicPartition[]): void {
		this.#say(`resumes ${partitions.map(partitionName)}`);
	}

	endQueriesBy(deadline: number): void {
		this.#say(`ends queries by ${deadline}`);
	}

	async committed(partitions: readonly TopicPartition[]) {
		return partitions.map((each) => ({ ...each, offset: null }));
	}

	async watermarks() {
		return { low: 3, high: 9 };
	}

	async metadata(): Promise<Map<string, number>> {
		if (this.#cluster.metadataError) throw this.#cluster.metadataError;
		return new Map([...this.#cluster.topics].filter(([topic]) => !this.#cluster.hidden.has(topic)));
	}

	async topicIds(topics: readonly string[]): Promise<Map<string, string>> {
		if (topics.some((topic) => this.#cluster.hidden.has(topic)))
			throw new KafkaError("no right to see it", kafkaErrors.topicAuthorizationFailed);
		return new Map(topics.flatMap((topic) => (this.#cluster.topics.has(topic) ? [[topic, `id of ${topic}`]] : [])));
	}

	async brokerSetting(): Promise<string | null> {
		return this.#cluster.brokerSetting;
	}

	async close({ withinMs, onlyIfAnswered = false }: CloseOptions = {}): Promise<boolean> {
		this.#say(`closes${withinMs === undefined ? "" : ` within ${withinMs}`}${onlyIfAnswered ? " if answered" : ""}`);
		return !this.#cluster.isHanging;
	}

	/** The group's callback. */
	async given(...partitions: number[]): Promise<void> {
		this.emit("rebalance", { code: kafkaErrors.assignPartitions, partitions: ofOrders(partitions) });
		await settle();
		// Partitions are fetched between two polls.
		await this.#clock.advance(100);
	}

	async taken(...partitions: number[]): Promise<void> {
		this.emit("rebalance", { code: kafkaErrors.revokePartitions, partitions: ofOrders(partitions) });
		await settle();
	}

	/** Its statistics: librdkafka's states, and the address of a coordinator that it does not reach. */
	statistics(state: string, joinState: string, coordinator?: string): void {
		const known = { nodename: "k1:9092", nodeid: 1, state: "UP", source: "learned" };
		const logical = { nodename: coordinator, nodeid: -1, state: "CONNECT", source: "logical" };
		const brokers = { known, ...(coordinator ? { logical } : {}) };
		this.emit("stats", { json: JSON.stringify({ cgrp: { state, join_state: joinState }, brokers }) });
	}

	#say(what: string): void {
		this.said.push(`${this.number} ${what}`);
	}
}

const nothing: Polled = { batches: [], notTaken: [], ends: [], errors: [] };

/** Partitions of the topic that every scene has. */
export function ofOrders(partitions: readonly number[]): TopicPartition[] {
	return partitions.map((partition) => ({ topic: "orders", partition }));
}

/** See `consumerScenes`. */
export type ConsumerScene = ReturnType<typeof consumerScene>;

/** Opens scenes with a consumer of `orders`, with other settings and other parts if they are given. */
export function consumerScenes(make: (parts: GroupConsumerParts) => GroupConsumer) {
	return (over: Partial<Config["kafka"]> = {}, parts: Partial<GroupConsumerParts> = {}): ConsumerScene => consumerScene(make, over, parts);
}

/** `said` is what its clients were told, `told` its events, `events` these with their facts. */
function consumerScene(
	make: (parts: GroupConsumerParts) => GroupConsumer,
	over: Partial<Config["kafka"]>,
	parts: Partial<GroupConsumerParts>,
) {
	const clock = new ManualClock();
	const cluster = new PlayedCluster();
	const [said, told]: [string[], string[]] = [[], []];
	const events: [keyof GroupConsumerEvents, unknown][] = [];
	const clients: PlayedClient[] = [];
	/** Drains and claims of partitions wait for these. */
	const state = { drained: Promise.resolve(), claimed: Promise.resolve() };
	const names = (partitions: readonly TopicPartition[]) => partitions.map(partitionName).join(" ");
	const consumer = make({
		createClient: () => {
			clients.push(new PlayedClient(clients.length + 1, said, cluster, clock));
			return clients.at(-1) as unknown as GroupClient;
		},
		clock,
		kafka: { ...kafkaAt("k1:9092"), group: "g", topics: ["orders"], protocol: "classic", ...over },
		incremental: true,
		member: {
			isCrowded: false,
			assignmentsReceived: (partitions) => void told.push(`received ${names(partitions)}`),
			assignmentsRevoked: async (partitions) => {
				told.push(`revoked ${names(partitions)}`);
				await state.drained;
			},
			assignmentsLost: (partitions) => void (partitions.length > 0 && told.push(`lost ${names(partitions)}`)),
			messagesReceived: () => {},
			messagesNotTaken: () => {},
			endOfPartition: () => {},
			refetched: (partitions) => void told.push(`refetched ${names(partitions)}`),
		},
		offsets: {
			keptIn: "kafka",
			stored: async (partitions: readonly TopicPartition[]) => {
				if (cluster.storedError) throw cluster.storedError;
				return partitions.map((each) => ({ ...each, offset: cluster.stored.get(partitionName(each)) ?? null }));
			},
			claim: async (partitions: readonly TopicPartition[]) => {
				await state.claimed;
				return partitions.map((each) => ({ ...each, offset: cluster.stored.get(partitionName(each)) ?? null }));
			},
			begin: async (starts: readonly TopicPartitionOffset[]) => {
				for (const start of starts) cluster.stored.set(partitionName(start), start.offset);
				return starts;
			},
			goOn: async () => {},
		} as unknown as GroupConsumerParts["offsets"],
		notes: {
			owner: "me",
			read: async () => {
				if (cluster.notesError) throw cluster.notesError;
				return new Map();
			},
			begin: async () => {},
		},
		...parts,
	});
	const kinds = [
		...(["connect:failed", "look:failed", "rejoining", "group:joining", "topics:missing", "topic:refused", "heartbeats:rare"] as const),
		...(["group:joined", "assignment:outdated", "rebalanced", "start:resolved", "start:failed", "offset:set", "unassigned"] as const),
		...(["broker:error", "consume:failed", "topic:unknown", "position:out_of_range", "fatal", "membership"] as const),
	];
	for (const kind of kinds) consumer.on(kind, (fact?: unknown) => void events.push([kind, fact]));
	const factsOf = (kind: keyof GroupConsumerEvents) => events.filter(([each]) => each === kind).map(([, fact]) => fact);
	return {
		...{ clock, cluster, consumer, clients, said, told, events, factsOf, state },
		/** The client made last. */
		get client(): PlayedClient {
			return clients.at(-1) as PlayedClient;
		},
		/** Starts it, and waits until it has subscribed or can't. */
		async begin() {
			const started = consumer.start();
			await settle();
			return { started };
		},
		/** Starts it, and gives it these partitions. */
		async joinWith(...partitions: number[]) {
			await this.begin();
			await this.client.given(...partitions);
			said.length = told.length = events.length = 0;
		},
	};
}
