/** Metrics and log records about the records that handlers produce. Listeners; they decide nothing. Never keys or values. */
import { partitionName } from "../../core/messages/message.ts";
import { LogLimiter } from "../logs/log-limiter.ts";
import type { LabelsOf } from "../metrics/metric-catalogue.ts";
import type { ObserverParts } from "./observer-parts.ts";

/** The result of some records of a topic. */
interface ProducedFact {
	readonly topic: string;
	readonly result: LabelsOf<"produced_records_total">["result"];
	readonly records: number;
	readonly bytes: number;
	readonly agesMs: ArrayLike<number>;
}

/** The broker will never take a record. */
interface RefusedFact {
	readonly topic: string;
	readonly source: { readonly topic: string; readonly partition: number; readonly offset: number };
	readonly index: number;
	readonly message: string;
}

/** Minimum time between two log records of the same refusal: the letters themselves are kept. */
const SAME_REFUSAL_EVERY_MS = 10_000;
/** Minimum time between two log records about replaced producers. */
const REPLACED_EVERY_MS = 10_000;

/** Listeners for the record producer's events, by event. */
export function observeRecords({ metrics, logger, clock }: ObserverParts) {
	const refusals = new LogLimiter(() => clock.monotonic(), SAME_REFUSAL_EVERY_MS);
	const replaced = new LogLimiter(() => clock.monotonic(), REPLACED_EVERY_MS);
	return {
		"records:produced"({ topic, result, records, bytes, agesMs }: ProducedFact): void {
			metrics.count("produced_records_total", { topic, result }, records);
			if (result !== "acknowledged") return;
			metrics.count("produced_bytes_total", { topic }, bytes);
			metrics.observe("produced_latency_seconds", { topic }, agesMs, 0.001);
		},
		"record:refused"({ topic, source, index, message }: RefusedFact): void {
			const held = refusals.admit(topic);
			if (held === null) return;
			logger.warn({ topic, source, index, held }, `${partitionName(source)} offset ${source.offset}: ${message}`);
		},
		"client:replaced"({ message, records }: { message: string; records: number }): void {
			const held = replaced.admit("client");
			if (held === null) return;
			logger.warn({ records, held }, `the producer gave up (${message}): a new one sends its ${records} records again`);
		},
	};
}
