/**
 * Creates the tables at start. A database that is away does not hold up the start: the daemon keeps trying while it runs, and its rows wait
 * for the database too.
 */
import type { Clock } from "../../core/clock.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import { crashSafetyOf } from "../database/crash-safety.ts";
import type { Database } from "../database/database.ts";
import { connectionHint, problemOf } from "../database/sql-faults.ts";
import { eachPrepared } from "./each-prepared.ts";
import { createTables } from "./schema.ts";
import { typeFindings } from "./stored-columns.ts";

/** What preparing tables needs. `signal` ends the attempts. */
export interface TablePreparationParts {
	readonly database: Database;
	readonly layouts: readonly TableLayout[];
	/** Creates PocKaffe's own tables: dead letters, offsets. */
	readonly prepareOwn: () => Promise<void>;
	readonly clock: Clock;
	readonly signal: AbortSignal;
	/** Names of all tables, the user's and PocKaffe's own. */
	readonly names: readonly string[];
	/** Gets a warning about what a crash of the server could lose; rows are written all the same. */
	readonly unsafe: (message: string) => void;
	/** Called when an attempt failed, and again when one fails for another reason; with the wait until the next attempt in ms. */
	readonly failed: (message: string, retryInMs: number) => void;
	/** Called when it succeeded after a failure. */
	readonly prepared: () => void;
}

const RETRY_MS = 2_000;

/** Resolves when the tables exist, or after the first failed attempt: then it goes on in the background. Never rejects. */
export async function prepareTables(parts: TablePreparationParts): Promise<void> {
	let last: string | null = null;
	const failed = (message: string, retryInMs: number) => {
		if (message !== last) parts.failed(message, retryInMs);
		last = message;
	};
	if (!(await tryOnce({ ...parts, failed }))) void keepTrying({ ...parts, failed });
}

async function tryOnce(parts: TablePreparationParts): Promise<boolean> {
	const { database, layouts, prepareOwn, signal, failed } = parts;
	try {
		// One table that can't be made keeps no other from being made, least of all PocKaffe's own: without its notes messages may be lost.
		await eachPrepared([prepareOwn, ...layouts.map((layout) => () => createTables(database, [layout]))]);
	} catch (error) {
		const problem = problemOf(error);
		const hint = connectionHint(problem) ?? (problem.code === UNDEFINED_OBJECT ? await typeHint(parts) : null);
		if (!signal.aborted) failed(hint ? `${problem.message}; ${hint}` : problem.message, RETRY_MS);
		return false;
	}
	await tellUnsafe(parts).catch(() => {});
	return true;
}

/** The SQLSTATE of a type that the server does not have. */
const UNDEFINED_OBJECT = "42704";

/** Which columns are meant, in the words of `check`; null if that can't be found out. */
async function typeHint({ database, layouts }: TablePreparationParts): Promise<string | null> {
	try {
		const found: string[] = [];
		for (const layout of layouts.filter(({ create }) => create)) {
			const { problems } = await typeFindings(database, layout);
			found.push(...problems.map((words) => `tables.${layout.name}: ${words}`));
		}
		return found.length === 0 ? null : `${found.join("; ")}: correct the configuration and restart`;
	} catch {
		return null;
	}
}

async function tellUnsafe({ database, names, unsafe }: TablePreparationParts): Promise<void> {
	const { server, tables } = await crashSafetyOf(database, names);
	for (const words of [...server, ...tables.values()]) unsafe(words);
}

async function keepTrying(parts: TablePreparationParts): Promise<void> {
	const { clock, signal, prepared } = parts;
	while (!signal.aborted) {
		await clock.sleep(RETRY_MS, signal).catch(() => {});
		if (!signal.aborted && (await tryOnce(parts))) {
			prepared();
			return;
		}
	}
}
