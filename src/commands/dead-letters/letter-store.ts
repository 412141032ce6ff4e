/** The dead letters that a command works with: the configured group's, or those of this folder's embedded daemon. */
import type { Command } from "commander";
import type { Config } from "../../config/config.ts";
import { withEmbeddedProfile } from "../../config/embedded-profile.ts";
import type { LetterPosition, LetterStore } from "../../core/dead-letters/dead-letter.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { readEmbeddedFile } from "../../embedded/embedded-file.ts";
import { DeadLetterTopicStore } from "../../kafka/dead-letters/dead-letter-topic-store.ts";
import { connectDatabase, type Database } from "../../sink/database/database.ts";
import { DeadLetterTableStore } from "../../sink/dead-letters/dead-letter-table-store.ts";
import type { CommandContext } from "../command-context.ts";
import { configHere } from "../configured.ts";
import { failureWords } from "../failure-words.ts";

/** What the subcommands use; the database is connected only if it is asked for. */
export interface LetterTools {
	readonly config: Config;
	readonly store: LetterStore;
	readonly database: () => Database;
}

/** Opens the letters of the configured group, or of this folder's embedded daemon. */
export async function withStore(command: Command, context: CommandContext, use: (tools: LetterTools) => Promise<void>): Promise<void> {
	const config = await lettersConfigOf(command, context);
	let opened: Database | null = null;
	const database = () => {
		if (config.database.url === "") throw missing("database.url is needed: set POCKAFFE_DATABASE_URL=postgres://…");
		opened ??= connectDatabase({ ...config.database, clock: context.clock });
		return opened;
	};
	try {
		await using store = storeOf(config, database, context);
		await use({ store, config, database });
	} catch (error) {
		if (error instanceof ExitError) throw error;
		if (context.interrupted.aborted) throw new ExitError(exitCodes.found, "interrupted", "interrupted", { cause: error });
		throw new ExitError(exitCodes.found, "dead_letters", `the dead letters can't be reached: ${failureWords(error)}`, { cause: error });
	} finally {
		await (opened as Database | null)?.close();
	}
}

type StoreContext = Pick<CommandContext, "clock" | "version" | "interrupted">;

function storeOf({ deadLetters, kafka }: Config, database: () => Database, context: StoreContext): LetterStore {
	const { clock, version, interrupted: signal } = context;
	const { target, table, topic } = deadLetters;
	if (target === "table") return new DeadLetterTableStore(database(), table, kafka.group, version);
	return new DeadLetterTopicStore({ kafka, topic, clock, version, signal, consumerGroup: kafka.group });
}

/** The group's letters, from this database if they are in one; null if their table or topic is missing. */
export async function unreplayedLetters(config: Config, database: Database, context: StoreContext): Promise<LetterPosition[] | null> {
	await using store = storeOf(config, () => database, context);
	try {
		return await store.unreplayed();
	} catch (error) {
		const { code } = error as { code?: string };
		if (code === "42P01" || code === "no_topic") return null;
		throw error;
	}
}

/** The configuration to use. Throws ExitError (usage) if the target's options are missing and no embedded daemon has the letters. */
async function lettersConfigOf(command: Command, context: CommandContext): Promise<Config> {
	const { config } = await configHere(command, context);
	const inTopic = config.deadLetters.target === "topic";
	const isThere = inTopic ? config.kafka.brokers.length > 0 : config.database.url !== "";
	const embedded = isThere ? null : await readEmbeddedFile(context.cwd);
	if (embedded) return withEmbeddedProfile(config, embedded);
	if (!isThere) {
		const key = inTopic ? "kafka.brokers is needed: set POCKAFFE_KAFKA_BROKERS" : "database.url is needed: set POCKAFFE_DATABASE_URL";
		throw missing(`${key}, name a configuration (-c FILE), or run an embedded daemon here (pockaffe run --embedded)`);
	}
	if (config.kafka.group === "") throw missing("kafka.group is needed: dead letters belong to a consumer group");
	return config;
}

/** The error for a missing option. */
export function missing(rule: string): ExitError {
	return new ExitError(exitCodes.usage, "config_missing", rule);
}
