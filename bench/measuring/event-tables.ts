/**
 * Tables that events are written to, the same for the daemon and for everything it is compared with; and the check of such a table
 * against the fold of its log.
 */
import type { Database } from "../../src/sink/database/database.ts";
import {
	differences,
	type EventLogOptions,
	eventLog,
	eventTable,
	type FoldedRow,
	foldEvents,
	readTable,
} from "../../test/support/daemons/event-log.ts";

/** `tables.<name>` of the daemon's configuration. */
export const daemonTable = { ...eventTable, create: false };

/** Unless it is there. The daemon's own columns have defaults, for writers that leave them out. */
export async function createEventTable(database: Database, name: string): Promise<void> {
	await database.query(`create table if not exists ${name} (
		id text primary key, name text, amount bigint, note text,
		kafka_ts bigint not null default 0, kafka_offset bigint not null default 0, kafka_partition int4 not null default 0,
		deleted boolean not null default false)`);
}

/** Which event of an id must be in the table: the newest by (timestamp, offset, partition), or the last in its partition. */
export type NewestBy = "version" | "offset";

/** Folds of the logs of a run: each is made once. */
export class TableCheck {
	readonly #folds = new Map<string, ReadonlyMap<string, FoldedRow>>();

	/** The first rows that are not what they must be, as findings; empty where the table is right. Of `offset` only the data is compared. */
	async findings(database: Database, table: string, log: EventLogOptions, by: NewestBy, who: string): Promise<string[]> {
		const actual = await readTable(database, table);
		const expected = this.#fold(log, by);
		const wrong = by === "version" ? differences(actual, expected) : differences(dataOf(actual), expected);
		return wrong.map((line) => `${who}: ${line}`);
	}

	#fold(log: EventLogOptions, by: NewestBy): ReadonlyMap<string, FoldedRow> {
		const key = `${log.topic} ${by}`;
		const fold = this.#folds.get(key) ?? (by === "version" ? foldEvents(eventLog(log)) : dataOf(foldEvents(withEqualTimes(log))));
		this.#folds.set(key, fold);
		return fold;
	}
}

/** Without timestamps the version is the offset: an id stays on its partition. */
function* withEqualTimes(log: EventLogOptions) {
	for (const event of eventLog(log)) yield { ...event, timestamp: 0 };
}

function dataOf(rows: ReadonlyMap<string, FoldedRow>): Map<string, FoldedRow> {
	const noVersion = { ts: 0, offset: 0, partition: 0, deleted: false };
	return new Map([...rows].map(([id, row]) => [id, { ...row, ...noVersion }]));
}
