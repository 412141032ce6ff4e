/**
 * Creates at start what is to be created. A database that is away doesn't hold the start up: it is tried again beside the running
 * daemon, whose rows wait for it too.
 */
import type { Clock } from "../../core/clock.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import { crashSafetyOf } from "../database/crash-safety.ts";
import type { Database } from "../database/database.ts";
import { problemOf } from "../database/sql-faults.ts";
import { createTables } from "./schema.ts";

/** What is needed; `signal` ends the trying. */
export interface TablePreparationParts {
	readonly database: Database;
	readonly layouts: readonly TableLayout[];
	/** Makes tables that are not the user's: dead letters, offsets. */
	readonly prepareOwn: () => Promise<void>;
	readonly clock: Clock;
	readonly signal: AbortSignal;
	/** The tables of both kinds, by name. */
	readonly names: readonly string[];
	/** Told of what a crash of the server would take, in words; rows are written all the same. */
	readonly unsafe: (message: string) => void;
	/** Told when a try failed, and again when one fails for another reason; with the wait until the next in ms. */
	readonly failed: (message: string, retryInMs: number) => void;
	/** Told when it worked after it had failed. */
	readonly prepared: () => void;
}

const RETRY_MS = 2_000;

/** Resolves when the tables are there, or after the first try that failed: then it goes on by itself. Never rejects. */
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
		await createTables(database, layouts);
		await prepareOwn();
	} catch (error) {
		if (!signal.aborted) failed(problemOf(error).message, RETRY_MS);
		return false;
	}
	await tellUnsafe(parts).catch(() => {});
	return true;
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
