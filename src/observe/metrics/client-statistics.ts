/**
 * librdkafka's statistics as figures in base units. Pure. The client writes -1 and -1001 for what it does not know; those are left out
 * (null), as is a window without a sample.
 */

/** The figures read from the JSON; times in seconds. */
export interface ClientStatistics {
	readonly replyQueueOperations: number | null;
	readonly partitions: readonly {
		readonly topic: string;
		readonly partition: number;
		readonly fetchQueueMessages: number | null;
		readonly fetchQueueBytes: number | null;
		readonly highWatermark: number | null;
	}[];
	readonly brokers: readonly {
		/** The broker's id in the cluster. */
		readonly broker: number;
		readonly queuedRequests: number | null;
		readonly roundTripP50: number | null;
		readonly roundTripP99: number | null;
		readonly throttleP99: number | null;
	}[];
}

type Json = Record<string, unknown>;

const MICROSECONDS = 1e-6;
const MILLISECONDS = 1e-3;

/** Null if `json` is not a statistics object. */
export function readClientStatistics(json: string): ClientStatistics | null {
	const statistics = parse(json);
	if (!statistics) return null;
	const partitions = objectsIn(statistics.topics).flatMap((topic) =>
		objectsIn(topic.partitions)
			// Only partitions that the client fetches are `desired`. Number -1 is the client's own, for messages without a partition.
			.filter(({ partition, desired }) => Number(partition) >= 0 && desired === true)
			.map((partition) => ({
				topic: String(topic.topic),
				partition: Number(partition.partition),
				fetchQueueMessages: known(partition.fetchq_cnt),
				fetchQueueBytes: known(partition.fetchq_size),
				highWatermark: known(partition.hi_offset),
			})),
	);
	const brokers = objectsIn(statistics.brokers)
		// A bootstrap address has no id yet; the coordinator's logical connection repeats a broker's.
		.filter(({ nodeid, source }) => Number(nodeid) >= 0 && source !== "logical")
		.map(({ nodeid, outbuf_cnt, rtt, throttle }) => ({
			broker: Number(nodeid),
			queuedRequests: known(outbuf_cnt),
			roundTripP50: windowed(rtt, "p50", MICROSECONDS),
			roundTripP99: windowed(rtt, "p99", MICROSECONDS),
			throttleP99: windowed(throttle, "p99", MILLISECONDS),
		}));
	return { replyQueueOperations: known(statistics.replyq), partitions, brokers };
}

function parse(json: string): Json | null {
	try {
		const value: unknown = JSON.parse(json);
		return typeof value === "object" && value !== null ? (value as Json) : null;
	} catch {
		return null;
	}
}

function objectsIn(value: unknown): Json[] {
	if (typeof value !== "object" || value === null) return [];
	return Object.values(value).filter((each): each is Json => typeof each === "object" && each !== null);
}

function known(value: unknown): number | null {
	return typeof value === "number" && value >= 0 ? value : null;
}

/**
 * A percentile of a rolling window; null if the window has no sample. The client's histogram ends at half a second and leaves out longer
 * times: if the percentile lies among those, the longest is used.
 */
function windowed(window: unknown, percentile: "p50" | "p99", unit: number): number | null {
	const { cnt, outofrange, max, [percentile]: value } = (window ?? {}) as Json;
	const count = Number(cnt);
	const share = percentile === "p50" ? 0.5 : 0.01;
	const figure = known(Number(outofrange) >= count * share ? max : value);
	return figure === null || !(count > 0) ? null : figure * unit;
}
