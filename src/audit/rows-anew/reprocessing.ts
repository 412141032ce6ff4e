/**
 * Computes rows anew after the handler was corrected (log-anew.ts), and changes the tables: reads a stretch of the log without joining a
 * group, runs today's handler over it, and replaces the rows that the same messages made before. Daemons may run meanwhile: a row that
 * belongs to another message by then stays.
 *
 * For each id the newest row counts that the log makes from the stretch's beginning to the committed offset. If a message no longer makes
 * its stored row, the id's previous message counts. That message may lie before the stretch: then the log is read from its beginning. A
 * message with a dead letter is left out; replay the letter instead. A second run changes nothing.
 */
import { atomicTables } from "../../config/table-layouts.ts";
import type { DeadLetter, LetterPosition } from "../../core/dead-letters/dead-letter.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import { LogReader } from "../../kafka/log-reader.ts";
import { namedIds } from "../../sink/comparison/chosen-ids.ts";
import { comparedTable } from "../../sink/comparison/comparison-statement.ts";
import type { ExpectedRows } from "../../sink/comparison/expected-rows.ts";
import { interruptible } from "../../sink/comparison/interruptible-database.ts";
import {
	type RefusedReplacement,
	type Replacement,
	type ReplacementCounts,
	RowReplacement,
} from "../../sink/comparison/row-replacement.ts";
import { compareTable } from "../../sink/comparison/table-comparison.ts";
import type { Database } from "../../sink/database/database.ts";
import { quotedTable } from "../../sink/database/sql-names.ts";
import { coveredPartitions } from "../log/covered-partitions.ts";
import { spillFolder } from "../log/spill-folder.ts";
import type { FailedMessage } from "../verification/findings.ts";
import { LogAnew, type LogAnewParts } from "./log-anew.ts";
import { RowChanges } from "./row-changes.ts";

/** What a reprocessing needs. */
export interface ReprocessingParts extends LogAnewParts {
	readonly database: Database;
	/** All dead letters of the group that were not replayed. */
	readonly letters: (database: Database) => Promise<readonly LetterPosition[] | null>;
	/** Stores the dead letters of messages that the handler rejects now. */
	readonly store: (letter: DeadLetter) => Promise<void>;
	/** Called when the database is away and this waits for it. */
	readonly waits: (message: string) => void;
}

/** What would be done, or was done. */
export interface ReprocessingReport extends ReplacementCounts {
	/** Messages that were handled again. */
	readonly messages: number;
	/** Ids whose row is already right. */
	readonly same: number;
	/** Messages that the handler rejects now; they become dead letters. */
	readonly rejected: number;
	/** Messages left out because they are dead letters already. */
	readonly lettered: number;
	/** Messages at which the handler fails; their rows stay. */
	readonly failed: readonly FailedMessage[];
	/** Rows that the server refuses; the stored rows stay. */
	readonly refused: readonly RefusedReplacement[];
	/** Partitions for which it is not known where the group began: earlier messages may not be the group's. */
	readonly unknownStart: readonly TopicPartition[];
}

const CATCH_UP_ROWS = 2_000;

/**
 * Asks `isWanted` with what would be done, then does it; null if it is not wanted. Rejects (ExitError, KafkaError, the database's error) if
 * it can't be completed.
 */
export async function reprocess(
	parts: ReprocessingParts,
	isWanted: (plan: ReprocessingReport) => Promise<boolean>,
): Promise<ReprocessingReport | null> {
	const { config, clock, signal } = parts;
	const database = interruptible(parts.database, signal);
	try {
		await database.query("select 1");
		await using folder = await spillFolder();
		await using reader = await LogReader.connect(config.kafka, clock, config.kafka.group, signal);
		return await reprocessLog({ ...parts, database }, reader, folder.path, isWanted);
	} catch (cause) {
		if (!signal.aborted) throw cause;
		const what = "interrupted: what was written stays, and the same command goes on from there";
		throw new ExitError(exitCodes.found, "interrupted", what, { cause });
	}
}

/** Reprocesses with an open reader; what does not fit into memory goes into the folder. */
export async function reprocessLog(
	parts: ReprocessingParts,
	reader: LogReader,
	folder: string,
	isWanted: (plan: ReprocessingReport) => Promise<boolean>,
): Promise<ReprocessingReport | null> {
	const { config, database } = parts;
	const covered = await coveredPartitions(config, database, reader);
	const letters = (await parts.letters(database)) ?? [];
	const log = new LogAnew(parts, { reader, folder, covered, letters });
	await refuseTables(parts, database, log.layouts);
	const changes = new TableChanges(parts, reader, log, await log.readStretch());
	const plan = await changes.change(false);
	if (!(await isWanted(plan))) return null;
	const done = await changes.change(true);
	await changes.catchUp();
	return done;
}

/** What has to change in the tables, and doing it. */
class TableChanges {
	readonly #parts: ReprocessingParts;
	readonly #reader: LogReader;
	readonly #log: LogAnew;
	/** The rows that the tables should have of the stretch, by table. */
	readonly #expected: ReadonlyMap<string, ExpectedRows>;
	/**
	 * By table, ids whose row was removed or went back to an older message. Meanwhile a daemon may have left out, as stale, a row that is
	 * newer than that.
	 */
	readonly #lowered = new Map<string, Set<string>>();

	constructor(parts: ReprocessingParts, reader: LogReader, log: LogAnew, expected: ReadonlyMap<string, ExpectedRows>) {
		this.#parts = parts;
		this.#reader = reader;
		this.#log = log;
		this.#expected = expected;
	}

	/** `isReal`: carries the changes out; otherwise only counts them. */
	async change(isReal: boolean): Promise<ReprocessingReport> {
		const { database, clock, signal, waits, config, progress } = this.#parts;
		const sum = { changed: 0, added: 0, removed: 0, moved: 0, same: 0 };
		const refused: RefusedReplacement[] = [];
		const replacements: RowReplacement[] = [];
		for (const [index, layout] of this.#log.layouts.entries()) {
			progress({ phase: `${isReal ? "writing" : "comparing"} ${layout.name}`, done: index, total: this.#log.layouts.length });
			const { tellsTopic } = await comparedTable(database, layout);
			const replacement = new RowReplacement({ database, layout, tellsTopic, clock, signal, waits });
			replacements.push(replacement);
			const lowered = new Set<string>();
			this.#lowered.set(layout.name, lowered);
			const changes = new RowChanges({
				table: layout.name,
				onlyTopic: config.kafka.topics[0] ?? "",
				isMeant: (place) => this.#log.isMeant(place),
				write: async (rows) => (isReal ? replacement.write(rows) : undefined),
				orphaned: (candidates) => this.#log.orphaned(candidates),
				lowered: (id) => lowered.add(id),
				mayBeBefore: (place) => this.#log.beginsBefore(place),
			});
			await compareTable(database, layout, this.#expected.get(layout.name) as ExpectedRows, changes);
			await changes.conclude();
			await this.#settleOrphans(layout, changes);
			refused.push(...changes.refused);
			const { changed, added, removed, moved, same } = changes.counts;
			if (!isReal && removed > 0) await this.#refuseCascades(layout);
			for (const [name, count] of Object.entries(isReal ? { moved } : { changed, added, removed, moved })) sum[name as "moved"] += count;
			sum.same += same;
		}
		if (isReal) refused.push(...(await concludeAll(replacements)));
		for (const { counts } of replacements) for (const name of ["changed", "added", "removed", "moved"] as const) sum[name] += counts[name];
		// After the rows: a message with a letter is left out by the next run.
		if (isReal) for (const letter of this.#log.rejected) await this.#parts.store(letter);
		const { rejected, failed, unknownStart } = this.#log;
		return { ...this.#log.counts, ...sum, rejected: rejected.length, failed, refused, unknownStart };
	}

	/** Writes the rows that daemons left out as stale while this ran: the newer row that stood in their way may be gone now. */
	async catchUp(): Promise<void> {
		const { database, clock, signal, waits, config } = this.#parts;
		if ([...this.#lowered.values()].every(({ size }) => size === 0)) return;
		const now = await coveredPartitions(config, database, this.#reader);
		this.#log.goesOn(now, (await this.#parts.letters(database)) ?? []);
		for (const layout of this.#log.layouts) {
			const ids = this.#lowered.get(layout.name);
			if (!ids || ids.size === 0) continue;
			const rows = await this.#log.rowsSince(now, layout, namedIds(ids));
			const { tellsTopic } = await comparedTable(database, layout);
			const replacement = new RowReplacement({ database, layout, tellsTopic, clock, signal, waits });
			let batch: Replacement[] = [];
			for await (const [row] of rows.sorted()) {
				if (row) batch.push({ id: row.id, row, stored: null });
				if (batch.length < CATCH_UP_ROWS) continue;
				await replacement.write(batch);
				batch = [];
			}
			await replacement.write(batch);
			await replacement.conclude();
		}
	}

	/** Refuses tables where removing a row would also change others. */
	async #refuseCascades({ name }: TableLayout): Promise<void> {
		const found = await this.#parts.database.query(
			"select conname, conrelid::regclass::text as other from pg_constraint where contype = 'f' and confrelid = to_regclass($1::text) and confdeltype in ('c', 'n', 'd')",
			[quotedTable(name)],
		);
		const [first] = found;
		if (!first) return;
		const why = `rows of ${name} are to be removed, and constraint ${first.conname} would change or delete rows of ${first.other} with them`;
		throw new ExitError(exitCodes.found, "cascade", `${why} (on delete cascade, set null or set default): nothing was changed`);
	}

	/** Finds rows that messages before the stretch may have made, by handling these messages too. */
	async #settleOrphans(layout: TableLayout, changes: RowChanges): Promise<void> {
		const orphans = changes.orphans.splice(0);
		if (orphans.length === 0) return;
		const ids = namedIds(new Set(orphans.map(({ id }) => id)));
		const rows = await this.#log.rowsBefore(layout, ids);
		for (const { row } of orphans) if (row) rows.add(row);
		const byId = new Map(orphans.map((orphan) => [orphan.id, orphan]));
		for await (const [newest] of rows.sorted()) {
			const orphan = newest && byId.get(newest.id);
			if (!orphan) continue;
			byId.delete(orphan.id);
			changes.settled(orphan, newest);
			await changes.relieve();
		}
		for (const orphan of byId.values()) changes.settled(orphan, null);
		await changes.relieve();
	}
}

/** Refuses tables whose rows can't be computed one by one. */
async function refuseTables({ config }: ReprocessingParts, database: Database, layouts: readonly TableLayout[]): Promise<void> {
	const atomic = atomicTables(config);
	for (const layout of layouts) {
		const refuse = (why: string) => new ExitError(exitCodes.usage, "table", `table ${layout.name}: ${why}`);
		if (atomic.has(layout.name)) throw refuse("rows of a message belong together (atomic: message), and reprocess writes them one by one");
		if ((await comparedTable(database, layout)).foldsIds)
			throw refuse("ids with different texts are equal (collation), so a row can't be matched to its message");
	}
}

/** A parent may have to be written before its child, and deleted after it: refused rows are retried as long as that helps. */
async function concludeAll(replacements: readonly RowReplacement[]): Promise<RefusedReplacement[]> {
	for (let open = Number.POSITIVE_INFINITY; ; ) {
		const refused: RefusedReplacement[] = [];
		for (const each of replacements) refused.push(...(await each.conclude()));
		if (refused.length === 0 || refused.length >= open) return refused;
		open = refused.length;
	}
}
