/** What `promtool check metrics` complains of, for every metric that the daemon gives: dashboards and linters of others read them too. */
import { describe, expect, it } from "vitest";
import { Metrics } from "../../../src/observe/metrics/metrics.ts";

interface Family {
	readonly name: string;
	help: string;
	type: string;
	readonly samples: Set<string>;
	readonly labels: Set<string>;
}

/** The exposition format: families with their samples' names. */
function familiesOf(text: string): Family[] {
	const families: Family[] = [];
	const byName = (name: string) => {
		const known = families.find((family) => family.name === name);
		if (known) return known;
		const family: Family = { name, help: "", type: "", samples: new Set(), labels: new Set() };
		families.push(family);
		return family;
	};
	for (const line of text.split("\n")) {
		const [, kind, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? [];
		if (kind === "HELP") byName(name).help = rest;
		else if (kind === "TYPE") byName(name).type = rest;
		else if (line !== "" && !line.startsWith("#")) {
			const [, sample = "", labels = ""] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? /.exec(line) ?? [];
			const family = families.findLast((each) => sample.startsWith(each.name)) as Family;
			family.samples.add(sample);
			for (const [, label] of labels.matchAll(/(\w+)="/g)) family.labels.add(label as string);
		}
	}
	return families;
}

/** Words that promtool takes for a unit that is none of Prometheus's base units, and abbreviations of units. */
const otherUnits = /_(milliseconds|microseconds|minutes|hours|days|kilobytes|megabytes|kibibytes|mebibytes|bits|percent)(_|$)/;
const abbreviated = /_(s|ms|us|ns|sec|b|kb|mb|gb)(_|$)/;

function complaints({ name, help, type, samples, labels }: Family): string[] {
	const found: string[] = [];
	if (help === "") found.push("no help text");
	if (type === "counter" && !name.endsWith("_total")) found.push("counter metrics should have _total suffix");
	if (type !== "counter" && name.endsWith("_total")) found.push("non-counter metrics should not have _total suffix");
	if (type !== "histogram" && name.endsWith("_bucket")) found.push("non-histogram metrics should not have _bucket suffix");
	if (type !== "histogram" && type !== "summary" && /_(count|sum)$/.test(name))
		found.push("non-histogram metrics should not have _count or _sum suffix");
	if (type !== "histogram" && labels.has("le")) found.push('non-histogram metrics should not have "le" label');
	if (type !== "summary" && labels.has("quantile")) found.push('non-summary metrics should not have "quantile" label');
	if (new RegExp(`_(${type})(_|$)`).test(name)) found.push("metric name should not include its type");
	if (/[A-Z]/.test(name) || [...labels].some((label) => /[A-Z]/.test(label))) found.push("names should be written in snake_case");
	if (/:/.test(name)) found.push("metric names should not contain ':'");
	if (otherUnits.test(name)) found.push("use base unit");
	if (abbreviated.test(name)) found.push("metric names should not contain abbreviated units");
	if (type === "untyped" || type === "") found.push("no type");
	if (samples.size === 0 && type === "") found.push("no sample");
	return found;
}

describe("every metric that is given", () => {
	it("is named as Prometheus's own linter wants it", async () => {
		const { body } = await new Metrics({ nodeMetrics: true }).render();
		const families = familiesOf(body);
		expect(families.map(({ name }) => name)).toEqual(expect.arrayContaining(["pockaffe_ready", "process_cpu_seconds_total"]));
		expect(families.length).toBeGreaterThan(60);
		expect(families.flatMap((family) => complaints(family).map((words) => `${family.name}: ${words}`))).toEqual([]);
	});

	it.each([
		["# HELP a_ms words\n# TYPE a_ms gauge\na_ms 1", "metric names should not contain abbreviated units"],
		["# HELP a words\n# TYPE a counter\na 1", "counter metrics should have _total suffix"],
		["# TYPE a_total gauge\na_total 1", "no help text"],
		["# HELP a_total words\n# TYPE a_total gauge\na_total 1", "non-counter metrics should not have _total suffix"],
		['# HELP a words\n# TYPE a gauge\na{le="1"} 1', 'non-histogram metrics should not have "le" label'],
	])("%j is complained of", (text, words) => {
		expect(familiesOf(text).flatMap(complaints)).toContain(words);
	});
});
