/** librdkafka settings of the daemon's consumer: what delivery depends on is fixed here, the rest may be set by the user. */
import type { Config } from "../../config/config.ts";
import { kafkaClientSettings } from "./client-settings.ts";

/**
 * Prefetch per consumer. Pausing throws a partition's prefetched messages away, so it is kept small; with a short queue back-off a
 * small prefetch costs nothing (measured: 315-320k messages/s against 327k with the defaults).
 */
const PREFETCH_MESSAGES = 20_000;
const LARGEST_PREFETCH_KBYTES = 32_768;
/**
 * Most bytes of one partition in a fetch, as they come: compressed. librdkafka hands over all of it before it comes to the next partition,
 * and its megabyte of small compressible messages fills a partition's share of the queue alone: the others' threads had nothing to do
 * meanwhile, and the pause threw away what was fetched ahead (measured: 1.9 messages fetched for each one handled).
 */
const FETCH_BYTES = 262_144;
/** librdkafka's default of a second makes the fetcher sleep each time its queue is full. */
const FETCH_QUEUE_BACK_OFF_MS = 5;
const STATISTICS_INTERVAL_MS = 5_000;
/** How soon a topic or partition made later is found; librdkafka's default is five minutes. */
const METADATA_REFRESH_MS = 10_000;

/** Global and topic settings for `ConsumerClient`. */
export function consumerSettings(config: Pick<Config, "kafka" | "workers">): {
	settings: Record<string, unknown>;
	topicSettings: Record<string, unknown>;
} {
	const { kafka, workers } = config;
	const prefetchKbytes = Math.max(1, Math.min(LARGEST_PREFETCH_KBYTES, Math.floor(workers.maxQueuedBytes / 2 / 1024)));
	const settings = {
		"fetch.queue.backoff.ms": FETCH_QUEUE_BACK_OFF_MS,
		"fetch.message.max.bytes": FETCH_BYTES,
		"queued.min.messages": Math.max(1, Math.min(PREFETCH_MESSAGES, workers.maxQueuedMessages)),
		"queued.max.messages.kbytes": prefetchKbytes,
		"statistics.interval.ms": STATISTICS_INTERVAL_MS,
		"topic.metadata.refresh.interval.ms": METADATA_REFRESH_MS,
		...kafkaClientSettings(kafka),
		"group.id": kafka.group,
		"enable.auto.commit": false,
		"enable.auto.offset.store": false,
		"enable.partition.eof": true,
		...protocolSettings(kafka.protocol),
		...(kafka.instanceId ? { "group.instance.id": kafka.instanceId } : {}),
	};
	// What becomes of a position outside its log is decided here, and told (position-guard.ts): the client would jump without a word.
	return { settings, topicSettings: { "auto.offset.reset": "error" } };
}

/** Cooperative and KIP-848 assignments come as differences, eager ones as a whole. */
export function isIncremental(protocol: Config["kafka"]["protocol"]): boolean {
	return protocol !== "eager";
}

function protocolSettings(protocol: Config["kafka"]["protocol"]): Record<string, unknown> {
	switch (protocol) {
		case "classic":
			return { "group.protocol": "classic", "partition.assignment.strategy": "cooperative-sticky" };
		case "eager":
			return { "group.protocol": "classic", "partition.assignment.strategy": "range,roundrobin" };
		case "consumer":
			return { "group.protocol": "consumer" };
	}
}
