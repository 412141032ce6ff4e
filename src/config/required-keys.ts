/** Checks what a command needs from the configuration before it begins, and lists all missing keys at once. Pure. */
import { ExitError, exitCodes } from "../core/errors.ts";
import type { Config } from "./config.ts";
import { passed, withoutFile } from "./load.ts";
import { type ConfigProblem, configError } from "./schema/problems.ts";

/** True if neither a broker nor a database is configured. */
export function isUnconfigured({ kafka, database }: Config): boolean {
	return kafka.brokers.length === 0 && database.url === "";
}

/**
 * Throws ExitError (usage) if there is neither a file nor a broker nor a database. In a wrong folder, or without its mount, a daemon would
 * otherwise start as a demo, be ready, and nobody would notice.
 */
function requireConfiguration(config: Config, source: string): void {
	if (source !== withoutFile || !isUnconfigured(config)) return;
	const ways = [
		"name a configuration: -c FILE, or POCKAFFE_CONFIG, or a pockaffe.yaml in this folder",
		"or set POCKAFFE_KAFKA_BROKERS, POCKAFFE_DATABASE_URL and the rest (pockaffe run --help)",
		"or see it work on a broker and a database of its own: pockaffe run --embedded",
	];
	throw new ExitError(exitCodes.usage, "no_configuration", `there is no configuration here: ${ways.join("; ")}`);
}

/**
 * Throws ExitError (usage) with every key that `run` needs and lacks: a broker or a database alone must not commit a real group's offsets.
 */
export function requireForRun(config: Config, source: string): void {
	requireConfiguration(config, source);
	const missing: ConfigProblem[] = [...missingBrokers(config, source)];
	if (config.database.url === "")
		missing.push({ path: ["database", "url"], rule: needed(source, "postgres://…", "POCKAFFE_DATABASE_URL") });
	if (config.kafka.group === "") missing.push({ path: ["kafka", "group"], rule: "is needed: the consumer group" });
	if (config.kafka.topics.length === 0) missing.push({ path: ["kafka", "topics"], rule: "is needed: the topics to read" });
	if (config.handler.module === "")
		missing.push({ path: ["handler", "module"], rule: "is needed: your handler's file, or pockaffe:json, pockaffe:log" });
	const { module, produces } = config.handler;
	if (Object.keys(config.tables).length === 0 && module !== "pockaffe:log" && produces.length === 0)
		missing.push({ path: ["tables"], rule: "is needed: at least one table, or handler.produces" });
	if (missing.length > 0) throw configError(source, missing);
}

/** The problem of a missing broker; empty if there is one. */
export function missingBrokers({ kafka }: Pick<Config, "kafka">, source: string): ConfigProblem[] {
	return kafka.brokers.length > 0 ? [] : [{ path: ["kafka", "brokers"], rule: needed(source, "host:port", "POCKAFFE_KAFKA_BROKERS") }];
}

function needed(source: string, value: string, variable: string): string {
	return source === passed ? `is needed: ${value}` : `is needed: set it in the file, or ${variable}=${value}`;
}
