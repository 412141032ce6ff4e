/** `run`: the daemon, until a signal, policy or Kafka ends it; with --embedded on a broker and a database of its own. */
import { join } from "node:path";
import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { withEmbeddedProfile } from "../config/embedded-profile.ts";
import type { LoadedConfig } from "../config/load.ts";
import { requireForRun } from "../config/required-keys.ts";
import { nearest } from "../config/schema/problems.ts";
import { ExitError, exitCodes, messageOf } from "../core/errors.ts";
import { systemRandom } from "../core/random.ts";
import type { StopCause } from "../daemon/daemon.ts";
import { embeddedFolder, removeEmbeddedFile, writeEmbeddedFile } from "../embedded/embedded-file.ts";
import { EmbeddedPostgres } from "../embedded/embedded-postgres.ts";
import { startSampleProducer } from "../embedded/sample-producer.ts";
import { startSummary } from "../embedded/summary-line.ts";
import { startMockCluster } from "../kafka/mock-cluster.ts";
import { Producer } from "../kafka/producer.ts";
import { LibraryDaemon } from "../library/create-daemon.ts";
import { probeAddress } from "../observe/http/http-server.ts";
import { createLogger, type DaemonLogger } from "../observe/logs/log.ts";
import { probeDatabase } from "../sink/database/database.ts";
import { type CommandContext, print } from "./command-context.ts";
import { configOf } from "./configured.ts";
import { noteDaemon } from "./process/noted-daemons.ts";
import { onIgnoredSignals } from "./process/signals.ts";
import { leaveNow, prepareToLeave } from "./process/way-out.ts";

/** Maximum time of a stop beyond the drain: a client that hangs while closing must not keep the process. */
const STOP_GRACE_MS = 20_000;

/** What the command line says. */
export interface RunCommandOptions {
	readonly embedded?: boolean;
	readonly leave?: boolean;
}

/** Resolves when the daemon has ended. */
export async function run({ embedded, leave = false }: RunCommandOptions, command: Command, context: CommandContext): Promise<void> {
	refuseArguments(command);
	await prepareToLeave();
	const { config, source } = configOf(command, context, embedded === true);
	if (!embedded) requireForRun(config, source);
	const logger = createLogger(config.log, context.stdout);
	if (embedded) await runEmbedded({ config, source }, context, logger);
	else await runDaemon(config, context, logger, { leave });
}

/** `run` is the default command, so a mistyped command arrives here as an argument. */
function refuseArguments({ args: [first], parent }: Command): void {
	if (first === undefined) return;
	const names = (parent?.commands ?? []).map((command) => command.name());
	throw new ExitError(
		exitCodes.usage,
		"unknown_command",
		`there is no command ${first}${nearest(first, names)}; pockaffe --help lists them`,
	);
}

async function runEmbedded({ config, source }: LoadedConfig, context: CommandContext, logger: DaemonLogger): Promise<void> {
	const { cwd, clock } = context;
	logger.warn({ embedded: true }, "embedded: a broker in memory and a database in .pockaffe, for demos and trials, not for production");
	if (config.kafka.brokers.length > 0 || config.database.url !== "")
		logger.warn(
			{},
			"a Kafka or a database is configured here, too: this run does not use them, but the other commands (status, produce, verify, …) do; for this run give them a file without kafka.brokers and database.url (-c FILE)",
		);
	// Checked before a database is created for nothing.
	await probeAddress(config.http);
	await using postgres = await EmbeddedPostgres.start({
		folder: join(cwd, embeddedFolder, "postgres"),
		clock,
		probe: (url) => probeDatabase(url, clock),
		log: (message) => logger.info({}, message),
	});
	const profiled = withEmbeddedProfile(config, { brokers: [], databaseUrl: postgres.url });
	await using cluster = await startMockCluster({ topics: profiled.kafka.topics.filter((topic) => !topic.startsWith("^")) });
	const complete = { ...profiled, kafka: { ...profiled.kafka, brokers: cluster.brokers } };
	logger.info({}, "the embedded broker listens on 127.0.0.1 without accounts: every user of this machine can read and write its topics");
	const isExample = complete.handler.module === "pockaffe:example";
	await using producer = isExample ? await Producer.connect(complete.kafka) : null;
	const started = async (daemon: LibraryDaemon) => {
		const addresses = { brokers: cluster.brokers, databaseUrl: postgres.url, http: daemon.url, pid: process.pid };
		await writeEmbeddedFile(cwd, { ...addresses, startedAt: new Date(clock.now()).toISOString(), config: source });
		if (context.stdout.isTTY) printAddresses(context, addresses);
	};
	const [topic = ""] = complete.kafka.topics;
	const sample =
		producer &&
		startSampleProducer({
			topic,
			clock,
			random: systemRandom,
			produce: (record) => producer.produce(record),
			onError: (error) => logger.debug({}, messageOf(error)),
		});
	try {
		await runDaemon(complete, context, logger, { isEmbedded: true, started, stopping: async () => sample?.stop() });
	} finally {
		await sample?.stop();
		await removeEmbeddedFile(cwd);
	}
}

function printAddresses(
	{ stdout }: CommandContext,
	{ brokers, databaseUrl, http }: { brokers: readonly string[]; databaseUrl: string; http: string | null },
): void {
	print(
		stdout,
		`\n  metrics   ${http}/metrics\n  status    ${http}/status\n  ready     ${http}/readyz\n  brokers   ${brokers.join(",")}\n  database  ${databaseUrl}\n\n  Ctrl-C drains and stops.\n`,
	);
}

interface RunOptions {
	/** `--leave`. */
	readonly leave?: boolean;
	readonly isEmbedded?: boolean;
	readonly started?: (daemon: LibraryDaemon) => Promise<void>;
	readonly stopping?: () => Promise<unknown>;
}

async function runDaemon(
	config: Config,
	context: CommandContext,
	logger: DaemonLogger,
	{ leave = false, isEmbedded = false, started = async () => {}, stopping = async () => {} }: RunOptions,
): Promise<void> {
	const { clock, interrupted, version, cwd, environment } = context;
	const isNoted = !isEmbedded && Object.keys(environment).some((name) => name.startsWith("POCKAFFE_HTTP_"));
	let forget = async () => {};
	const listening = async (url: string) => {
		if (isNoted) forget = await noteDaemon(cwd, { url, group: config.kafka.group });
	};
	const daemon = new LibraryDaemon({ config, logger, clock, random: systemRandom, version, isEmbedded, listening });
	const requested = new Promise<StopCause>((resolve) => daemon.once("stopRequested", resolve));
	const signalled = untilInterrupted(interrupted);
	onIgnoredSignals(process, (signal) =>
		logger.info({ signal }, `${signal} does nothing here; SIGTERM, SIGINT, SIGHUP or SIGQUIT drains and stops`),
	);
	const starting = daemon.start();
	await Promise.race([starting, signalled, requested]);
	if (!interrupted.aborted) await started(daemon);
	using _summary = startSummary({ terminal: context.stdout, clock, read: () => daemon.summary() });
	const cause = await Promise.race([signalled, requested]);
	await stopping();
	const codeFor = (drained: boolean) => (drained || cause.exitCode !== exitCodes.done ? cause.exitCode : exitCodes.drainDeadline);
	const killing = clock.after(config.drain.timeoutMs + STOP_GRACE_MS, () => {
		logger.error({}, "the stop hangs: the process ends itself");
		void leaveNow(codeFor(false), context);
	});
	const { drained, hangs } = await daemon.stop(cause.reason, { leave });
	killing.cancel();
	await forget();
	if (hangs) {
		// The client's close hangs in a pool thread that process.exit would wait for.
		logger.error({}, "the Kafka client did not close: the process ends itself");
		await leaveNow(codeFor(drained), context);
	}
	context.exit(codeFor(drained));
}

function untilInterrupted(signal: AbortSignal): Promise<StopCause> {
	const cause = () => ({ reason: messageOf(signal.reason), exitCode: exitCodes.done });
	if (signal.aborted) return Promise.resolve(cause());
	return new Promise((resolve) => signal.addEventListener("abort", () => resolve(cause()), { once: true }));
}
