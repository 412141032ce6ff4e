/**
 * A Kafka cluster of three for what one broker can't show: a leader that dies while its followers live, a coordinator that moves. Topics
 * have three replicas of which two must have a record, so that nothing acknowledged is on one broker alone.
 */
import rdkafka from "node-rdkafka";
import { freePort } from "../free-port.ts";
import { waitFor } from "../wait-for.ts";
import { type KafkaServer, newClusterId, startBroker } from "./kafka-server.ts";

/** Three brokers, by their ids 1 to 3. */
export interface KafkaCluster extends AsyncDisposable {
	/** All addresses, joined by commas. */
	readonly brokers: string;
	broker(id: number): KafkaServer;
	/** The id of the broker that leads a partition, as the others say. */
	leader(topic: string, partition: number): Promise<number>;
	/** The partition of `__consumer_offsets` whose leader is the group's coordinator. */
	coordinator(group: string): Promise<number>;
	/** Starts again whoever is dead. */
	mend(): Promise<void>;
	/** Resolves when every replica of the topic is in sync again. */
	inSync(topic: string): Promise<void>;
}

const IDS = [1, 2, 3];
const OFFSETS_PARTITIONS = 5;
/** Three of them share a machine with everything else. */
const HEAP_MB = 300;

const properties = {
	"offsets.topic.replication.factor": "3",
	"offsets.topic.num.partitions": String(OFFSETS_PARTITIONS),
	"transaction.state.log.replication.factor": "3",
	"transaction.state.log.min.isr": "2",
	"share.coordinator.state.topic.replication.factor": "3",
	"share.coordinator.state.topic.min.isr": "2",
	"default.replication.factor": "3",
	"min.insync.replicas": "2",
	// How soon a dead broker's partitions get another leader; a shorter one also takes them from a broker that only waits for a processor.
	"broker.session.timeout.ms": "6000",
	"broker.heartbeat.interval.ms": "500",
};

/** Starts three brokers on fresh data. */
export async function startCluster(): Promise<KafkaCluster> {
	const places = [];
	for (const nodeId of IDS) places.push({ nodeId, port: await freePort(), controllerPort: await freePort() });
	const voters = places.map(({ nodeId, controllerPort }) => `${nodeId}@127.0.0.1:${controllerPort}`).join(",");
	const clusterId = newClusterId();
	const started = await Promise.allSettled(
		places.map((place) => startBroker({ ...place, voters, clusterId, heapMb: HEAP_MB, properties })),
	);
	const servers = started.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
	const stop = async () => {
		await Promise.all(servers.map((server) => server.stop()));
	};
	const failed = started.find((each) => each.status === "rejected");
	if (failed) {
		await stop();
		throw failed.reason;
	}
	const brokers = servers.map((server) => server.brokers).join(",");
	return {
		brokers,
		broker: (id) => servers[id - 1] as KafkaServer,
		leader: async (topic, partition) => (await partitionOf(brokers, topic, partition)).leader,
		coordinator: async (group) => (await partitionOf(brokers, "__consumer_offsets", offsetsPartition(group))).leader,
		async mend() {
			await Promise.all(servers.filter(({ running }) => !running).map((server) => server.restart()));
		},
		async inSync(topic) {
			await waitFor(
				`all replicas of ${topic} in sync`,
				async () => (await metadata(brokers, topic)).every(({ isrs }) => isrs.length === IDS.length),
				60_000,
			);
		},
		[Symbol.asyncDispose]: stop,
	};
}

/** Kafka's `partitionFor`: the absolute value of Java's hash of the group's name. (The sign bit alone is taken away for a record's key.) */
function offsetsPartition(group: string): number {
	let hash = 0;
	for (const character of group) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) | 0;
	return Math.abs(hash) % OFFSETS_PARTITIONS;
}

interface PartitionMetadata {
	readonly id: number;
	readonly leader: number;
	readonly isrs: readonly number[];
}

async function partitionOf(brokers: string, topic: string, partition: number): Promise<PartitionMetadata> {
	return waitFor(`a leader of ${topic}-${partition}`, async () => {
		const found = (await metadata(brokers, topic)).find(({ id }) => id === partition);
		return found && found.leader > 0 ? found : null;
	});
}

/** By a client of its own each time: one that is connected keeps what it knew. */
function metadata(brokers: string, topic: string): Promise<readonly PartitionMetadata[]> {
	const producer = new rdkafka.Producer({ "bootstrap.servers": brokers } as never, {});
	return new Promise<readonly PartitionMetadata[]>((resolve, reject) => {
		producer.connect({ topic, timeout: 5_000 } as never, (error, { topics } = { topics: [] } as never) => {
			if (error) reject(error);
			else resolve((topics.find(({ name }) => name === topic)?.partitions ?? []) as never);
		});
	}).finally(() => producer.disconnect());
}
