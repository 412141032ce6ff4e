import { describe, expect, it } from "vitest";
import { BulkHistogram } from "../../../src/observe/metrics/bulk-histogram.ts";
import { metricCatalogue, metricNames, specOf } from "../../../src/observe/metrics/metric-catalogue.ts";
import { Metrics } from "../../../src/observe/metrics/metrics.ts";
import { pageWith, renderMetricTable, withTable } from "../../support/project/docs-tables.ts";

const page = new URL("../../../docs/metrics.md", import.meta.url);

async function linesOf(metrics: Metrics, name: string): Promise<string[]> {
	const { body } = await metrics.render();
	return body.split("\n").filter((line) => line.startsWith(`pockaffe_${name}`));
}

describe("metric catalogue", () => {
	it("follows Prometheus' rules for names, base units and buckets", () => {
		for (const name of metricNames) {
			const { type, buckets, help } = specOf(name);
			expect(name, name).toMatch(/^[a-z][a-z0-9_]*$/);
			expect(name.endsWith("_total"), name).toBe(type === "counter");
			expect(name, name).not.toMatch(/millis|_ms\b|minutes|kilo/);
			expect(buckets !== undefined, name).toBe(type === "histogram");
			expect([...(buckets ?? [])], name).toEqual([...(buckets ?? [])].sort((left, right) => left - right));
			expect(help, name).toMatch(/^[A-Z0-9].*[^.|]$/);
		}
	});

	it("holds every metric that the contract names", () => {
		const contract = `build_info ready messages_consumed_total message_bytes_total handler_outcomes_total handler_duration_seconds
			worker_restarts_total workers partitions_assigned partitions_paused partitions_parked cas_rows_total stale_rows_total
			timestamp_regressions_total write_batch_rows write_batch_bytes write_batches_total write_duration_seconds write_retries_total
			write_queue_rows write_queue_bytes write_queue_oldest_seconds stage_busy_seconds_total offset_commits_total committed_offset
			high_watermark consumer_lag_messages consumer_lag_seconds end_to_end_latency_seconds rebalances_total drain_duration_seconds
			drain_timeouts_total dead_letters_total breaker_open admin_actions_total`;
		expect(contract.split(/\s+/).filter((name) => !(name in metricCatalogue))).toEqual([]);
		expect(metricCatalogue.consumer_lag_messages.labels).toEqual({ consumergroup: null, topic: null, partition: null });
		expect(metricCatalogue.cas_rows_total.labels.result).toEqual([
			"inserted",
			"updated",
			"deleted",
			"stale",
			"suppressed",
			"coalesced",
			"refused",
		]);
	});

	it("replaces the table between the markers and leaves the rest alone", () => {
		const page = (table: string) => `# T\n<!-- metrics -->\n${table}\n<!-- /metrics -->\nend\n`;
		expect(withTable(page("old"), "metrics", "new")).toBe(page("new"));
		expect(() => withTable("no markers", "metrics", "new")).toThrow("there is no place for metrics");
	});

	// `UPDATE_DOCS=1 npx vitest run --config config/vitest.config.ts test/unit/observe/metrics.test.ts` writes the table.
	it("equals the handbook's table", () => {
		const { text, wanted } = pageWith(page, { metrics: renderMetricTable() });
		expect(text).toBe(wanted);
	});
});

describe("metrics", () => {
	it("have names as Prometheus wants them: what ends in _total is a counter, and each counter does; Node's too", async () => {
		const { body } = await new Metrics({ nodeMetrics: true }).render();
		const types = [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = "", type]) => ({ name, type }));
		expect(types.some(({ name }) => name.startsWith("nodejs_active_resources"))).toBe(true);
		expect(types.filter(({ name, type }) => name.endsWith("_total") !== (type === "counter"))).toEqual([]);
	});

	it("renders every metric of the catalogue with its type and help", async () => {
		const { body, contentType } = await new Metrics().render();
		expect(contentType).toContain("version=0.0.4");
		for (const name of metricNames) {
			expect(body).toContain(`# TYPE pockaffe_${name} ${specOf(name).type}\n`);
			expect(body).toContain(`# HELP pockaffe_${name} `);
		}
	});

	it("starts counters with listed values at 0, others when they are told to", async () => {
		const metrics = new Metrics();
		const batches = await linesOf(metrics, "write_batches_total");
		expect(batches.map((line) => line.slice(line.indexOf(" ")))).toEqual([" 0", " 0", " 0", " 0"]);
		expect(await linesOf(metrics, "cas_rows_total")).toEqual([]);
		metrics.start("cas_rows_total", { table: "events" });
		expect(await linesOf(metrics, "cas_rows_total")).toContain('pockaffe_cas_rows_total{table="events",result="stale"} 0');
	});

	it("adds to counters per batch and never goes down", async () => {
		const metrics = new Metrics();
		metrics.count("messages_consumed_total", { topic: "orders", partition: 3 }, 500);
		metrics.count("messages_consumed_total", { topic: "orders", partition: 3 }, -1);
		metrics.count("messages_consumed_total", { topic: "orders", partition: 3 });
		expect(await linesOf(metrics, "messages_consumed_total")).toEqual([
			'pockaffe_messages_consumed_total{topic="orders",partition="3"} 501',
		]);
	});

	it("replaces a gauge's series as a whole and leaves out what is not known", async () => {
		const metrics = new Metrics();
		metrics.set("committed_offset", [
			[{ topic: "orders", partition: 0 }, 5],
			[{ topic: "orders", partition: 1 }, null],
		]);
		expect(await linesOf(metrics, "committed_offset")).toEqual(['pockaffe_committed_offset{topic="orders",partition="0"} 5']);
		metrics.set("committed_offset", [[{ topic: "orders", partition: 2 }, 0]]);
		expect(await linesOf(metrics, "committed_offset")).toEqual(['pockaffe_committed_offset{topic="orders",partition="2"} 0']);
	});

	it("removes all series of a released partition and no others", async () => {
		const metrics = new Metrics();
		for (const partition of [1, 11]) {
			metrics.count("messages_consumed_total", { topic: "orders", partition });
			metrics.start("worker_restarts_total", { topic: "orders", partition });
			metrics.count("worker_restarts_total", { topic: "orders", partition, reason: "timeout" });
		}
		metrics.count("message_bytes_total", { topic: "orders" }, 10);
		metrics.count("messages_consumed_total", { topic: "others", partition: 1 }, 5);
		metrics.forgetPartition({ topic: "orders", partition: 1 });
		const { body } = await metrics.render();
		expect(body).not.toContain('topic="orders",partition="1"');
		expect(body).toContain('pockaffe_messages_consumed_total{topic="others",partition="1"} 5');
		expect(body).toContain('pockaffe_worker_restarts_total{topic="orders",partition="11",reason="timeout"} 1');
		expect(body).toContain('pockaffe_message_bytes_total{topic="orders"} 10');
	});

	it("asks for gauges at every scrape and survives a part that can't answer", async () => {
		const metrics = new Metrics();
		let scrapes = 0;
		metrics.onScrape(() => {
			throw new Error("closed");
		});
		metrics.onScrape(() => metrics.set("write_queue_rows", [[{}, ++scrapes]]));
		await metrics.render();
		expect(await linesOf(metrics, "write_queue_rows")).toEqual(["pockaffe_write_queue_rows 2"]);
	});

	it("exports Node's own under the names that dashboards know", async () => {
		const { body } = await new Metrics({ nodeMetrics: true }).render();
		expect(body).toContain("nodejs_eventloop_lag_p99_seconds");
		expect(body).toContain("nodejs_heap_size_used_bytes");
		expect(body).toContain("process_cpu_seconds_total");
	});
});

describe("bulk histogram", () => {
	it("counts a batch into cumulative buckets, bounds included", async () => {
		const histogram = new BulkHistogram("h_seconds", "help", [0.001, 0.01, 0.1]);
		histogram.observe({ topic: "t" }, Float64Array.of(1, 1.001, 10, 100, 101, 5000), 0.001);
		const { values } = await histogram.get();
		expect(values.map(({ metricName, labels, value }) => [metricName, labels.le, value])).toEqual([
			["h_seconds_bucket", 0.001, 1],
			["h_seconds_bucket", 0.01, 3],
			["h_seconds_bucket", 0.1, 4],
			["h_seconds_bucket", "+Inf", 6],
			["h_seconds_sum", undefined, expect.closeTo(5.213, 3)],
			["h_seconds_count", undefined, 6],
		]);
	});

	it("counts a negative value as 0 and leaves out what is no number", async () => {
		const histogram = new BulkHistogram("h_seconds", "help", [1]);
		histogram.observe({}, [-5, Number.NaN, Number.POSITIVE_INFINITY]);
		const { values } = await histogram.get();
		expect(values.map(({ value }) => value)).toEqual([1, 1, 0, 1]);
	});
});
