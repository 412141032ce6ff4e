/** What a verification needs. */
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
	 * Reads all dead letters of the group that were not replayed, from this database if they are in one; null if their table or topic is
	 * missing.
	 */
	readonly letters: (database: Database) => Promise<readonly LetterPosition[] | null>;
	readonly clock: Clock;
	readonly random: Random;
	/** Ends it early, whatever it waits for: the promise then rejects. The owner closes the database. */
	readonly signal: AbortSignal;
	/** As `LogPassParts.inHand`. */
	readonly inHand?: (partition: TopicPartition, held: HeldOffsets | null) => void;
	/** Maximum differences kept; all are counted. */
	readonly maxDifferences: number;
	/** What is verified; default: everything. */
	readonly scope?: VerificationScope;
	/** What has to hold for `fulfilled`. */
	readonly requirements?: readonly Requirement[];
	/**
	 * How long, in ms, to compare again the rows that were newer than the committed offsets. Ends early when the required share of the ids
	 * was compared (default: all). Default 0: not at all.
	 */
	readonly comeBackMs?: number;
	/**
	 * Where it saves its progress and continues an interrupted verification; absent: nothing is saved. `everyMs`: minimum time between two
	 * saves (default 5 s, and twenty times as long as one takes).
	 */
	readonly resume?: { readonly folder: string; readonly everyMs?: number } | undefined;
	/** Called now and then; `table` is null while the log is read. */
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
	/** Number of random ids of each table. */
	readonly sample?: number | undefined;
}
