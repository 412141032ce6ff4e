/** librdkafka settings of the daemon's consumer. Settings that delivery depends on are fixed here; the user may set the others. */
import type { Config } from "../../config/config.ts";
import { kafkaClientSettings } from "./client-settings.ts";

/**
 * Prefetch per partition. Pausing discards a partition's prefetched messages, so it is kept small; with a short queue back-off a small
 * prefetch costs nothing (measured with four partitions: 5,000 take no more CPU than 20,000, and 30 MiB less).
 */
const PREFETCH_MESSAGES = 5_000;
const LARGEST_PREFETCH_KBYTES = 32_768;
/**
 * Maximum (compressed) bytes of one partition per fetch. librdkafka delivers all of them before the next partition's. Its default of 1 MiB
 * of small compressible messages fills a partition's share of the queue alone: the other threads had nothing to do meanwhile, and the pause
 * discarded what was prefetched (measured: 1.9 messages fetched for each one handled).
 */
const FETCH_BYTES = 262_144;
/** With librdkafka's default of 1 s the fetcher sleeps each time its queue is full. */
const FETCH_QUEUE_BACK_OFF_MS = 5;
const STATISTICS_INTERVAL_MS = 5_000;
/**
 * A member learns of a rebalance by the answer to its heartbeat, and partitions that move stand still until the last member has learnt of
 * it: up to 3 s with librdkafka's default. The coordinator has ten small requests a second from each member.
 */
const HEARTBEAT_MS = 100;
/** How soon a new topic or partition is found; librdkafka's default is five minutes. */
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
		// KIP-848 leaves it to the broker, and librdkafka refuses it there.
		...(kafka.protocol === "consumer" ? {} : { "heartbeat.interval.ms": HEARTBEAT_MS }),
		...kafkaClientSettings(kafka),
		"group.id": kafka.group,
		"enable.auto.commit": false,
		"enable.auto.offset.store": false,
		"enable.partition.eof": true,
		...protocolSettings(kafka.protocol),
		...(kafka.instanceId ? { "group.instance.id": kafka.instanceId } : {}),
	};
	// position-guard.ts decides about positions outside their log, and reports it: the client would jump silently.
	return { settings, topicSettings: { "auto.offset.reset": "error" } };
}

/** True if assignments come as differences (cooperative, KIP-848), false if as a whole (eager). */
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
