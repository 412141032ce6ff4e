/**
 * The dead-letter table: stores letters, durably, for ever trying; letters that wait together go in one statement. A redelivery of
 * the same message updates its letter.
 *
 * A side way of a message's way (README).
 */

import { EventEmitter } from "eventemitter3";
import { fullJitter } from "../core/back-off.ts";
import type { Clock } from "../core/clock.ts";
import { type DeadLetter, type DeadLetterEvents, type DeadLetterTarget, letterName, storableText } from "../core/dead-letter.ts";
import { lifetime } from "../core/lifetime.ts";
import { partitionName, type TopicPartition } from "../core/message.ts";
import type { Random } from "../core/random.ts";
import type { Database } from "./database.ts";
import { durably } from "./durable-commit.ts";
import { deadLetterDdl, exists, hasColumn } from "./schema.ts";
import { hintFor, problemOf } from "./sql-faults.ts";
import { quotedTable } from "./sql-names.ts";

/** What the table is reached with. */
export interface DeadLetterTableParts {
	readonly database: Database;
	/** Name, `schema.table` or `table`. */
	readonly table: string;
	readonly consumerGroup: string;
	readonly version: string;
	readonly clock: Clock;
	readonly random: Random;
}

/** The table or a column of it is missing. */
const OTHER_TABLE: readonly string[] = ["42P01", "42703"];
/** Not in tables that were made before it came: letters do without it there. */
const LATE_COLUMN = "refused_rows";
const RETRY = { minMs: 100, maxMs: 5_000 };
/** Limits of one statement; a letter may be large by itself, and goes alone then. */
const STATEMENT = { letters: 200, bytes: 4 * 2 ** 20 };

interface Waiting {
	/** How often a statement with it failed. */
	failures: number;
	readonly letter: DeadLetter;
	readonly signal: AbortSignal;
	readonly resolve: () => void;
	readonly reject: (reason: unknown) => void;
}

/** See the file's header. */
export class DeadLetterTable extends EventEmitter<DeadLetterEvents> implements DeadLetterTarget {
	readonly #parts: DeadLetterTableParts;
	#statement: string;
	readonly #ended = lifetime();
	#waiting: Waiting[] = [];
	#storing = false;
	#blocked = false;

	constructor(parts: DeadLetterTableParts) {
		super();
		this.#parts = parts;
		this.#statement = storeStatement(parts.table, true);
	}

	get blocked(): boolean {
		return this.#blocked;
	}

	isMoving({ topic, partition }: TopicPartition): boolean {
		const isIts = ({ letter, signal }: Waiting) => letter.topic === topic && letter.partition === partition && !signal.aborted;
		return this.#waiting.some((waiting) => isIts(waiting) && !isHeldUp(waiting));
	}

	/** Rejects with the database's error. */
	async prepare(): Promise<void> {
		const { database, table } = this.#parts;
		if (!(await exists(database, table))) await database.query(deadLetterDdl(table));
		else if (!(await hasColumn(database, table, LATE_COLUMN))) {
			// Who may not change the table may write to it all the same.
			await database.query(`alter table ${quotedTable(table)} add column if not exists ${LATE_COLUMN} jsonb`).catch(() => {});
		}
		this.#statement = storeStatement(table, await hasColumn(database, table, LATE_COLUMN));
	}

	store(letter: DeadLetter, signal: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			this.#waiting.push({ failures: 0, letter, signal, resolve, reject });
			if (!this.#storing) void this.#storeWaiting();
		});
	}

	async dispose(): Promise<void> {
		this.#ended.abort(new Error("the dead letters were ended"));
	}

	async #storeWaiting(): Promise<void> {
		this.#storing = true;
		// Letters of one turn go together.
		await Promise.resolve();
		for (let failures = 0; this.#dropAborted() && !this.#ended.signal.aborted; ) {
			const batch = distinct(nextBatch(this.#waiting));
			const inBatch = new Set(batch);
			const withoutBatch = () => this.#waiting.filter((waiting) => !inBatch.has(waiting));
			try {
				await this.#parts.database.query(this.#statement, [this.#toJson(batch)]);
			} catch (error) {
				failures++;
				for (const waiting of batch) waiting.failures++;
				this.#waiting = [...withoutBatch(), ...batch];
				await this.#wait(error, failures, batch);
				continue;
			}
			failures = 0;
			this.#waiting = withoutBatch();
			for (const { resolve } of batch) resolve();
			this.#tellUnblocked();
		}
		this.#storing = false;
	}

	/** Rejects those whose owner gave up; true while any is left. */
	#dropAborted(): boolean {
		for (const { signal, reject } of this.#waiting) if (signal.aborted) reject(signal.reason);
		this.#waiting = this.#waiting.filter(({ signal }) => !signal.aborted);
		this.#tellUnblocked();
		return this.#waiting.length > 0;
	}

	/** No letter is held up any more: they are stored, or their partitions are another member's. */
	#tellUnblocked(): void {
		if (!this.#blocked || this.#waiting.some(isHeldUp)) return;
		this.#blocked = false;
		this.emit("target:unblocked");
	}

	async #wait(error: unknown, failures: number, batch: readonly Waiting[]): Promise<void> {
		const { clock, random, table } = this.#parts;
		const problem = problemOf(error);
		const hint = hintFor(problem, table);
		if (!this.#blocked && this.#waiting.some(isHeldUp)) {
			this.#blocked = true;
			const [{ letter }] = batch as [Waiting];
			const which = batch.length === 1 ? ` (${partitionName(letter)} offset ${letter.offset})` : "";
			this.emit("target:blocked", {
				message: `dead letters can't be stored in ${table}: ${problem.message}${which}${hint ? `; ${hint}` : ""}`,
			});
		}
		if (OTHER_TABLE.includes(problem.code)) await this.prepare().catch(() => {});
		await clock.sleep(fullJitter(failures, RETRY, random), this.#ended.signal).catch(() => {});
	}

	#toJson(batch: readonly Waiting[]): string {
		const { consumerGroup, version, clock } = this.#parts;
		const now = new Date(clock.now()).toISOString();
		const hex = (bytes: Buffer | null) => (bytes === null ? null : `\\x${bytes.toString("hex")}`);
		return JSON.stringify(
			batch.map(({ letter }) => ({
				consumer_group: consumerGroup,
				topic: letter.topic,
				partition: letter.partition,
				offset: letter.offset,
				kafka_ts: letter.timestamp,
				key: hex(letter.key),
				value: hex(letter.value),
				headers: JSON.stringify(
					letter.headers.map(([name, value]) => [storableText(name), value === null ? null : value.toString("base64")]),
				),
				reason: letter.reason,
				sqlstate: letter.sqlstate,
				table_name: storableText(letter.table),
				row_id: storableText(letter.rowId),
				refused_rows: letter.refusedRows.length > 1 ? JSON.stringify(letter.refusedRows) : null,
				error: storableText(letter.error) ?? "",
				stack: storableText(letter.stack),
				attempts: letter.attempts,
				state: letter.state,
				at: now,
				pockaffe_version: version,
			})),
		);
	}
}

const columns: readonly (readonly [name: string, type: string, from?: string])[] = [
	["consumer_group", "text"],
	["topic", "text"],
	["partition", "int4"],
	['"offset"', "bigint", "offset"],
	["kafka_ts", "bigint"],
	["key", "bytea"],
	["value", "bytea"],
	["headers", "jsonb"],
	["reason", "text"],
	["sqlstate", "text"],
	["table_name", "text"],
	["row_id", "text"],
	[LATE_COLUMN, "jsonb"],
	["error", "text"],
	["stack", "text"],
	["attempts", "int4"],
	["state", "text"],
	["first_at", "timestamptz", "at"],
	["last_at", "timestamptz", "at"],
	["pockaffe_version", "text"],
];

function storeStatement(table: string, withLateColumn: boolean): string {
	const stored = columns.filter(([name]) => withLateColumn || name !== LATE_COLUMN);
	const names = stored.map(([name]) => name);
	const values = stored.map(([name, type, from = name]) => `(r.value->>'${from}')::${type}`);
	const kept = new Set(["consumer_group", "topic", "partition", '"offset"', "first_at"]);
	const updates = names.filter((name) => !kept.has(name)).map((name) => `${name} = excluded.${name}`);
	return `insert into ${quotedTable(table)} (${names.join(", ")})
select ${values.join(", ")} from json_array_elements($1::text::json) as r(value)
on conflict (consumer_group, topic, partition, "offset") do update set ${updates.join(", ")} returning ${durably}`;
}

function isHeldUp({ failures }: Waiting): boolean {
	return failures >= 2;
}

/** The first letters that fit a statement; one that failed goes alone, so that it holds up nobody else if it can't be stored at all. */
function nextBatch(waiting: readonly Waiting[]): readonly Waiting[] {
	let bytes = 0;
	const end = waiting.findIndex(({ failures, letter }, index) => {
		bytes += (letter.key?.length ?? 0) + (letter.value?.length ?? 0) + (letter.stack?.length ?? 0) + letter.error.length;
		return index > 0 && (failures > 0 || waiting[0]?.failures !== 0 || index >= STATEMENT.letters || bytes > STATEMENT.bytes);
	});
	return end < 0 ? waiting : waiting.slice(0, end);
}

/** One letter per message in a statement; a later one for the same message waits for the next. */
function distinct(waiting: readonly Waiting[]): Waiting[] {
	const seen = new Set<string>();
	return waiting.filter(({ letter }) => {
		const name = letterName(letter);
		return !seen.has(name) && seen.add(name);
	});
}
