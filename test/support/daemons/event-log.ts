/**
 * A log of upserts and deletes, and the table that must come of it: the oracle of everything about delivery. The same generator loads
 * the benches. Ids wander between partitions and timestamps go back now and then, so that log order and version order differ.
 */
import { seededRandom } from "../../../src/core/random.ts";
import type { Database } from "../../../src/sink/database/database.ts";
import { zipfNumbers } from "./zipf.ts";

/** How the log is made. `wander`: an id may land on any partition, else it stays on one. */
export interface EventLogOptions {
	readonly topic: string;
	readonly count: number;
	readonly ids: number;
	readonly partitions: number;
	readonly seed: number;
	readonly wander: boolean;
	/** Share of deletes, 0 to 1. */
	readonly deletes: number;
	/** Hot ids: the k-th most frequent has a share of 1/k^zipf. Left out: every id is as frequent as any other. */
	readonly zipf?: number;
}

/** One event; a null value is a delete. */
export interface LogEvent {
	readonly topic: string;
	readonly partition: number;
	readonly key: string;
	readonly value: string | null;
	readonly timestamp: number;
}

/** A row as `readTable` gives it; null columns for a tombstone. */
export interface FoldedRow {
	readonly name: string | null;
	readonly amount: string | null;
	readonly note: string | null;
	readonly ts: number;
	readonly offset: number;
	readonly partition: number;
	readonly deleted: boolean;
}

/** 2026-01-01: fixed, so that a seed makes the same log. */
const FIRST_TIMESTAMP = 1_767_225_600_000;
const note = "x".repeat(90);

/** The events in the order in which they are to be produced, by one producer, into an empty topic. */
export function* eventLog({ topic, count, ids, partitions, seed, wander, deletes, zipf }: EventLogOptions): Generator<LogEvent> {
	const random = seededRandom(seed);
	const nextId = zipf === undefined ? () => Math.floor(random() * ids) : zipfNumbers(ids, zipf, random);
	for (let i = 0; i < count; i++) {
		const number = nextId();
		const partition = wander ? Math.floor(random() * partitions) : number % partitions;
		const timestamp = FIRST_TIMESTAMP + Math.floor(i / 3) - Math.floor(random() * 50);
		const isDelete = deletes > 0 && random() < deletes;
		const value = isDelete ? null : `{"id":"id-${number}","name":"name ${i}","amount":${i * 7},"note":"${note}${number}"}`;
		yield { topic, partition, key: `id-${number}`, value, timestamp };
	}
}

/** What the table must hold: of each id the newest event by (timestamp, offset, partition). */
export function foldEvents(events: Iterable<LogEvent>): Map<string, FoldedRow> {
	const table = new Map<string, FoldedRow>();
	for (const _ of foldingAlong(events, table));
	return table;
}

/** The same while the events are on their way somewhere: `table` is the fold of those that were taken. */
export function* foldingAlong(events: Iterable<LogEvent>, table: Map<string, FoldedRow>): Generator<LogEvent> {
	const next = new Map<number, number>();
	for (const event of events) {
		const { key, value, partition, timestamp } = event;
		const offset = next.get(partition) ?? 0;
		next.set(partition, offset + 1);
		const row = rowOf(value, { ts: timestamp, offset, partition });
		const present = table.get(key);
		if (!present || isNewer(row, present)) table.set(key, row);
		yield event;
	}
}

/** The SQL of the columns that `eventLog` fills: `tables.<name>` of a configuration. */
export const eventTable = { id: { column: "id", type: "text" }, columns: { name: "text", amount: "bigint", note: "text" }, create: true };

/** The table as it is. */
export async function readTable(database: Database, table: string): Promise<Map<string, FoldedRow>> {
	const rows = await database.query(
		`select id, name, amount::text, note, kafka_ts::text as ts, kafka_offset::text as "offset", kafka_partition as partition, deleted from ${table}`,
	);
	return new Map(
		rows.map(({ id, name, amount, note: text, ts, offset, partition, deleted }) => [
			id as string,
			{ name, amount, note: text, ts: Number(ts), offset: Number(offset), partition, deleted } as FoldedRow,
		]),
	);
}

/** The first ids where the two differ; empty where they are equal. A comparison of 100,000 rows by the test runner would take minutes. */
export function differences(actual: ReadonlyMap<string, FoldedRow>, expected: ReadonlyMap<string, FoldedRow>): string[] {
	const ids = new Set([...actual.keys(), ...expected.keys()]);
	const different: string[] = [];
	for (const id of ids) {
		const [is, must] = [JSON.stringify(actual.get(id) ?? null), JSON.stringify(expected.get(id) ?? null)];
		if (is !== must) different.push(`${id}: is ${is}, must be ${must}`);
		if (different.length >= 5) break;
	}
	return different;
}

/** The first ids whose row is missing or older than `expected`: what must be durable by now and isn't. */
export function behind(actual: ReadonlyMap<string, FoldedRow>, expected: ReadonlyMap<string, FoldedRow>): string[] {
	const isBehind = ([id, row]: [string, FoldedRow]) => {
		const present = actual.get(id);
		return !present || isNewer(row, present);
	};
	const late = [...expected].filter(isBehind).slice(0, 5);
	return late.map(([id, row]) => `${id}: is ${JSON.stringify(actual.get(id) ?? null)}, must be at least ${JSON.stringify(row)}`);
}

/** The events of each partition below an offset, by partition. */
export function eventsBelow(events: Iterable<LogEvent>, offsets: readonly number[]): LogEvent[] {
	const next = offsets.map(() => 0);
	return [...events].filter(({ partition }) => {
		const offset = next[partition] ?? 0;
		next[partition] = offset + 1;
		return offset < (offsets[partition] ?? 0);
	});
}

function rowOf(value: string | null, version: { ts: number; offset: number; partition: number }): FoldedRow {
	if (value === null) return { name: null, amount: null, note: null, ...version, deleted: true };
	const { name, amount, note: text } = JSON.parse(value) as { name: string; amount: number; note: string };
	return { name, amount: String(amount), note: text, ...version, deleted: false };
}

function isNewer(left: FoldedRow, right: FoldedRow): boolean {
	return left.ts - right.ts > 0 || (left.ts === right.ts && (left.offset - right.offset || left.partition - right.partition) > 0);
}
