/**
 * The values of the catalogue's metrics: the only home of prom-client. An unknown metric, label or label value is a type error. Knows
 * nothing about what is counted; daemon-observer.ts and snapshot-gauges.ts feed it.
 */
import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from "prom-client";
import type { TopicPartition } from "../../core/messages/message.ts";
import { BulkHistogram } from "./bulk-histogram.ts";
import { type LabelsOf, type MetricName, metricNames, metricPrefix, type NamesOf, specOf } from "./metric-catalogue.ts";

/** Gauges of prom-client that are left out: they are named like counters, and each is only the sum of a gauge that stays. */
const misnamed = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];

/** A gauge's series: its labels and its value; null if the value is not known, and then not exported. */
export type GaugeSeries<N extends NamesOf<"gauge">> = readonly [labels: LabelsOf<N>, value: number | null];

/** What `/metrics` answers. */
export interface RenderedMetrics {
	readonly contentType: string;
	readonly body: string;
}

type AnyLabels = Readonly<Record<string, string | number>>;

/** The registry. Counters with listed label values start at 0, so that a rate is known from the first event on. */
export class Metrics {
	readonly #registry = new Registry();
	readonly #counters = new Map<MetricName, Counter>();
	readonly #gauges = new Map<MetricName, Gauge>();
	readonly #histograms = new Map<MetricName, BulkHistogram>();
	readonly #collectors: (() => void)[] = [];

	/** `nodeMetrics` (default false) adds Node's own: event-loop delay, heap, GC, CPU, under prom-client's names. */
	constructor({ nodeMetrics = false }: { nodeMetrics?: boolean } = {}) {
		for (const name of metricNames) this.#create(name);
		for (const name of this.#counters.keys()) this.#zero(name, {});
		if (!nodeMetrics) return;
		collectDefaultMetrics({ register: this.#registry });
		for (const name of misnamed) this.#registry.removeSingleMetric(name);
	}

	/** Adds `value` (default 1, never negative) to a counter. */
	count<N extends NamesOf<"counter">>(name: N, labels: LabelsOf<N>, value = 1): void {
		if (value > 0) this.#counters.get(name)?.inc(labels as AnyLabels, value);
	}

	/** Starts series of a counter at 0: those with the labels `known`, for all listed values of the other labels. */
	start<N extends NamesOf<"counter">>(name: N, known: Partial<LabelsOf<N>>): void {
		this.#zero(name, known as AnyLabels);
	}

	/** Replaces all series of a gauge. */
	set<N extends NamesOf<"gauge">>(name: N, series: Iterable<GaugeSeries<N>>): void {
		const gauge = this.#gauges.get(name);
		gauge?.reset();
		for (const [labels, value] of series) {
			if (value !== null && Number.isFinite(value)) gauge?.set(labels as AnyLabels, value);
		}
	}

	/** Adds each value times `scale` (default 1; 0.001 turns ms into seconds) to a histogram. */
	observe<N extends NamesOf<"histogram">>(name: N, labels: LabelsOf<N>, values: ArrayLike<number>, scale = 1): void {
		this.#histograms.get(name)?.observe(labels as AnyLabels, values, scale);
	}

	/** Calls `collector` at every scrape, before the text is rendered. One that throws leaves its gauges as they were. */
	onScrape(collector: () => void): void {
		this.#collectors.push(collector);
	}

	/** Removes all series of a released partition. */
	forgetPartition({ topic, partition }: TopicPartition): void {
		for (const name of metricNames) {
			const { labels } = specOf(name);
			if (!("topic" in labels && "partition" in labels)) continue;
			const metric = this.#counters.get(name) ?? this.#gauges.get(name);
			for (const series of combinations(name, { topic, partition }) ?? []) metric?.remove(series);
		}
	}

	/** Prometheus text. */
	async render(): Promise<RenderedMetrics> {
		for (const collector of this.#collectors) {
			try {
				collector();
			} catch {
				// The figures of the other parts are still shown.
			}
		}
		return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
	}

	#create(name: MetricName): void {
		const { type, help, labels, buckets = [] } = specOf(name);
		const configuration = { name: metricPrefix + name, help, labelNames: Object.keys(labels), registers: [this.#registry] };
		if (type === "counter") this.#counters.set(name, new Counter(configuration));
		else if (type === "gauge") this.#gauges.set(name, new Gauge(configuration));
		else {
			const histogram = new BulkHistogram(configuration.name, help, buckets);
			this.#histograms.set(name, histogram);
			this.#registry.registerMetric(histogram as unknown as Metric);
		}
	}

	#zero(name: MetricName, known: AnyLabels): void {
		for (const series of combinations(name, known) ?? []) this.#counters.get(name)?.inc(series, 0);
	}
}

/** All label sets with `known` and every listed value of the other labels; null if another label's values are not listed. */
function combinations(name: MetricName, known: AnyLabels): AnyLabels[] | null {
	let sets: AnyLabels[] = [{}];
	for (const [label, values] of Object.entries(specOf(name).labels)) {
		const given = known[label];
		const choices = given === undefined ? values : [given];
		if (!choices) return null;
		sets = sets.flatMap((set) => choices.map((value) => ({ ...set, [label]: value })));
	}
	return sets;
}
