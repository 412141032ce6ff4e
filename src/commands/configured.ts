/** The configuration of a command: from the global options, or of this folder's embedded daemon. */
import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { withEmbeddedProfile, withoutAccounts } from "../config/embedded-profile.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { isUnconfigured, requireForRun } from "../config/required-keys.ts";
import { ExitError, exitCodes } from "../core/errors.ts";
import { isAlive } from "../core/is-alive.ts";
import { readEmbeddedFile } from "../embedded/embedded-file.ts";
import type { SetTo } from "../kafka/offsets/offset-plan.ts";
import type { CommandContext } from "./command-context.ts";

/** The configuration that the global options select. `withoutServers`: Kafka and the database are not needed, or are the embedded ones. */
export function configOf(command: Command, { environment, cwd }: CommandContext, withoutServers = false): LoadedConfig {
	const { config: file } = command.optsWithGlobals<{ config?: string }>();
	return loadConfig({ file, environment, cwd, withoutServers });
}

/**
 * As `configOf`, but an embedded daemon of the same file that runs in this folder comes first. Then the settings that it replaces may
 * name variables that are not set. If a broker or a database is configured nevertheless, every variable must be set: otherwise a real
 * connection would be made without its log-in or TLS.
 */
export async function configHere(command: Command, context: CommandContext): Promise<LoadedConfig> {
	const embedded = await readEmbeddedFile(context.cwd);
	if (!embedded || !isAlive(embedded.pid)) return configOf(command, context);
	const loaded = configOf(command, context, true);
	return embedded.config === loaded.source && isUnconfigured(loaded.config) ? loaded : configOf(command, context);
}

/**
 * The daemon's whole configuration, or that of this folder's embedded daemon. `places`: places in the log that the user named, by option.
 * Throws ExitError (usage) if something is missing, or if a place can't be found there.
 */
export async function daemonConfig(
	command: Command,
	context: CommandContext,
	places: Readonly<Record<string, SetTo | undefined>> = {},
): Promise<LoadedConfig> {
	const { config, source } = await configHere(command, context);
	const embedded = isUnconfigured(config) ? await readEmbeddedFile(context.cwd) : null;
	if (embedded) {
		const timed = Object.keys(places).find((option) => places[option]?.kind === "time");
		const why = `${timed} is a time, but the embedded broker finds no message by its time: name an offset, earliest or latest`;
		if (timed) throw new ExitError(exitCodes.usage, "embedded_times", why);
		return { config: withEmbeddedProfile(config, embedded), source };
	}
	requireForRun(config, source);
	return { config, source };
}

/** The Kafka to use: the configured one, or that of an embedded daemon running in this folder. `embedded` tells which. */
export async function kafkaOf(command: Command, context: CommandContext): Promise<{ kafka: Config["kafka"]; embedded: boolean }> {
	const { config } = await configHere(command, context);
	if (config.kafka.brokers.length > 0) return { kafka: config.kafka, embedded: false };
	const addresses = await readEmbeddedFile(context.cwd);
	if (!addresses) {
		const rule =
			"kafka.brokers is needed: name a configuration (-c FILE), set POCKAFFE_KAFKA_BROKERS=host:port, or run an embedded daemon here (pockaffe run --embedded)";
		throw new ExitError(exitCodes.usage, "no_brokers", rule);
	}
	if (!isAlive(addresses.pid)) {
		const rule = `the embedded daemon of .pockaffe/embedded.json (pid ${addresses.pid}) is gone: start it (pockaffe run --embedded), or set kafka.brokers`;
		throw new ExitError(exitCodes.usage, "embedded_gone", rule);
	}
	return { kafka: { ...config.kafka, ...withoutAccounts, brokers: addresses.brokers }, embedded: true };
}
