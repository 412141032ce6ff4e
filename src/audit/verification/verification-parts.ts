/** What a verification is given. */
import type { Config } from "../../config/config.ts";
import type { Clock } from "../../core/clock.ts";
import type { LetterPosition } from "../../core/dead-letters/dead-letter.ts";
import type { HeldOffsets } from "../../core/messages/hand-note.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { Random } from "../../core/random.ts";
import type { Database } from "../../sink/database/database.ts";
import type { Requirement } from "./requirements.ts";

/** What a verification needs. */
export interface VerificationParts {
	readonly config: Config;
	readonly database: Database;
	/**
	 * Reads all dead letters of the group that were not replayed, from this database where they are in one; null where their table or topic is
	 * missing.
	 */
	readonly letters: (database: Database) => Promise<readonly LetterPosition[] | null>;
	readonly clock: Clock;
	readonly random: Random;
	/** Ends it early, whatever it waits for; the promise rejects then. The database is its owner's to close. */
	readonly signal: AbortSignal;
	/** Told what is handed over: whoever hears it may outlive the process. */
	readonly inHand?: (partition: TopicPartition, held: HeldOffsets | null) => void;
	/** At most so many differences are kept; all are counted. */
	readonly maxDifferences: number;
	/** What is looked at; everything where it is left out. */
	readonly scope?: VerificationScope;
	/** What has to hold for `fulfilled`. */
	readonly requirements?: readonly Requirement[];
	/**
	 * So long, in ms, it comes back to rows that were newer than the committed offsets, until as large a share of the ids was compared as is
	 * required (all, where nothing says so). Default 0: it does not.
	 */
	readonly comeBackMs?: number;
	/**
	 * Where it keeps how far it has come, and goes on from what an interrupted one kept there; nothing is kept where it is left out.
	 * `everyMs`: at least so long between two times (default 5 s, and twenty times as long as one takes).
	 */
	readonly resume?: { readonly folder: string; readonly everyMs?: number } | undefined;
	/** Told now and then; `table` is null while the log is read. */
	readonly progress: (progress: { readonly read: number; readonly total: number; readonly table: string | null }) => void;
}

/** A part of what there is. */
export interface VerificationScope {
	/** Only the logs of these topics; rows of others count as unchecked. */
	readonly topics: readonly string[];
	/** Only these tables. */
	readonly tables: readonly string[];
	/** Only these ids. */
	readonly ids?: ReadonlySet<string> | undefined;
	/** Of each table so many ids, by lot. */
	readonly sample?: number | undefined;
}
