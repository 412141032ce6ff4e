/** The database of `verify` and `reprocess`. */
import type { Config } from "../../config/config.ts";
import type { Clock } from "../../core/clock.ts";
import { connectDatabase, type Database } from "../../sink/database/database.ts";

/** Sorting the whole table may take this long before the first row arrives. */
const DEADLINE_MS = 30 * 60_000;
/** One reads the table while the other compares or writes. */
const CONNECTIONS = 2;

/** Connects it. The caller closes it. */
export function auditDatabase({ database }: Config, clock: Clock): Database {
	return connectDatabase({ ...database, connections: CONNECTIONS, clock, deadlineMs: DEADLINE_MS, statementTimeoutMs: 0 });
}
