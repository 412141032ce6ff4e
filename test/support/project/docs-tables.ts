/** Tables of the docs that are made from the source, and their places on the pages: between `<!-- name -->` and `<!-- /name -->`. */
import { readFileSync, writeFileSync } from "node:fs";
import { allOptions, plainDefault } from "../../../src/config/schema/describe-options.ts";
import { type MetricName, metricNames, metricPrefix, specOf } from "../../../src/observe/metrics/metric-catalogue.ts";
import { type CodeSpec, readinessCodes } from "../../../src/observe/readiness-codes.ts";

/** A page's text, and what it must be: with these tables, by name. `UPDATE_DOCS=1` writes the page first. */
export function pageWith(page: URL, tables: Readonly<Record<string, string>>): { readonly text: string; readonly wanted: string } {
	const wanted = Object.entries(tables).reduce((text, [name, table]) => withTable(text, name, table), readFileSync(page, "utf8"));
	if (process.env.UPDATE_DOCS) writeFileSync(page, wanted);
	return { text: readFileSync(page, "utf8"), wanted };
}

/** `text` with what stands between `<!-- name -->` and `<!-- /name -->` replaced. Throws if there is no such place. */
export function withTable(text: string, name: string, table: string): string {
	const [opening, closing] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
	const [from, to] = [text.indexOf(opening), text.indexOf(closing)];
	if (from < 0 || to < from) throw new Error(`there is no place for ${name}`);
	return `${text.slice(0, from + opening.length)}\n${table}\n${text.slice(to)}`;
}

/** Full name, type, labels (with their values where they are listed), buckets, meaning. */
export function renderMetricTable(): string {
	const lines = ["| metric | type | labels | buckets | meaning |", "| --- | --- | --- | --- | --- |"];
	return [...lines, ...metricNames.map(rowOf)].join("\n");
}

/** A row per code of `/readyz`: what it means, what to look at, what to do, when it ends by itself. */
export function renderReadinessTable(): string {
	const rows = Object.entries<CodeSpec>(readinessCodes).map(
		([code, { means, look, remedy, ends }]) => `| \`${code}\` | ${means} | ${look} | ${remedy} | ${ends} |`,
	);
	return [
		"| code | what it means | what to look at | what to do | when it ends by itself |",
		"| --- | --- | --- | --- | --- |",
		...rows,
	].join("\n");
}

/** A row per option with type, default and meaning. */
export function renderOptionTable(): string {
	const lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"];
	for (const { path, type, default: fallback, description } of allOptions()) {
		lines.push(
			`| \`${path.join(".")}\` | ${type.replaceAll("|", "\\|")} | ${shownDefault(fallback)} | ${description.replaceAll("|", "\\|")} |`,
		);
	}
	return lines.join("\n");
}

function rowOf(name: MetricName): string {
	const { type, labels, buckets, help } = specOf(name);
	const shownLabels = Object.entries(labels).map(([label, values]) => (values ? `\`${label}\` (${values.join(", ")})` : `\`${label}\``));
	return `| \`${metricPrefix}${name}\` | ${type} | ${shownLabels.join(", ")} | ${buckets?.join(" ") ?? ""} | ${help} |`;
}

function shownDefault(fallback: unknown): string {
	const plain = plainDefault(fallback);
	return plain ? `\`${plain}\`` : "";
}
