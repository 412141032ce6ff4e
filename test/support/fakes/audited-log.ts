/**
 * A log in memory and tables in memory, for what reads the one and compares it with the other: `verify` and `reprocess`. Only the handler
 * and its thread are real. The handler does what a message's value says: `{"id", "n"}` is a row, `{"id"}` alone a delete, and see `handler`.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../../../src/config/config.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { tableLayouts } from "../../../src/config/table-layouts.ts";
import type { ReceivedMessage } from "../../../src/core/messages/message.ts";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import type { LogRange, LogReader } from "../../../src/kafka/log-reader.ts";
import type { DatabaseRow } from "../../../src/sink/database/database.ts";
import { kafkaAt } from "../kafka/load-topic.ts";
import { compareRows, MemoryDatabase, type MemoryRow, rowsOf } from "../postgres/memory-database.ts";

const handler = `
export function handleMessage({ value }) {
	const { id, n, table = "events", fails, rejects } = JSON.parse(value.toString());
	if (fails) throw new Error("it fails");
	if (rejects) return { reject: rejects };
	if (id === undefined) return null;
	return n === undefined ? { id, table, delete: true } : { id, table, fields: { n } };
}`;

/** A message by its value; `key` is the id, or "k". */
export interface LoggedMessage {
	readonly offset: number;
	readonly value: { readonly id?: string; readonly n?: string; readonly table?: string; readonly fails?: true; readonly rejects?: string };
	readonly partition?: number;
	readonly key?: string;
}

const timestampOf = (offset: number) => 1_000 + 10 * offset;

/** A stored row as the message at `offset` makes it. */
export function storedRow(id: string, n: string | null, offset: number, over: Partial<MemoryRow> = {}): MemoryRow {
	return { id, values: [n], deleted: n === null, timestamp: timestampOf(offset), offset, partition: 0, ...over };
}

/** Tables that can be compared, and rows replaced in them. */
export class AuditedTables extends MemoryDatabase {
	/** Of the statements that change rows: `update a`, `delete b`, `insert c`. */
	readonly changes: string[] = [];
	/** Noted beginnings: partition and offset. */
	starts: readonly (readonly [partition: number, offset: number])[] = [
		[0, 0],
		[1, 0],
	];
	/** Topics of which any group has a note. */
	notedTopics: readonly string[] = ["orders"];
	foldsIds = false;
	/** An upsert of this id finds no parent. */
	lacksParent: (id: string) => boolean = () => false;
	cascade: DatabaseRow[] = [];
	readonly #layouts: readonly TableLayout[];

	constructor(layouts: readonly TableLayout[]) {
		super(layouts, {});
		this.#layouts = layouts;
	}

	put(table: string, ...rows: readonly MemoryRow[]): void {
		for (const row of rows) this.tables.get(table)?.set(row.id, row);
	}

	/** `id=value@offset`, by id; a tombstone has no value. */
	told(table: string): string[] {
		const rows = [...(this.tables.get(table)?.values() ?? [])];
		return rows.map(({ id, values, offset }) => `${id}=${values[0] ?? "-"}@${offset}`).sort();
	}

	override async query(text: string, parameters: readonly (string | null)[] = []): Promise<readonly DatabaseRow[]> {
		if (text === "select 1") return [];
		if (text.includes("pg_constraint")) return this.cascade;
		if (text.includes("pg_attribute a left join pg_collation")) return this.#columns(parameters);
		if (text.includes("to_regclass($1::text)")) return [{ found: true }];
		if (text.includes("select distinct topic")) return this.notedTopics.map((topic) => ({ topic, is_own: true }));
		if (text.includes("start_offset"))
			return this.starts.map(([partition, start]) => ({ topic: "orders", partition, start_offset: start, assumed: false, skipped: null }));
		if (text.includes(") compared where")) return this.#compare(text, parameters as readonly string[]);
		if (text.startsWith("update")) return this.#update(text, parameters as readonly string[]);
		if (text.startsWith("delete")) return this.#delete(text, parameters as readonly string[]);
		const table = this.#tableIn(text, /insert into "([^"]+)"/);
		const ids = rowsOf(table, parameters as readonly string[], /\bfalse as deleted\b/.test(text)).map(({ id }) => id);
		this.changes.push(...ids.map((id) => `insert ${id}`));
		if (ids.some((id) => this.lacksParent(id))) throw Object.assign(new Error("no such parent"), { code: "23503" });
		return super.query(text, parameters);
	}

	override async *stream(text: string): AsyncIterable<readonly DatabaseRow[]> {
		const { name } = this.#tableIn(text, /from "([^"]+)" t/);
		const rows = [...(this.tables.get(name)?.values() ?? [])].sort((left, right) => (left.id < right.id ? -1 : 1));
		if (rows.length > 0) yield rows.map((row) => ({ id: row.id, ...originOf(row) }));
	}

	#columns([table]: readonly (string | null)[]): DatabaseRow[] {
		const layout = this.#layouts.find(({ name }) => `"${name}"` === table) as TableLayout;
		const columns = layout.columns.map(({ name, type }) => ({ name, type, folds: false }));
		return [{ name: layout.id.column, type: layout.id.type, folds: this.foldsIds }, ...columns];
	}

	#tableIn(text: string, pattern: RegExp): TableLayout {
		return this.#layouts.find(({ name }) => name === pattern.exec(text)?.[1]) as TableLayout;
	}

	#compare(text: string, parameters: readonly string[]): DatabaseRow[] {
		const layout = this.#tableIn(text, /left join "([^"]+)" t/);
		return rowsOf(layout, parameters, /\bfalse as deleted\b/.test(text)).flatMap((row) => {
			const stored = this.row(layout.name, row.id);
			if (!stored) return [{ id: row.id, too_long: false, found: false }];
			const position = Math.sign(compareRows(stored, row));
			const differing = [...row.values.map((value, at) => value !== stored.values[at]), row.deleted !== stored.deleted];
			const differs = differing.map(Number).join("");
			if (position === 0 && !differs.includes("1")) return [];
			return [{ id: row.id, too_long: false, found: true, position, differs, ...originOf(stored) }];
		});
	}

	#update(text: string, parameters: readonly string[]): DatabaseRow[] {
		const layout = this.#tableIn(text, /update "([^"]+)"/);
		const places = JSON.parse(parameters.at(-1) as string) as readonly Place[];
		const rows = rowsOf(layout, parameters.slice(0, -1), /\bfalse as deleted\b/.test(text));
		return rows.flatMap((row, at) => {
			this.changes.push(`update ${row.id}`);
			if (!isAt(this.row(layout.name, row.id), places[at])) return [];
			this.put(layout.name, row);
			return [{ id: row.id }];
		});
	}

	#delete(text: string, [ids = "[]", places = "[]"]: readonly string[]): DatabaseRow[] {
		const { name } = this.#tableIn(text, /delete from "([^"]+)"/);
		return (JSON.parse(ids) as string[]).flatMap((id, at) => {
			this.changes.push(`delete ${id}`);
			if (!isAt(this.row(name, id), (JSON.parse(places) as Place[])[at])) return [];
			this.tables.get(name)?.delete(id);
			return [{ id }];
		});
	}
}

type Place = readonly [timestamp: number, offset: number, partition: number, topic: string | null];

function isAt(row: MemoryRow | undefined, place: Place | undefined): boolean {
	return row !== undefined && row.timestamp === place?.[0] && row.offset === place[1] && row.partition === place[2];
}

function originOf({ timestamp, offset, partition, deleted }: MemoryRow): DatabaseRow {
	return { kafka_ts: `${timestamp}`, kafka_offset: `${offset}`, kafka_partition: `${partition}`, deleted };
}

/** A log of topic `orders`, and who reads it. */
export class AuditedLog {
	messages: readonly LoggedMessage[] = [];
	/** By partition. */
	committed: readonly (number | null)[] = [];
	highs: readonly number[] = [];
	lows: readonly number[] = [];
	topicId = "log-1";
	/** What was read: `0:5-9`. */
	readonly reads: string[] = [];
	/** Called behind each reading. */
	wasRead: () => void = () => {};

	/** What is committed is all there is, unless told otherwise. */
	holds(messages: readonly LoggedMessage[], { committed = [] as readonly (number | null)[], highs = [] as readonly number[] } = {}): this {
		this.messages = messages;
		const count = Math.max(...messages.map(({ partition = 0 }) => partition)) + 1;
		const ends = Array.from({ length: count }, (_, at) => {
			const offsets = messages.filter(({ partition = 0 }) => partition === at).map(({ offset }) => offset);
			return Math.max(-1, ...offsets) + 1;
		});
		this.highs = ends.map((end, at) => highs[at] ?? end);
		this.committed = ends.map((end, at) => (committed[at] === undefined ? end : (committed[at] ?? null)));
		this.lows = ends.map(() => 0);
		return this;
	}

	get reader(): LogReader {
		const log = this;
		const reader: Pick<LogReader, "watermarks" | "committed" | "topicIds" | "read"> & { metadata: unknown } = {
			get metadata() {
				return { topics: [{ name: "orders", partitions: log.highs.map((_, id) => ({ id })) }] };
			},
			watermarks: async ({ partition }) => ({ low: log.lows[partition] ?? 0, high: log.highs[partition] ?? 0 }),
			committed: async (partitions) => partitions.map((each) => ({ ...each, offset: log.committed[each.partition] ?? null })),
			topicIds: async () => new Map([["orders", log.topicId]]),
			read: (ranges) => log.#read(ranges),
		};
		return reader as LogReader;
	}

	async *#read(ranges: readonly LogRange[]): ReturnType<LogReader["read"]> {
		for (const { topic, partition, from, to } of ranges) {
			this.reads.push(`${partition}:${from}-${to}`);
			const all = this.messages.filter((each) => (each.partition ?? 0) === partition && each.offset >= from && each.offset < to);
			// Two at a time, as they come.
			for (let at = 0; at < all.length; at += 2)
				yield [{ topic, partition }, all.slice(at, at + 2).map((message) => received(topic, message))];
		}
		this.wasRead();
	}
}

function received(topic: string, { offset, value, partition = 0, key = value.id ?? "k" }: LoggedMessage): ReceivedMessage {
	const bytes = { key: Buffer.from(key), value: Buffer.from(JSON.stringify(value)) };
	return { topic, partition, offset, timestamp: timestampOf(offset), ...bytes, headers: [] };
}

/** A configuration whose handler is the one above, or another; each table has a column `n`. */
export async function auditedConfig(folder: string, source = handler, tables: readonly string[] = ["events"]): Promise<Config> {
	const module = join(folder, "handler.mjs");
	await writeFile(module, source);
	const columns = Object.fromEntries(tables.map((table) => [table, { columns: { n: "text" } }]));
	const { config } = loadConfig({
		file: undefined,
		cwd: folder,
		environment: {
			POCKAFFE_KAFKA_BROKERS: kafkaAt("127.0.0.1:1").brokers.join(","),
			POCKAFFE_KAFKA_GROUP: "g",
			POCKAFFE_KAFKA_TOPICS: "orders",
			POCKAFFE_HANDLER_MODULE: module,
			POCKAFFE_DATABASE_URL: "postgres://none",
			POCKAFFE_TABLES: JSON.stringify(columns),
		},
	});
	return config;
}

export const layoutsOf = (config: Config): readonly TableLayout[] => tableLayouts(config);
