/** The table of metrics for docs/metrics.md, rendered from the catalogue, and its place there. Pure text. */
import { type MetricName, metricNames, metricPrefix, specOf } from "./metric-catalogue.ts";

const opening = "<!-- metrics -->";
const closing = "<!-- /metrics -->";

/** Markdown: full name, type, labels (with their values where they are listed), buckets, meaning. */
export function renderMetricTable(): string {
	const lines = ["| metric | type | labels | buckets | meaning |", "| --- | --- | --- | --- | --- |"];
	return [...lines, ...metricNames.map(rowOf)].join("\n");
}

/** The text between `<!-- metrics -->` and `<!-- /metrics -->`, trimmed; null if the markers are missing. */
export function metricTableIn(readme: string): string | null {
	const place = findPlace(readme);
	return place && readme.slice(place.from, place.to).trim();
}

/** The page with the table between its markers replaced; unchanged if the markers are missing. */
export function withMetricTable(readme: string): string {
	const place = findPlace(readme);
	if (!place) return readme;
	return `${readme.slice(0, place.from)}\n${renderMetricTable()}\n${readme.slice(place.to)}`;
}

function findPlace(readme: string): { from: number; to: number } | null {
	const start = readme.indexOf(opening);
	const to = readme.indexOf(closing, start);
	return start < 0 || to < 0 ? null : { from: start + opening.length, to };
}

function rowOf(name: MetricName): string {
	const { type, labels, buckets, help } = specOf(name);
	const shownLabels = Object.entries(labels).map(([label, values]) => (values ? `\`${label}\` (${values.join(", ")})` : `\`${label}\``));
	return `| \`${metricPrefix}${name}\` | ${type} | ${shownLabels.join(", ")} | ${buckets?.join(" ") ?? ""} | ${help} |`;
}
