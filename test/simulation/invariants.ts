/**
 * What must hold at every moment of every run: every committed offset is settled, no row ever moves back, messages reach the handler in
 * order and none is left out, and at the end the table is the fold of the log. Knows the log and the table, nothing of the code.
 */
import type { DeadLetter } from "../../src/core/dead-letter.ts";
import { BAD, type SimRow, type SimServer } from "./database.ts";
import type { LogRecord, SimClient, SimKafka } from "./kafka.ts";
import { handle, type Kept } from "./thread.ts";
import type { World } from "./world.ts";

/** How versions are compared. */
export type Strategy = "timestamp" | "offset";

interface Version {
	readonly kafka_ts: number;
	readonly kafka_offset: number;
	readonly kafka_partition: number;
}

/** A partition in the hands of a process. */
interface Handing {
	readonly start: number;
	/** The last offset handed to the handler for the first time, -1 before. */
	high: number;
}

/** See the file's header. Tells `world.fail`. */
export class Invariants {
	kafka!: SimKafka;
	server!: SimServer;
	readonly #world: World;
	readonly #strategy: Strategy;
	/** No failures: then nothing may be handled twice either. */
	readonly #calm: boolean;
	/** True where offsets in the database decide, and Kafka's only follow. */
	readonly #inDatabase: boolean;
	readonly #letters = new Set<string>();
	/** What left a handler's state; null where handlers keep nothing. */
	readonly #flushed: Set<string> | null;
	readonly #handings = new Map<string, Map<number, Handing>>();
	readonly #handled = new Map<string, number>();
	/** Where a partition was begun for the first time: everything from there on has to arrive. */
	readonly #firstStarts = new Map<number, number>();
	/** Ids of logs that were deleted: what became of them nobody can say. */
	readonly #tainted = new Set<string>();

	constructor(world: World, parts: { strategy: Strategy; calm: boolean; inDatabase: boolean; keeps: boolean }) {
		this.#world = world;
		this.#strategy = parts.strategy;
		this.#calm = parts.calm;
		this.#inDatabase = parts.inDatabase;
		this.#flushed = parts.keeps ? new Set() : null;
	}

	/** The committed offset that decides. */
	committed(partition: number): number | null {
		if (this.#inDatabase) return this.server.offsets.get(partition)?.next ?? null;
		return this.kafka.committed.get(partition) ?? null;
	}

	offsetCommitted(partition: number, offset: number): void {
		const start = this.#firstStarts.get(partition) ?? offset;
		for (const record of this.kafka.logs[partition]?.records ?? []) {
			if (record.offset < start || record.offset >= offset || this.#isSettled(partition, record)) continue;
			this.#world.fail(
				`offset ${offset} of partition ${partition} was committed, but ${record.offset} is not settled (${describe(record)})`,
			);
			return;
		}
	}

	rowReplaced(before: SimRow, after: SimRow): void {
		if (this.#compare(after, before) <= 0)
			this.#world.fail(`row ${after.id} moved back from ${JSON.stringify(before)} to ${JSON.stringify(after)}`);
	}

	letterStored({ partition, offset, timestamp, key }: DeadLetter): void {
		this.#letters.add(letterName(partition, { offset, timestamp, key: key?.toString() ?? "" }));
	}

	flushed(partition: number, messages: readonly Kept[]): void {
		for (const message of messages) this.#flushed?.add(letterName(partition, { ...message, key: message.key?.toString() ?? "" }));
	}

	assigned(client: SimClient, partition: number, offset: number): void {
		const { process } = client;
		// Who was given up while it answered promises nothing: its start may not have been stored.
		if (!this.#firstStarts.has(partition) && this.kafka.isMember(client)) this.#firstStarts.set(partition, offset);
		const handings = this.#handings.get(process.name) ?? new Map<number, Handing>();
		this.#handings.set(process.name, handings);
		handings.set(partition, { start: offset, high: -1 });
	}

	released({ process }: SimClient, partition: number, lost: boolean): void {
		const handing = this.#handings.get(process.name)?.get(partition);
		this.#handings.get(process.name)?.delete(partition);
		if (!handing || lost || !this.#calm || handing.high < 0) return;
		const committed = this.committed(partition);
		if (committed === null || committed <= handing.high) {
			this.#world.fail(`partition ${partition} was given away at ${handing.high}, with only ${committed} committed`);
		}
	}

	handed(process: string, partition: number, offset: number): void {
		const record = this.kafka.logs[partition]?.records.find((each) => each.offset === offset);
		const name = record ? letterName(partition, record) : "";
		const times = (this.#handled.get(name) ?? 0) + 1;
		this.#handled.set(name, times);
		if (this.#calm && times > 1) this.#world.fail(`${name} was handled ${times} times, and nothing had failed`);
		const handing = this.#handings.get(process)?.get(partition);
		if (!handing || offset <= handing.high) return;
		const from = handing.high < 0 ? handing.start : handing.high + 1;
		const skipped = this.kafka.logs[partition]?.records.find((each) => each.offset >= from && each.offset < offset);
		if (skipped) this.#world.fail(`offset ${offset} of partition ${partition} was handled before ${skipped.offset}`);
		handing.high = offset;
	}

	/** The partition's log is gone; another begins at 0. To be told before. */
	logDeleted(partition: number): void {
		for (const { key } of this.kafka.logs[partition]?.records ?? []) this.#tainted.add(key);
		this.#firstStarts.set(partition, 0);
		for (const handings of this.#handings.values()) handings.delete(partition);
	}

	/** Everything was produced, and all is quiet. */
	isAllCommitted(): boolean {
		return this.kafka.logs.every(({ end }, partition) => (this.committed(partition) ?? 0) === end);
	}

	/** The table is the fold of the log. */
	judge(): void {
		const expected = new Map<string, SimRow>();
		for (const [partition, { records }] of this.kafka.logs.entries()) {
			// Where nobody began yet nothing was promised.
			const start = this.#firstStarts.get(partition) ?? Number.POSITIVE_INFINITY;
			for (const record of records) {
				if (record.offset < start || this.#tainted.has(record.key)) continue;
				if (!this.#isSettled(partition, record)) this.#world.fail(`${describe(record)} of partition ${partition} never arrived`);
				const row = rowOf(partition, record);
				if (!row || this.#letters.has(letterName(partition, record))) continue;
				const present = expected.get(row.id);
				if (!present || this.#compare(row, present) > 0) expected.set(row.id, row);
			}
		}
		for (const [id, row] of expected) {
			const stored = JSON.stringify(this.server.rows.get(id));
			if (stored !== JSON.stringify(row)) this.#world.fail(`row ${id} is ${stored}, not ${JSON.stringify(row)}`);
		}
		for (const id of this.server.rows.keys()) {
			if (!expected.has(id) && !this.#tainted.has(id)) this.#world.fail(`row ${id} was made of nothing`);
		}
		for (const [partition, { records }] of this.kafka.logs.entries()) {
			for (const record of records) {
				const isBad = rowOf(partition, record) === null && outcomeOf(record) !== null;
				if (this.#letters.has(letterName(partition, record)) && !isBad) this.#world.fail(`${describe(record)} is a dead letter`);
			}
		}
	}

	#isSettled(partition: number, record: LogRecord): boolean {
		if (this.#letters.has(letterName(partition, record))) return true;
		if (this.#flushed?.has(letterName(partition, record)) === false) return false;
		const outcome = outcomeOf(record);
		if (outcome === null) return true;
		if (outcome === "lettered") return false;
		const stored = this.server.rows.get(record.key);
		const version = { kafka_ts: record.timestamp, kafka_offset: record.offset, kafka_partition: partition };
		return stored !== undefined && this.#compare(stored, version) >= 0;
	}

	#compare(left: Version, right: Version): number {
		const byTime = this.#strategy === "timestamp" ? left.kafka_ts - right.kafka_ts : 0;
		return byTime || left.kafka_offset - right.kafka_offset || left.kafka_partition - right.kafka_partition;
	}
}

/** null: no row; `lettered`: has to become a dead letter; else a row. */
function outcomeOf({ key, value }: LogRecord): "lettered" | "row" | null {
	try {
		const outcome = handle(key, value);
		if (outcome === null) return null;
		return typeof outcome === "object" && outcome !== null && "reject" in outcome ? "lettered" : "row";
	} catch {
		return "lettered";
	}
}

/** The row of a record; null where it has none, or one that the server refuses. */
function rowOf(partition: number, record: LogRecord): SimRow | null {
	if (outcomeOf(record) !== "row") return null;
	const { n = null } = record.value === null ? {} : (JSON.parse(record.value) as { n?: string });
	if (n === BAD) return null;
	const version = { kafka_ts: record.timestamp, kafka_offset: record.offset, kafka_partition: partition };
	return { id: record.key, n, ...version, deleted: record.value === null };
}

function letterName(partition: number, { offset, timestamp, key }: Pick<LogRecord, "offset" | "timestamp" | "key">): string {
	return `${partition}@${offset} ${timestamp} ${key}`;
}

function describe({ offset, timestamp, key, value }: LogRecord): string {
	return `offset ${offset}, key ${key}, timestamp ${timestamp}, value ${value}`;
}
