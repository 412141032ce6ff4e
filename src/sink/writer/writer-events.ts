/** What the batch writer is made of, and what it tells. */
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Database } from "../database/database.ts";
import type { BatchLimits } from "./lane.ts";
import type { AwaitedFact } from "./refused/awaited-parents.ts";
import type { AskLockHolders } from "./refused/lock-holders.ts";
import type { StuckFact } from "./refused/stuck-rows.ts";
import type { WrittenFact } from "./writing.ts";

/** Past facts of the writer. */
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
	/** Rows of a partition don't go in, though others of their table do; told anew where it is for another reason. */
	"rows:stuck": (fact: StuckFact) => void;
	"rows:unstuck": (fact: StuckFact) => void;
	/** Rows of a partition wait for their parents, longer than one that is just behind them takes; and none of a table any more. */
	"parents:awaited": (fact: AwaitedFact) => void;
	"parents:settled": (fact: AwaitedFact) => void;
	/** Rows that wait for others are not being tried any more: a drain may look again. */
	"rows:rested": () => void;
	"table:blocked": (fact: { table: string; sqlstate: string; message: string; hint: string | null }) => void;
	"table:unblocked": (fact: { table: string }) => void;
}

/** What the writer is made of; `batch` is the configuration's. */
export interface WriterParts {
	readonly layouts: readonly TableLayout[];
	readonly database: Database;
	readonly connections: number;
	readonly batch: BatchLimits;
	/** Asks who holds the locks that are waited for; nobody is asked without. */
	readonly lockHolders?: AskLockHolders;
	/** How long rows of a table wait for a parent from another partition or topic, ms; rows of others don't. */
	readonly waits?: ReadonlyMap<string, number>;
	/** Tables whose rows of one message land together, or are refused together. */
	readonly atomic?: ReadonlySet<string>;
	readonly clock: Clock;
	readonly random: Random;
}
