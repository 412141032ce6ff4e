/**
 * `check` for `pockaffe:json`: do the newest messages of each topic have the fields that the configuration names? A mistyped path is a
 * null in every row, or a dead letter for every message, and nothing else would say so. Changes nothing; prints names of fields, no values.
 */
import type { Config } from "../../config/config.ts";
import { nearest } from "../../config/schema/problems.ts";
import { tableLayouts } from "../../config/table-layouts.ts";
import type { Clock } from "../../core/clock.ts";
import { isTopicMeant, type ReceivedMessage } from "../../core/messages/message.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import { counted } from "../../core/text/counted.ts";
import { newestMessages } from "../../kafka/client/newest-messages.ts";
import type { ClusterInspector } from "../../kafka/topics.ts";
import { hasNothingFor, knownFields } from "../../worker/inside/json/known-fields.ts";
import { objectIn, valueAt } from "../../worker/inside/json/parse-json.ts";
import { type Finding, ok, warning } from "./check-finding.ts";

/** Messages per topic. */
const SAMPLE = 20;
/** A pattern may match thousands of topics. */
const MOST_TOPICS = 10;
const WITHIN_MS = 3_000;
/** Paths deeper than this are not proposed. */
const DEEPEST = 4;

/** One finding or more for each topic with messages. Topics that can't be read are left out: other findings name them. */
export async function messageFindings(config: Config, inspector: ClusterInspector, clock: Clock): Promise<Finding[]> {
	const { kafka, handler } = config;
	if (handler.module !== "pockaffe:json") return [];
	const { id } = handler.options as { readonly id?: unknown };
	const idPath = typeof id === "string" ? id.split(".") : null;
	const layouts = tableLayouts(config);
	const findings: Finding[] = [];
	const topics = inspector.topics.filter((name) => kafka.topics.some((entry) => isTopicMeant(entry, name)));
	for (const topic of topics.slice(0, MOST_TOPICS)) {
		const layout = layouts.length === 1 ? layouts[0] : layouts.find(({ name }) => name === topic);
		const messages = layout ? await newest(topic, config, inspector, clock).catch(() => []) : [];
		if (layout) findings.push(...judgeMessages(topic, messages, { idPath, layout }));
	}
	return findings;
}

async function newest(topic: string, { kafka }: Config, inspector: ClusterInspector, clock: Clock): Promise<ReceivedMessage[]> {
	const partitions = inspector.partitionsOf(topic);
	const each = Math.ceil(SAMPLE / partitions.length);
	const bounds = await Promise.all(
		partitions.map(async (partition) => ({ topic, partition, ...(await inspector.watermarks({ topic, partition })) })),
	);
	const from = bounds
		.filter(({ low, high }) => high > low)
		.map(({ partition, low, high }) => ({ topic, partition, offset: Math.max(low, high - each) }));
	if (from.length === 0) return [];
	return newestMessages(kafka, clock, from, { group: kafka.group, withinMs: WITHIN_MS });
}

/** What the configuration says of a message: where its id is (null: its key), and the table that its fields go to. */
export interface MeantFields {
	readonly idPath: readonly string[] | null;
	readonly layout: TableLayout;
}

/** Compares messages of a topic with what is configured. Pure. */
export function judgeMessages(
	topic: string,
	messages: readonly Pick<ReceivedMessage, "key" | "value">[],
	{ idPath, layout }: MeantFields,
): Finding[] {
	const values = messages.filter(({ value }) => value !== null);
	if (values.length === 0) return [];
	const item = `messages of ${topic}`;
	const parsed = values.map(({ value }) => objectIn(value as Buffer));
	const [why] = parsed.filter((each) => typeof each === "string");
	const objects = parsed.filter((each) => typeof each !== "string");
	const newestOf = (count: number) => `${count} of the ${counted(values.length, "newest message")}`;
	const findings: Finding[] = [];
	if (why !== undefined) findings.push(warning(item, `${newestOf(values.length - objects.length)} would become dead letters: ${why}`));
	if (objects.length === 0) return findings;
	const names = [...new Set(objects.flatMap((each) => [...pathsIn(each)]))];
	const have = (path: readonly string[]) => objects.filter((each) => valueAt(each, path) !== undefined).length;
	if (idPath) {
		const lacking = objects.length - have(idPath);
		const name = idPath.join(".");
		if (lacking > 0) {
			const meant = lacking === objects.length ? nearest(name, names) : "";
			findings.push(warning(item, `${newestOf(lacking)} would become dead letters: they lack ${name} (handler.options.id)${meant}`));
		}
	} else {
		const lacking = values.filter(({ key }) => key === null).length;
		const advice = "they have no key to be the id; handler.options.id can name a field";
		if (lacking > 0) findings.push(warning(item, `${newestOf(lacking)} would become dead letters: ${advice}`));
		// With the key as id the handler rejects an object that has nothing for the row (json-handler.ts).
		const strange = objects.filter((each) => hasNothingFor(knownFields(layout), each)).length;
		const none = `they have none of the fields that columns of ${layout.name} are read from`;
		if (strange > 0) findings.push(warning(item, `${newestOf(strange)} would become dead letters: ${none}`));
	}
	for (const { name: column, path } of layout.columns) {
		if (have(path) > 0) continue;
		const name = path.join(".");
		const what = `column ${column} of ${layout.name} would be null in every row: none of the ${counted(objects.length, "newest message")} has ${name}`;
		findings.push(warning(item, `${what}${nearest(name, names)}`));
	}
	return findings.length > 0 ? findings : [ok(item, `each configured field is in one of the ${counted(objects.length, "newest message")}`)];
}

/** The paths of an object's fields, the outer ones first. */
function* pathsIn(fields: Record<string, unknown>, before = "", depth = 1): Generator<string> {
	for (const [name, value] of Object.entries(fields)) {
		yield before + name;
		const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
		if (isObject && depth < DEEPEST) yield* pathsIn(value as Record<string, unknown>, `${before}${name}.`, depth + 1);
	}
}
