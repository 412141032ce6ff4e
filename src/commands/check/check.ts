/** `check`: checks everything that can be known before a start, one line each; exit 1 if one fails. Changes nothing. */
import type { Command } from "commander";
import type { Config } from "../../config/config.ts";
import { requireForRun } from "../../config/required-keys.ts";
import { tableLayouts } from "../../config/table-layouts.ts";
import { exitCodes, messageOf } from "../../core/errors.ts";
import { knownSecrets } from "../../core/text/secret-mask.ts";
import { clientFeatures } from "../../kafka/client/consumer-client.ts";
import { nativeMissing, withoutAddon } from "../../kafka/native.ts";
import { inspectHandler } from "../../worker/thread/inspect-handler.ts";
import { type CommandContext, print } from "../command-context.ts";
import { configOf } from "../configured.ts";
import { CrashWitness } from "../process/crash-witness.ts";
import { unlessInterrupted } from "../process/way-out.ts";
import { textTable } from "../terminal/text-table.ts";
import { databaseFindings } from "./check-database.ts";
import { type Finding, failed, ok, warning } from "./check-finding.ts";
import { kafkaFindings } from "./check-kafka.ts";

/** How to print the result. */
export interface CheckOptions {
	readonly json?: boolean;
	readonly rights?: boolean;
}

/** Prints the findings; exit 1 if a check fails. */
export async function check({ json, rights }: CheckOptions, command: Command, context: CommandContext): Promise<void> {
	const findings = await unlessInterrupted(allFindings(command, context), context, "the check");
	if (rights) print(context.stdout, rightsText(findings));
	else if (json) print(context.stdout, JSON.stringify(findings));
	else
		print(
			context.stdout,
			textTable(
				["RESULT", "ITEM", "DETAIL"],
				findings.map(({ item, result, detail }) => [result, item, detail]),
			),
		);
	if (findings.some(({ result }) => result === "failed")) context.exit(exitCodes.found);
}

async function allFindings(command: Command, context: CommandContext): Promise<Finding[]> {
	const { config, source } = configOf(command, context);
	const findings: Finding[] = [];
	try {
		requireForRun(config, source);
		findings.push(ok("configuration", source));
	} catch (error) {
		findings.push(
			failed(
				"configuration",
				messageOf(error)
					.replace(/:\s*\n\s*/, ": ")
					.replaceAll(/\s*\n\s*/g, "; "),
			),
		);
	}
	findings.push(...strategyFindings(config));
	if (config.handler.module) findings.push(await handlerFinding(config, context));
	findings.push(codecFinding(), addonFinding());
	if (config.kafka.brokers.length > 0) findings.push(...(await kafkaFindings(config, context.clock)));
	if (config.database.url) findings.push(...(await databaseFindings(config, context.clock)));
	// Masks secrets in the words of the handler and of servers.
	return findings.map((finding) => ({ ...finding, detail: knownSecrets.mask(finding.detail) }));
}

async function handlerFinding(config: Config, { clock, interrupted }: CommandContext): Promise<Finding> {
	const { handler, workers, kafka } = config;
	const options = { handler, tables: tableLayouts(config), maxHeapMb: workers.maxHeapMb };
	using witness = new CrashWitness("Nothing else was checked.");
	interrupted.addEventListener("abort", () => witness[Symbol.dispose](), { once: true });
	witness.runs(`It was loading ${handler.module}, or in its init.`);
	const reply = await inspectHandler(options, kafka.topics[0] ?? "", handler.timeoutMs, clock);
	if (!reply.ok) return failed("handler", reply.failure.message);
	return ok("handler", `${handler.module} exports ${reply.handles === "message" ? "handleMessage" : "handleMessages"}`);
}

function codecFinding(): Finding {
	const missing = ["gzip", "snappy", "lz4", "zstd"].filter((codec) => !clientFeatures.includes(codec));
	if (missing.length === 0) return ok("codecs", "gzip, snappy, lz4, zstd");
	return warning("codecs", `${missing.join(", ")} can't be read: see binding.gyp-notes.md`);
}

function addonFinding(): Finding {
	if (nativeMissing === null) return ok("addon", "loaded: topic ids are known, messages come packed");
	return warning("addon", `${nativeMissing}: ${withoutAddon}`);
}

/**
 * Each command once: shell commands for Kafka, SQL for the database. Failures of other kinds become comments, because a missing right may
 * be their cause.
 */
function rightsText(findings: readonly Finding[]): string {
	const refused = findings.filter(({ commands }) => commands !== undefined);
	const items = new Set(refused.map(({ item }) => item));
	const others = findings.filter(({ item, result }) => result === "failed" && !items.has(item));
	const lines = [...new Set(refused.flatMap(({ commands = [] }) => commands)), ...others.map(({ item, detail }) => `# ${item}: ${detail}`)];
	return lines.length > 0 ? lines.join("\n") : "# no right is missing";
}

/** The log's order says nothing if an id may come from several topics. */
function strategyFindings(config: Config): Finding[] {
	const byOffset = tableLayouts(config).filter(({ version, withTopic }) => withTopic && version.kind === "offset");
	const detail = "cas.version offset with several topics: offsets of different topics can't be compared; use timestamp or field";
	return byOffset.map(({ name }) => warning(`table ${name}`, detail));
}
