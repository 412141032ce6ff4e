/**
 * Asks the server who holds the locks that the daemon's sessions wait for, while they wait, over a connection of its own. What the daemon's
 * role may not see of other roles' sessions stays unknown.
 */
import type { Clock } from "../../../core/clock.ts";
import { connectDatabase, type DatabaseLogin } from "../../database/database.ts";
import { quotedTable } from "../../database/sql-names.ts";

/** A session that others wait for. */
export interface LockHolder {
	readonly pid: number;
	readonly application: string | null;
	readonly user: string | null;
	/** `idle in transaction`, `active`, … */
	readonly state: string | null;
	/** Start of its transaction, as ISO text. */
	readonly since: string | null;
	/** True if the lock is on the table itself, not on a row. */
	readonly isOfTable: boolean;
}

/** Asks who holds up statements that write a table; empty if nobody is found. Rejects if the server can't be asked. */
export type AskLockHolders = (table: string) => Promise<readonly LockHolder[]>;

const MOST_HOLDERS = 5;
const DEADLINE_MS = 3_000;

/** Asks the server at this URL. */
export function lockHoldersAt(login: DatabaseLogin, clock: Clock): AskLockHolders {
	return async (table) => {
		const database = connectDatabase({ ...login, connections: 1, clock, deadlineMs: DEADLINE_MS });
		try {
			const rows = await database.query(holdersStatement, [quotedTable(table)]);
			return rows.map((row) => row as unknown as LockHolder);
		} finally {
			await database.close();
		}
	};
}

/** In a chain of waiting sessions only the one that waits for nobody is to blame. */
const holdersStatement = `select distinct h.pid, nullif(a.application_name, '') as application, a.usename as "user", a.state,
       to_char(a.xact_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since, l.locktype = 'relation' as "isOfTable"
from pg_stat_activity w
join pg_locks l on l.pid = w.pid and not l.granted
cross join lateral unnest(pg_blocking_pids(w.pid)) as h(pid)
left join pg_stat_activity a on a.pid = h.pid
where w.datname = current_database() and w.usename = current_user and w.application_name = current_setting('application_name')
  and exists (select from pg_locks t where t.pid = w.pid and t.relation = to_regclass($1::text))
  and cardinality(pg_blocking_pids(h.pid)) = 0
order by h.pid limit ${MOST_HOLDERS}`;

/** Words for people: who holds the lock, and what to do. */
export function describeHolders(holders: readonly LockHolder[], table: string): { readonly message: string; readonly hint: string } | null {
	const [first] = holders;
	if (!first) return null;
	const who = holders.map(({ pid, application, user, state, since }) => {
		if (pid === 0) return "a prepared transaction (pg_prepared_xacts)";
		const names = [application, user ? `user ${user}` : null].filter((name) => name !== null).join(", ");
		const doing = [state, since === null ? null : `its transaction began at ${since}`].filter((text) => text !== null).join(", ");
		return `pid ${pid}${names ? ` (${names})` : ""}${doing ? `: ${doing}` : ""}`;
	});
	const what = first.isOfTable ? `the table ${table}` : "it";
	const ending = holders.map(({ pid }) => (pid === 0 ? "rollback prepared …" : `select pg_terminate_backend(${pid})`)).join("; ");
	return {
		message: `${what} is locked by ${who.join(" and ")}`,
		hint: `let that transaction end, or end it: ${ending}; it goes on by itself`,
	};
}
