/**
 * The database connection: the only home of `postgres` beside connection-pool.ts. Adds what the library lacks: a deadline per query (a
 * half-open connection would wait for ever), and a new pool afterwards.
 */
import type postgres from "postgres";
import type { Clock } from "../../core/clock.ts";
import { PocKaffeError } from "../../core/errors.ts";
import { connectionSettings } from "./connecting/connection-settings.ts";
import type { PasswordSource } from "./connecting/passwords.ts";
import { POOLER, Pool, READ_ONLY } from "./connection-pool.ts";
import { problemOf } from "./sql-faults.ts";

/** A row as the library gives it. */
export type DatabaseRow = Readonly<Record<string, unknown>>;

/** Limits of a statement or transaction that differ from the session's. */
export interface StatementLimits {
	readonly statementTimeoutMs?: number;
	/** Maximum wait for a lock of another session, ms. */
	readonly lockTimeoutMs?: number;
}

/** One statement of a transaction. */
export interface Statement {
	readonly text: string;
	readonly parameters: readonly (string | null)[];
}

/** What the sink needs of a database. */
export interface Database {
	/**
	 * Runs one statement; rejects with the driver's error, or `QUERY_DEADLINE`. Prepared unless it has no parameters. With `limits` these
	 * replace the session's limits.
	 */
	query(text: string, parameters?: readonly (string | null)[], limits?: StatementLimits): Promise<readonly DatabaseRow[]>;
	/**
	 * Runs statements in one transaction, in this order, and returns their answers. On an error everything is rolled back, and it rejects
	 * with that error, whose `statement` is the index of the failed statement.
	 */
	transaction(statements: readonly Statement[], limits?: StatementLimits): Promise<readonly (readonly DatabaseRow[])[]>;
	/** The rows of a statement without parameters, `batchRows` at a time, from one snapshot. Holds a connection until the last row. */
	stream(text: string, batchRows: number): AsyncIterable<readonly DatabaseRow[]>;
	/** Ends the connections; queries under way get a second to finish. Idempotent. */
	close(): Promise<void>;
}

/** Where a database is, and how to log in: `database` of the configuration. */
export interface DatabaseLogin extends PasswordSource {
	/** A URL as libpq knows it. Anything it leaves out comes from libpq's environment variables and files. */
	readonly url: string;
}

/** Options of a database connection. */
export interface DatabaseOptions extends DatabaseLogin {
	/** Number of connections, and so of statements at a time. */
	readonly connections: number;
	readonly clock: Clock;
	/**
	 * PocKaffe's own deadline of a query, ms; default 45 s. It is above the server's statement timeout, so that only a dead connection meets
	 * it.
	 */
	readonly deadlineMs?: number;
	/** The server's `statement_timeout` in ms, default 30 s; 0: none. */
	readonly statementTimeoutMs?: number;
	/** The server's `lock_timeout` in ms, default 2 s. While a batch waits, it holds the locks of the rows before. */
	readonly lockTimeoutMs?: number;
}

const STATEMENT_TIMEOUT_MS = 30_000;
/** More than the second after which the server looks for a deadlock. */
const LOCK_TIMEOUT_MS = 2_000;
const DEADLINE_MS = 45_000;

/**
 * Creates a pool that connects with the first query. After a lost connection, or when it leads to a server that takes no writes any more,
 * the next query gets a new pool, and statements in the old pool may finish. This has two reasons: a session stays with a demoted server
 * for ever; and if the library's connection loses a statement and then meets the server's refusal (a wrong password), the library ends that
 * statement with it and nobody sees the refusal. Throws ExitError (usage) if the URL is invalid.
 */
export function connectDatabase(options: DatabaseOptions): Database {
	const { clock, deadlineMs = DEADLINE_MS, connections } = options;
	const { statementTimeoutMs = STATEMENT_TIMEOUT_MS, lockTimeoutMs = LOCK_TIMEOUT_MS } = options;
	const settings = connectionSettings(options.url, process.env);
	/** True behind a pooler: the next transaction may get another session, so nothing may be left in one. */
	let isPooled = false;
	const newPool = (firstHost: number) => {
		const ofSession = isPooled ? null : { statementTimeoutMs, lockTimeoutMs };
		return new Pool({ settings, passwords: options, connections, ofSession, clock, firstHost });
	};
	let pool = newPool(0);
	/** Retired pools with statements under way: they end by themselves, or at the close. */
	const retired = new Set<Pool>();
	let closed = false;
	/** If a server takes no writes, or accepts connections but gives no session, the next host is used, if there is one. */
	const replace = (broken: Pool, code?: string) => {
		if (pool !== broken || closed) return;
		const isLeft = code === READ_ONLY || !broken.hadSession;
		pool = newPool((broken.host + (isLeft ? 1 : 0)) % settings.hosts.length);
		retired.add(broken);
		broken.retire(() => retired.delete(broken));
	};
	const runOnce = <T>(statement: (sql: postgres.Sql) => PromiseLike<T>, limits: StatementLimits | undefined): Promise<T> => {
		const used = pool;
		const own = limits?.statementTimeoutMs;
		const withinMs = own === undefined ? deadlineMs : own + DEADLINE_MS - STATEMENT_TIMEOUT_MS;
		return new Promise((resolve, reject) => {
			const timer = clock.after(withinMs, () => {
				replace(used);
				used.destroy();
				reject(new PocKaffeError("QUERY_DEADLINE", `no answer from the database within ${withinMs} ms`));
			});
			const failed = (error: unknown) => {
				const { remedy, code } = problemOf(error);
				if (isOfPooler(error)) isPooled = true;
				if (remedy === "reconnect" || isOfPooler(error)) replace(used, code);
				reject(error);
			};
			used
				.run(statement)
				.then(resolve, failed)
				.finally(() => timer.cancel());
		});
	};
	/**
	 * If a server that takes writes is required, each host is tried. A host that turns out to be a pooler is asked again in a pooler's way.
	 */
	const run = async <T>(statement: (sql: postgres.Sql) => PromiseLike<T>, limits: StatementLimits | undefined): Promise<T> => {
		let others = settings.needsWritable ? settings.hosts.length - 1 : 0;
		for (;;) {
			const wasPooled = isPooled;
			try {
				return await runOnce(statement, limits);
			} catch (error) {
				if (isOfPooler(error) && !wasPooled) continue;
				if (others-- <= 0 || !(error instanceof PocKaffeError) || error.code !== READ_ONLY) throw error;
			}
		}
	};
	const inTransaction = (sql: postgres.Sql, statements: readonly Statement[], limits: StatementLimits = {}) => {
		const own = isPooled ? { statementTimeoutMs, lockTimeoutMs, ...limits } : limits;
		const answers = sql.begin((transaction) => inTurn(transaction, statements, own, !isPooled).catch(unlessGone));
		return answers as Promise<readonly (readonly DatabaseRow[])[]>;
	};
	return {
		async query(text, parameters = [], limits) {
			const statement = { text, parameters };
			return await run(async (sql) => {
				if (!limits && !isPooled) return await answered(sql, statement, true);
				const [rows] = await inTransaction(sql, [statement], limits);
				return rows as readonly DatabaseRow[];
			}, limits);
		},
		async transaction(statements, limits) {
			return await run((sql) => inTransaction(sql, statements, limits), limits);
		},
		async *stream(text, batchRows) {
			for await (const rows of pool.sql.unsafe(text).cursor(batchRows)) yield withoutHoles(rows);
		},
		async close() {
			if (closed) return;
			closed = true;
			await Promise.all([pool, ...retired].map((each) => each.close()));
		},
	};
}

/** Own limits are set for the transaction alone, so they reach no other statement, even behind a pooler. */
async function inTurn(
	sql: postgres.TransactionSql,
	statements: readonly Statement[],
	limits: StatementLimits,
	mayPrepare: boolean,
): Promise<readonly (readonly DatabaseRow[])[]> {
	const { statementTimeoutMs, lockTimeoutMs } = limits;
	if (statementTimeoutMs !== undefined) await sql.unsafe(`set local statement_timeout = ${Math.ceil(statementTimeoutMs)}`);
	if (lockTimeoutMs !== undefined) await sql.unsafe(`set local lock_timeout = ${Math.ceil(lockTimeoutMs)}`);
	const answers: (readonly DatabaseRow[])[] = [];
	for (const [index, statement] of statements.entries()) {
		try {
			answers.push(await answered(sql, statement, mayPrepare));
		} catch (error) {
			throw error instanceof Error ? Object.assign(error, { statement: index }) : error;
		}
	}
	return answers;
}

/**
 * If a session ends inside a transaction, the library would send `rollback` to a closed socket, which ends the process. The library reports
 * the connection's end to the transaction's caller anyway, so this adds nothing. A connection that we ended ourselves accepts the rollback.
 */
function unlessGone(error: unknown): Promise<never> {
	const { code = "" } = (error ?? {}) as { code?: string };
	const isGone = /^(CONNECTION_|CONNECT_TIMEOUT|E[A-Z_]+$)/.test(code) && code !== "CONNECTION_DESTROYED";
	return isGone ? new Promise<never>(() => {}) : Promise.reject(error);
}

async function answered(
	sql: Pick<postgres.Sql, "unsafe">,
	{ text, parameters }: Statement,
	mayPrepare: boolean,
): Promise<readonly DatabaseRow[]> {
	// The library prepares nothing that has no parameters.
	return withoutHoles(await sql.unsafe(text, parameters as (string | null)[], { prepare: mayPrepare }));
}

/** True if the error shows a pooler: it refuses the settings that a session begins with (pgbouncer's default), or the pool found it. */
function isOfPooler(error: unknown): boolean {
	const { code, message } = (error ?? {}) as { code?: string; message?: string };
	return code === POOLER || (code === "08P01" && /unsupported startup parameter: (statement_timeout|lock_timeout)/.test(message ?? ""));
}

/**
 * After a statement that failed after its first rows, the library stores the next result's rows that many places too far
 * (postgres.js#1181): the places before them are empty.
 */
function withoutHoles(rows: readonly unknown[]): DatabaseRow[] {
	return (0 in rows || rows.length === 0 ? rows : rows.filter(() => true)) as DatabaseRow[];
}

/** True if a database answers at this URL within about two seconds. */
export async function probeDatabase(url: string, clock: Clock): Promise<boolean> {
	const database = connectDatabase({ url, connections: 1, clock, deadlineMs: 2_000 });
	try {
		await database.query("select 1");
		return true;
	} catch {
		return false;
	} finally {
		await database.close();
	}
}
