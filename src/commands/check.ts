/** `check`: everything that can be known before a start, a line each; exit 1 where one fails. Changes nothing. */
import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { requireForRun } from "../config/requirements.ts";
import { referenceWaits, tableLayouts } from "../config/table-layouts.ts";
import { ExitError, exitCodes, messageOf } from "../core/errors.ts";
import { isTopicMeant } from "../core/message.ts";
import { ownTables } from "../daemon-parts.ts";
import { clientFeatures } from "../kafka/consumer-client.ts";
import { nativeMissing, withoutAddon } from "../kafka/native.ts";
import { type UnreachableBroker, unreachableBrokers } from "../kafka/reachability.ts";
import { ClusterInspector } from "../kafka/topics.ts";
import { type CrashSafety, crashSafetyOf } from "../sink/crash-safety.ts";
import { connectDatabase } from "../sink/database.ts";
import { withoutForeignKeys } from "../sink/foreign-keys.ts";
import { checkOwnTables, checkTables, type TableFindings } from "../sink/schema-check.ts";
import { problemOf } from "../sink/sql-faults.ts";
import { inspectHandler } from "../worker/inspect-handler.ts";
import { type CommandContext, configOf, print } from "./command-context.ts";
import { textTable } from "./text-table.ts";
import { unlessInterrupted } from "./way-out.ts";

/** One line of the report. */
interface Finding {
	readonly item: string;
	readonly result: "ok" | "warning" | "failed";
	readonly detail: string;
}

const DEADLINE_MS = 10_000;

export function registerCheck(program: Command, context: CommandContext): void {
	program
		.command("check")
		.description("check configuration, handler, broker, topics, codecs, database and tables")
		.option("--json", "as JSON")
		.action(async ({ json }: { json?: boolean }, command: Command) => {
			const findings = await unlessInterrupted(allFindings(command, context), context, "the check");
			if (json) print(context.stdout, JSON.stringify(findings));
			else
				print(
					context.stdout,
					textTable(
						["RESULT", "ITEM", "DETAIL"],
						findings.map(({ item, result, detail }) => [result, item, detail]),
					),
				);
			if (findings.some(({ result }) => result === "failed")) context.exit(exitCodes.found);
		});
}

async function allFindings(command: Command, context: CommandContext): Promise<Finding[]> {
	const { config, source } = configOf(command, context);
	const findings: Finding[] = [];
	try {
		requireForRun(config, source);
		findings.push(ok("configuration", source));
	} catch (error) {
		findings.push(failed("configuration", messageOf(error).replaceAll(/\s*\n\s*/g, " ")));
	}
	findings.push(...strategyFindings(config));
	if (config.handler.module) findings.push(await handlerFinding(config, context));
	findings.push(codecFinding(), addonFinding());
	if (config.kafka.brokers.length > 0) findings.push(...(await kafkaFindings(config, context)));
	if (config.database.url) findings.push(...(await databaseFindings(config, context)));
	return findings;
}

async function handlerFinding(config: Config, { clock }: CommandContext): Promise<Finding> {
	const { handler, workers, kafka } = config;
	const options = { handler, tables: tableLayouts(config), maxHeapMb: workers.maxHeapMb, timestampType: kafka.timestampType };
	const reply = await inspectHandler(options, kafka.topics[0] ?? "", clock);
	if (!reply.ok) return failed("handler", reply.failure.message);
	return ok("handler", `${handler.module} exports ${reply.handles === "message" ? "handleMessage" : "handleMessages"}`);
}

function codecFinding(): Finding {
	const missing = ["gzip", "snappy", "lz4", "zstd"].filter((codec) => !clientFeatures.includes(codec));
	if (missing.length === 0) return ok("codecs", "gzip, snappy, lz4, zstd");
	return { item: "codecs", result: "warning", detail: `${missing.join(", ")} can't be read: see binding.gyp-notes.md` };
}

function addonFinding(): Finding {
	if (nativeMissing === null) return ok("addon", "loaded: topics are known by Kafka's ids");
	return { item: "addon", result: "warning", detail: `${nativeMissing}: ${withoutAddon}` };
}

async function kafkaFindings({ kafka, deadLetters }: Config, { clock }: CommandContext): Promise<Finding[]> {
	let inspector: ClusterInspector;
	try {
		inspector = await ClusterInspector.connect(kafka, clock, kafka.group || undefined, DEADLINE_MS);
	} catch (error) {
		return [failed("broker", messageOf(error))];
	}
	try {
		const unreachable = await unreachableBrokers(inspector.metadata.brokers);
		const findings = [brokerFinding(kafka, inspector, unreachable)];
		for (const topic of kafka.topics) findings.push(topicFinding(topic, inspector));
		if (deadLetters.target === "topic") findings.push(deadLetterFinding(deadLetters.topic, inspector));
		// Where no broker can be reached there is nobody to ask about the group.
		if (kafka.group && unreachable.length < inspector.metadata.brokers.length) findings.push(await groupFinding(kafka, inspector));
		return findings;
	} finally {
		await inspector[Symbol.asyncDispose]();
	}
}

function brokerFinding({ brokers }: Config["kafka"], { metadata }: ClusterInspector, unreachable: readonly UnreachableBroker[]): Finding {
	if (unreachable.length === 0) return ok("broker", metadata.brokers.map(({ host, port }) => `${host}:${port}`).join(", "));
	const addresses = unreachable.map(({ id, address, why }) => `${address} of broker ${id} can't be reached (${why})`).join(", ");
	const look = "that is what it tells clients to connect to: look at its advertised.listeners";
	return failed("broker", `the cluster is found at ${brokers.join(",")}, but ${addresses}; ${look}`);
}

function topicFinding(topic: string, { metadata, topics }: ClusterInspector): Finding {
	if (topic.startsWith("^")) {
		const matching = topics.filter((name) => isTopicMeant(topic, name));
		const detail = matching.length > 0 ? matching.join(", ") : "no topic matches yet; one made later is found";
		return { item: `topic ${topic}`, result: matching.length > 0 ? "ok" : "warning", detail };
	}
	const found = metadata.topics.find(({ name, partitions }) => name === topic && partitions.length > 0);
	if (!found) return failed(`topic ${topic}`, `is missing: pockaffe topic create ${topic} -p 1`);
	return ok(`topic ${topic}`, `${found.partitions.length} partitions`);
}

function deadLetterFinding(topic: string, { topics }: ClusterInspector): Finding {
	if (topics.includes(topic)) return ok(`dead letters ${topic}`, "the topic is there");
	return { item: `dead letters ${topic}`, result: "warning", detail: "the topic is missing; the daemon creates it, if it may" };
}

async function groupFinding({ group, topics }: Config["kafka"], inspector: ClusterInspector): Promise<Finding> {
	try {
		const offsets = await inspector.groupOffsets(inspector.topics.filter((name) => topics.includes(name)));
		const committed = offsets.filter((each) => each.committed !== null).length;
		return ok(`group ${group}`, committed === 0 ? "has committed nothing yet" : `has committed offsets for ${committed} partitions`);
	} catch (error) {
		return failed(`group ${group}`, messageOf(error));
	}
}

async function databaseFindings(config: Config, { clock }: CommandContext): Promise<Finding[]> {
	const database = connectDatabase({ ...config.database, connections: 1, clock, deadlineMs: DEADLINE_MS });
	try {
		const [row] = await database.query("select current_setting('server_version') as version");
		const users = await checkTables(database, tableLayouts(config));
		const own = await checkOwnTables(database, ownTables(config));
		const safety = await crashSafetyOf(
			database,
			[...users, ...own].map(({ table }) => table),
		);
		const unkeyed = await withoutForeignKeys(database, referenceWaits(config).keys());
		return [
			ok("database", `version ${String(row?.version)}`),
			...safety.server.map((detail) => ({ item: "database", result: "warning" as const, detail })),
			...users.flatMap((table) => tableFindings(withUnlogged(withUnkeyed(table, unkeyed), safety), "as configured")),
			...own.flatMap((table) => tableFindings(withUnlogged(table, safety), "the table is there")),
		];
	} catch (error) {
		return [failed("database", error instanceof ExitError ? error.message : problemOf(error).message)];
	} finally {
		await database.close();
	}
}

function withUnlogged(found: TableFindings, { tables }: CrashSafety): TableFindings {
	const words = tables.get(found.table);
	return words === undefined ? found : { ...found, problems: [...found.problems, words] };
}

function withUnkeyed(found: TableFindings, unkeyed: readonly string[]): TableFindings {
	const { table, warnings } = found;
	if (!unkeyed.includes(table)) return found;
	const words = `has no foreign key: tables.${table}.references has nothing to wait for`;
	return { ...found, warnings: [...warnings, words] };
}

function tableFindings({ table, problems, warnings }: TableFindings, fine: string): Finding[] {
	const item = `table ${table}`;
	if (problems.length + warnings.length === 0) return [ok(item, fine)];
	return [...problems.map((problem) => failed(item, problem)), ...warnings.map((detail) => ({ item, result: "warning" as const, detail }))];
}

/** Log order says nothing where an id may come from several topics. */
function strategyFindings(config: Config): Finding[] {
	const byOffset = tableLayouts(config).filter(({ version, withTopic }) => withTopic && version.kind === "offset");
	return byOffset.map(({ name }) => ({
		item: `table ${name}`,
		result: "warning",
		detail: "cas.version offset with several topics: offsets of different topics can't be compared; use timestamp or field",
	}));
}

function ok(item: string, detail: string): Finding {
	return { item, result: "ok", detail };
}

function failed(item: string, detail: string): Finding {
	return { item, result: "failed", detail };
}
