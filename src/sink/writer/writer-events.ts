/** What the batch writer needs, and the events it emits. */
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import type { AwaitedFact, StuckFact } from "../../core/rows/waiting-rows.ts";
import type { Database } from "../database/database.ts";
import type { BatchLimits } from "./lane.ts";
import type { AskLockHolders } from "./refused/lock-holders.ts";
import type { WrittenFact } from "./writing.ts";

/** Events of the writer: past facts. */
export interface WriterEvents {
	"batch:written": (fact: WrittenFact) => void;
	"write:retried": (fact: {
		table: string;
		sqlstate: string;
		failures: number;
		delayMs: number;
		message: string;
		hint: string | null;
	}) => void;
	/** Rows of a partition can't be written although others of their table can. Emitted again if the reason changes. */
	"rows:stuck": (fact: StuckFact) => void;
	"rows:unstuck": (fact: StuckFact) => void;
	/**
	 * Rows of a partition have waited for their parents longer than a parent just behind them would take. `parents:settled`: none of a table
	 * wait any more.
	 */
	"parents:awaited": (fact: AwaitedFact) => void;
	"parents:settled": (fact: AwaitedFact) => void;
	/** Rows that wait for others are not being tried any more: a drain may check again. */
	"rows:rested": () => void;
	/** No row of the table can be written before somebody corrects something. Emitted again if the reason changes. */
	"table:blocked": (fact: { table: string; sqlstate: string; message: string; hint: string | null }) => void;
	/** Rows of the table can't be written; they will be as soon as the fault passes. */
	"table:failing": (fact: { table: string; sqlstate: string; message: string; hint: string | null }) => void;
	/** Neither of the two any more. */
	"table:unblocked": (fact: { table: string }) => void;
}

/** What the writer needs; `batch` is the configuration's. */
export interface WriterParts {
	readonly layouts: readonly TableLayout[];
	readonly database: Database;
	readonly connections: number;
	readonly batch: BatchLimits;
	/** Asks who holds the locks that statements wait for. Absent: nobody is asked. */
	readonly lockHolders?: AskLockHolders;
	/** By table, how long rows wait for a parent from another partition or topic, ms. Tables that are absent don't wait. */
	readonly waits?: ReadonlyMap<string, number>;
	/** Tables whose rows of one message are written or refused together. */
	readonly atomic?: ReadonlySet<string>;
	readonly clock: Clock;
	readonly random: Random;
}
