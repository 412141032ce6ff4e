/**
 * A histogram that takes a whole batch of values for one search each. prom-client's own creates a label string, an object and two closures
 * per observation, which matters with one per message. Registered with prom-client, which renders it.
 */

type Labels = Readonly<Record<string, string | number>>;

interface Series {
	readonly labels: Labels;
	/** One count per bucket, the last for values above all bounds; not cumulative. */
	readonly counts: Float64Array;
	sum: number;
}

/** One line of the rendered text, as prom-client's registry takes it. */
interface Sample {
	readonly metricName: string;
	readonly labels: Labels;
	readonly value: number;
}

/** Made from a name with prefix, help and ascending upper bounds; has the shape of a prom-client metric. */
export class BulkHistogram {
	readonly type = "histogram";
	readonly aggregator = "sum";
	readonly name: string;
	readonly help: string;
	readonly #bounds: Float64Array;
	readonly #series = new Map<string, Series>();

	constructor(name: string, help: string, bounds: readonly number[]) {
		this.name = name;
		this.help = help;
		this.#bounds = Float64Array.from(bounds);
	}

	/** Takes every value times `scale`. Negative ones (clocks differ) count as 0; NaN is ignored. */
	observe(labels: Labels, values: ArrayLike<number>, scale = 1): void {
		const series = this.#seriesOf(labels);
		for (let index = 0; index < values.length; index++) {
			const value = Math.max(0, (values[index] as number) * scale);
			if (!Number.isFinite(value)) continue;
			const bucket = this.#bucketOf(value);
			series.counts[bucket] = (series.counts[bucket] as number) + 1;
			series.sum += value;
		}
	}

	/** Read by prom-client's registry at every scrape. */
	async get(): Promise<{ name: string; help: string; type: "histogram"; aggregator: "sum"; values: Sample[] }> {
		const values = [...this.#series.values()].flatMap((series) => this.#samples(series));
		return { name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values };
	}

	reset(): void {
		this.#series.clear();
	}

	#bucketOf(value: number): number {
		let low = 0;
		let high = this.#bounds.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (value <= (this.#bounds[middle] as number)) high = middle;
			else low = middle + 1;
		}
		return low;
	}

	#samples({ labels, counts, sum }: Series): Sample[] {
		let total = 0;
		const buckets: Sample[] = [];
		counts.forEach((count, index) => {
			total += count;
			buckets.push({ metricName: `${this.name}_bucket`, labels: { le: this.#bounds[index] ?? "+Inf", ...labels }, value: total });
		});
		return [...buckets, { metricName: `${this.name}_sum`, labels, value: sum }, { metricName: `${this.name}_count`, labels, value: total }];
	}

	#seriesOf(labels: Labels): Series {
		const key = Object.values(labels).join("\0");
		let series = this.#series.get(key);
		if (!series) {
			series = { labels: { ...labels }, counts: new Float64Array(this.#bounds.length + 1), sum: 0 };
			this.#series.set(key, series);
		}
		return series;
	}
}
