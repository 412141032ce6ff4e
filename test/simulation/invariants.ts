/**
 * What must hold at every moment of every run: every committed offset is settled, no row ever moves back, messages reach the handler in
 * order and none is left out, and at the end the tables are the fold of the log. Knows the log and the tables, nothing of the code.
 */

import type { Evidence } from "../../src/core/messages/hand-note.ts";
import type { DisplacedOffset } from "../../src/core/offsets/displaced-offset.ts";
import type { PositionNote, SkippedStretch } from "../../src/core/offsets/position-note.ts";
import type { DatabaseRow } from "../../src/sink/database/database.ts";
import { isSuspect, type Place, wronglyCharged } from "./charges.ts";
import type { SimClient } from "./client.ts";
import type { SimRow, SimServer } from "./database.ts";
import { type HandledRow, isDeadly, isRefused, rowsOf } from "./handler.ts";
import type { SimKafka } from "./kafka.ts";
import { type LogRecord, recordName } from "./log.ts";
import type { SimRecordBroker } from "./record-broker.ts";
import type { Change, Row } from "./sql/tables.ts";
import type { Kept } from "./thread.ts";
import type { InvariantCode, World } from "./world.ts";

/** How versions are compared. */
export type Strategy = "timestamp" | "offset";

interface Version {
	/** NULL in rows that were there before: below everything. */
	readonly kafka_ts: number | null;
	readonly kafka_offset: number | null;
	readonly kafka_partition: number | null;
}

/** A partition in the hands of a process. */
interface Handing {
	readonly start: number;
	/** The last offset handed to the handler for the first time, -1 before. */
	high: number;
}

/** What the run is like. */
export interface InvariantParts {
	readonly strategy: Strategy;
	/** No failures: then nothing may be handled twice either. */
	readonly calm: boolean;
	/** `handler.maxAttempts`. */
	readonly maxAttempts: number;
	/** True where offsets in the database decide, and Kafka's only follow. */
	readonly inDatabase: boolean;
	/** Handlers keep messages in their state. */
	readonly keeps: boolean;
	/** A position outside the log may go on at its end: messages that are there are passed over. */
	readonly mayPassOver: boolean;
}

/** Tables that handlers write to. */
export const TABLES: readonly string[] = ["events", "lines", "contacts"];
/** Longest that a member may not know that a topic was made again, or the database put back. */
const FINDS_OUT_MS = 15_000;
const LETTERS = "pockaffe_dead_letters";
const OFFSETS = "pockaffe_offsets";
const NOTES = "pockaffe_offsets_start";

/** See the file's header. Tells `world.fail`. */
export class Invariants {
	kafka!: SimKafka;
	server!: SimServer;
	/** Where each message that has rows has a record, too; null where none is produced. */
	records: SimRecordBroker | null = null;
	readonly #world: World;
	readonly #parts: InvariantParts;
	readonly #letters = new Set<string>();
	/** What left a handler's state; null where handlers keep nothing. */
	readonly #flushed: Set<string> | null;
	readonly #handings = new Map<string, Map<number, Handing>>();
	readonly #handled = new Map<string, number>();
	/** Where a partition was begun for the first time: everything from there on has to arrive. */
	readonly #firstStarts = new Map<number, number>();
	/** Everything below was found settled. */
	readonly #settledTo = new Map<number, number>();
	/** Ids of logs that were deleted: what became of them nobody can say. */
	readonly #tainted = new Set<string>();

	/** What the last owner of a partition's stored offset knows of it. */
	readonly #known = new Map<number, { readonly epoch: number; readonly writtenAt: number }>();
	#wasRestored = false;
	#hasJumped = false;
	/** Somebody may not keep notes, and said so: then what it warns of is all there is. */
	#isWithoutNotes = false;
	readonly #warnings: { readonly partition: number; readonly from: number; readonly to: number }[] = [];
	/** The highest offset whose record came, by log. */
	readonly #lastRecords = new Map<string, number>();
	/** Partitions of a topic's lives that a member began, */
	readonly #begunLogs = new Set<string>();
	/** and what was handled before: of a new log what came behind the old one's offset. */
	readonly #readOn = new Set<string>();
	/** When the topic was made again, or the database put back. */
	#otherSince = Number.NEGATIVE_INFINITY;

	constructor(world: World, parts: InvariantParts) {
		this.#world = world;
		this.#parts = parts;
		this.#flushed = parts.keeps ? new Set() : null;
	}

	/** The committed offset that decides; null too where it is known to be another log's. */
	committed(partition: number): number | null {
		const table = this.#parts.inDatabase ? OFFSETS : NOTES;
		const row = [...this.server.rows(table).values()].find((each) => each.partition === partition);
		if (row && this.#isOfAnotherLog(row)) return null;
		if (this.#parts.inDatabase) return (row?.next_offset as number | undefined) ?? null;
		return this.kafka.committed.get(partition) ?? null;
	}

	/**
	 * An offset was committed in Kafka. Nobody believes it where what is kept or noted beside it names another log; and where it only
	 * follows it may come behind a database that was put back.
	 */
	committedInKafka(partition: number, offset: number): void {
		const isBelieved = this.committed(partition) !== null && !(this.#parts.inDatabase && this.#wasRestored);
		if (isBelieved) this.offsetCommitted(partition, offset);
	}

	/** An offset was committed, in Kafka or in the database. */
	offsetCommitted(partition: number, offset: number): void {
		// Without ids nobody can say of which log an offset is that comes before its owner finds out.
		const isOfThisLog = this.kafka.topicId !== null || this.#world.now - this.#otherSince > FINDS_OUT_MS;
		const open = isOfThisLog ? this.#firstUnsettled(partition, offset) : null;
		if (open)
			this.#world.fail(
				this.#lossOr("committed-unsettled", partition, open),
				`offset ${offset} of partition ${partition} was committed, but ${describe(open)} is not settled`,
			);
	}

	/** A row of some table was written. */
	changed({ table, before, after }: Change): void {
		if (TABLES.includes(table)) {
			if (before && after && this.#compare(after as SimRow, before as SimRow) <= 0)
				this.#world.fail(
					"row-moved-back",
					`row ${after.id} of ${table} moved back from ${JSON.stringify(before)} to ${JSON.stringify(after)}`,
				);
		} else if (table === LETTERS) this.#letterChanged(before, after);
		// A new owner's claim leaves the offset as it is: whether it belongs to this log the owner has yet to find out.
		const isClaim = before?.next_offset === after?.next_offset && before?.epoch !== after?.epoch;
		if (table === OFFSETS && after && !isClaim && !this.#isOfAnotherLog(after))
			this.offsetCommitted(after.partition as number, after.next_offset as number);
	}

	/** Some process has these rows for an answer. */
	answered(rows: readonly DatabaseRow[]): void {
		for (const { partition, epoch, written_at } of rows) {
			if (epoch === undefined || written_at === undefined) continue;
			const [former, row] = [this.#known.get(Number(partition)), { epoch: Number(epoch), writtenAt: Number(written_at) }];
			if (!former || row.epoch > former.epoch || (row.epoch === former.epoch && row.writtenAt > former.writtenAt))
				this.#known.set(Number(partition), row);
		}
	}

	/** What is stored of a partition's offset is what its owner can only take for what it wrote last. */
	isAsWritten({ partition, epoch, updated_at }: Row): boolean {
		const known = this.#known.get(partition as number);
		return known !== undefined && known.epoch === epoch && (updated_at as Date).getTime() * 1_000 >= known.writtenAt;
	}

	/** All tables are those of an earlier moment. */
	restored(): void {
		this.#wasRestored = true;
		this.#otherSince = this.#world.now;
		this.#settledTo.clear();
		this.#letters.clear();
		// What was read before the group's beginning, as it is noted now, is as gone as the rows of it.
		for (const { partition, start_offset } of this.server.rows(NOTES).values()) {
			const first = this.#firstStarts.get(partition as number) ?? 0;
			this.#firstStarts.set(partition as number, Math.max(first, start_offset as number));
		}
		for (const letter of this.server.rows(LETTERS).values()) if (!this.#isOfAnotherLog(letter)) this.#letters.add(letterName(letter));
	}

	/**
	 * The broker has the record of a message; first deliveries of a partition's messages are in its order. A new log may be read from the old
	 * one's offset first, until that is found out, which it never is where no id tells logs apart.
	 */
	recordArrived(name: string, isFirst: boolean): void {
		if (!isFirst || this.kafka.topicId === null) return;
		const [, partition, offset, life] = /^(\d+)@(\d+) \d+ (?:id|order-\d+)-([\dx]+)-/.exec(name) ?? [];
		if (life === undefined) return;
		const log = `${partition} ${life}`;
		if (!this.#begunLogs.has(log) || this.#readOn.has(name)) return;
		const last = this.#lastRecords.get(log) ?? -1;
		if (Number(offset) < last) this.#world.fail("out-of-order", `the record of ${name} came first behind that of offset ${last}`);
		this.#lastRecords.set(log, Math.max(last, Number(offset)));
	}

	flushed(partition: number, messages: readonly Kept[]): void {
		for (const message of messages) this.#flushed?.add(recordName(partition, { ...message, key: message.key?.toString() ?? "" }));
	}

	/** A daemon found others than its own offsets in the table. */
	offsetsDisplaced(partitions: readonly DisplacedOffset[]): void {
		const wrong = partitions.find(({ kind }) => kind !== "taken_over");
		if (wrong && !this.#wasRestored)
			this.#world.fail(
				"told-for-nothing",
				`offsets of partition ${wrong.partition} are said to be another time's: ${JSON.stringify(wrong)}`,
			);
	}

	/** A daemon said that positions can't be noted. */
	worksWithoutNotes(): void {
		this.#isWithoutNotes = true;
	}

	/** A daemon warned that it goes on elsewhere. */
	jumped(partition: number, from: number, to: number): void {
		this.#warnings.push({ partition, from, to });
	}

	/** A partition begins, with this noted of it. */
	begun(partition: number, { restored }: PositionNote): void {
		const log = `${partition} ${this.kafka.logs[partition]?.life}`;
		if (!this.#begunLogs.has(log)) for (const name of this.#handled.keys()) if (name.startsWith(`${partition}@`)) this.#readOn.add(name);
		this.#begunLogs.add(log);
		// A log without its end is read again from somewhere, and until Kafka hears of that its offset is further than what is noted.
		const isWhole = this.kafka.logs[partition]?.losses === 0;
		// A commit that its client sent a session late moves the offset past what another member's start has noted in between: that is told,
		// because it looks just like a database that is older.
		const isCarriedOver = restored !== undefined && this.kafka.carriedOver.get(partition) === restored.to;
		if (restored && isWhole && !this.#wasRestored && !isCarriedOver)
			this.#world.fail(
				"told-for-nothing",
				`rows of partition ${partition} are said to be missing behind a restored backup: ${JSON.stringify(restored)}`,
			);
	}

	/** A client was told to fetch a partition from here. */
	assigned(client: SimClient, partition: number, offset: number): void {
		const isMember = this.kafka.isMember(client);
		// Who was given up while it answered promises nothing: its start may not have been stored. Nor does who may keep no notes.
		if ((!this.#firstStarts.has(partition) || this.#isUnnoted(partition, offset)) && isMember) this.#firstStarts.set(partition, offset);
		// A start may have been looked up in the log before, or in the table before: whoever has it finds that out.
		const isOfThisLog = this.#world.now - this.#otherSince > FINDS_OUT_MS;
		const open = isMember && isOfThisLog ? this.#firstUnsettled(partition, offset) : null;
		if (open)
			this.#world.fail(
				this.#lossOr("begun-past-unsettled", partition, open),
				`partition ${partition} begins at ${offset}, but ${describe(open)} is not settled`,
			);
		if (offset < (this.#firstStarts.get(partition) ?? offset)) this.#hasJumped = true;
		this.#begins(client, partition, offset);
	}

	/** A client goes on elsewhere with a partition that it has: what is in hand stays in hand. */
	sought(client: SimClient, partition: number, offset: number): void {
		this.#hasJumped = true;
		this.#begins(client, partition, offset);
	}

	#begins({ process }: SimClient, partition: number, offset: number): void {
		const handings = this.#handings.get(process.name) ?? new Map<number, Handing>();
		this.#handings.set(process.name, handings);
		handings.set(partition, { start: offset, high: -1 });
	}

	/** A client gave a partition away; `lost`: it had been taken from it before. */
	released({ process }: SimClient, partition: number, lost: boolean): void {
		const handing = this.#handings.get(process.name)?.get(partition);
		this.#handings.get(process.name)?.delete(partition);
		if (!handing || lost || !this.#parts.calm || handing.high < 0) return;
		const committed = this.committed(partition);
		if (committed === null || committed <= handing.high) {
			this.#world.fail(
				"given-away-uncommitted",
				`partition ${partition} was given away at ${handing.high}, with only ${committed} committed`,
			);
		}
	}

	/** A message reached the handler. */
	handed(process: string, partition: number, offset: number): void {
		const log = this.kafka.logs[partition];
		const record = log?.at(offset);
		const name = record ? recordName(partition, record) : "";
		const times = (this.#handled.get(name) ?? 0) + 1;
		this.#handled.set(name, times);
		if (this.#parts.calm && times > 1) this.#world.fail("handled-twice", `${name} was handled ${times} times, and nothing had failed`);
		const handing = this.#handings.get(process)?.get(partition);
		if (!handing || offset <= handing.high) return;
		const next = handing.high < 0 ? handing.start : handing.high + 1;
		const between = log?.from(Math.max(next, log.low), offset - next) ?? [];
		const skipped = between.find(
			(each) => each.offset < offset && !this.#isToldLost(partition, each.offset) && !this.#tookProcesses(partition, each),
		);
		if (skipped) this.#world.fail("out-of-order", `offset ${offset} of partition ${partition} was handled before ${skipped.offset}`);
		handing.high = offset;
	}

	/**
	 * It ended so many processes that it may be given up before another one's handler has it: as many as it has attempts, but for a few
	 * that ended of something else while it was noted as in hand.
	 */
	#tookProcesses(partition: number, record: LogRecord): boolean {
		return isDeadly(record.value) && (this.#handled.get(recordName(partition, record)) ?? 0) > this.#parts.maxAttempts / 2;
	}

	/**
	 * A message, or the handler's beginning (null), ended a process whose partitions know this of earlier deaths. A message that nobody
	 * suspected yet may take another partition's suspect along. A backup that was put back knows of others.
	 */
	processEnded(culprit: Place | null, evidence: ReadonlyMap<number, Evidence | null>): void {
		if (this.#wasRestored || (culprit && !isSuspect(culprit, evidence))) return;
		const notes = [...this.server.rows(NOTES).values()].filter(({ partition }) => evidence.has(partition as number));
		const charged = wronglyCharged(
			notes.map((row) => {
				const partition = row.partition as number;
				const committed = this.committed(partition) ?? 0;
				return { partition, evidence: evidence.get(partition) ?? null, committed, noted: row.in_hand as unknown as Evidence | null };
			}),
			culprit,
		);
		const toBlame = culprit ? `offset ${culprit.offset} of partition ${culprit.partition}` : "the handler's beginning";
		if (charged !== null) this.#world.fail("wrong-charge", `${charged} is charged with a death that ${toBlame} was to blame for`);
	}

	/** The topic's logs are gone; others begin at 0. To be told before. */
	logsDeleted(): void {
		for (const [partition, { records }] of this.kafka.logs.entries()) {
			for (const { key } of records) this.#tainted.add(key);
			// Of a log that nobody had begun nothing was promised, nor is of the one in its place.
			if (this.#firstStarts.has(partition)) this.#firstStarts.set(partition, 0);
		}
		this.#otherSince = this.#world.now;
		this.#settledTo.clear();
		this.#handings.clear();
	}

	/** A partition's log has lost its end: these records never were. */
	endLost(partition: number, lost: readonly LogRecord[]): void {
		for (const { key } of lost) this.#tainted.add(key);
		this.#settledTo.delete(partition);
	}

	/** Everything was produced, and all is quiet. */
	isAllCommitted(): boolean {
		return this.kafka.logs.every(
			({ end }, partition) => (this.committed(partition) ?? 0) === end && (end === 0 || this.#isOfThisLog(partition)),
		);
	}

	/** A table's offset of the log before, of which no id tells, may be the new log's end by chance: Kafka's copy went with that log. */
	#isOfThisLog(partition: number): boolean {
		return this.kafka.topicId !== null || !this.#parts.inDatabase || this.kafka.committed.has(partition);
	}

	/** The tables are the fold of the log. */
	judge(): void {
		this.#judgeLosses();
		const expected = this.#fold();
		// A jump back reads what lies before the beginning too, and what was in hand at a jump forward may have arrived all the same.
		const hasJumped = this.#hasJumped || [...this.kafka.logs.keys()].some((partition) => this.#stretches(partition).length > 0);
		for (const [name, row] of expected) {
			const [table, id] = name.split(" ", 2) as [string, string];
			const stored = this.server.rows(table).get(id) as SimRow | undefined;
			const mayBeNewer = stored !== undefined && (hasJumped || this.#isBeforeStart(stored));
			const isRight = isSame(stored, row) || (mayBeNewer && this.#isNewer(name, stored, row));
			if (!isRight) this.#world.fail("wrong-row", `row ${name} is ${JSON.stringify(stored)}, not ${JSON.stringify(row)}`);
		}
		const possible = this.#foldOfAll();
		for (const table of TABLES) {
			for (const id of this.server.rows(table).keys()) {
				if (!possible.has(`${table} ${id}`) && !this.#isTainted(id) && !this.#isOfBefore(table, id))
					this.#world.fail("row-of-nothing", `row ${table} ${id} was made of nothing`);
			}
		}
	}

	/** Of a message before what is noted as the group's beginning: where the notes were made late, it was handled all the same. */
	#isBeforeStart({ kafka_partition, kafka_offset }: SimRow): boolean {
		return kafka_offset < (this.#firstStarts.get(kafka_partition) ?? 0);
	}

	/** Another message made the row so, and it is no older than the one that had to arrive. */
	#isNewer(name: string, stored: SimRow, expected: SimRow): boolean {
		return this.kafka.logs.some(({ records }, partition) =>
			records.some((record) => {
				const folded = new Map<string, SimRow>();
				this.#foldIn(folded, partition, record);
				const made = folded.get(name);
				return made !== undefined && isSame(stored, made) && this.#compare(made, expected) >= 0;
			}),
		);
	}

	/** Nothing is said to be lost that is there and was to be read. */
	#judgeLosses(): void {
		for (const [partition, log] of this.kafka.logs.entries()) {
			for (const { from, to } of this.#stretches(partition)) {
				const [there] = log.from(Math.max(from, log.low), 1);
				if (there && there.offset < to && !this.#parts.mayPassOver)
					this.#world.fail("told-for-nothing", `${describe(there)} of partition ${partition} is said to be lost, and is there`);
			}
		}
	}

	/** The newest version of each row, of all that has to be there; tells of what never arrived. */
	#fold(): Map<string, SimRow> {
		const expected = new Map<string, SimRow>();
		for (const [partition, { records }] of this.kafka.logs.entries()) {
			// Where nobody began yet nothing was promised.
			const start = this.#firstStarts.get(partition) ?? Number.POSITIVE_INFINITY;
			for (const record of records) {
				if (record.offset < start || this.#isTainted(record.key)) continue;
				if (this.#isToldLost(partition, record.offset) && !this.#isSettled(partition, record)) continue;
				if (!this.#isSettled(partition, record))
					this.#world.fail(this.#lossOr("never-arrived", partition, record), `${describe(record)} of partition ${partition} never arrived`);
				this.#foldIn(expected, partition, record);
			}
		}
		return expected;
	}

	/** The same of all there is, whether or not it was to be read. */
	#foldOfAll(): Map<string, SimRow> {
		const folded = new Map<string, SimRow>();
		for (const [partition, { records }] of this.kafka.logs.entries()) for (const record of records) this.#foldIn(folded, partition, record);
		return folded;
	}

	#foldIn(folded: Map<string, SimRow>, partition: number, record: LogRecord): void {
		const rows = rowsOf(record.key, record.value);
		if (typeof rows === "string" || isRefused(rows) || this.#isLettered(partition, record)) return;
		for (const row of rows) {
			const name = `${row.table} ${row.id}`;
			const present = folded.get(name);
			const made = storedRow(row, record, partition);
			// Of several rows of one id in a message the last counts.
			if (!present || this.#compare(made, present) >= 0) folded.set(name, made);
		}
	}

	/** An id begins with the key of the message that its family began with. */
	#isTainted(id: string): boolean {
		return this.#tainted.has(familyOf(id));
	}

	/** A row that was there before PocKaffe came, as it was. */
	#isOfBefore(table: string, id: string): boolean {
		const row = this.server.rows(table).get(id) as Row;
		return row.kafka_offset === null && (row.n ?? null) === null;
	}

	#letterChanged(before: Row | null, after: Row | null): void {
		const [gone, stored] = [before && letterName(before), after && letterName(after)];
		if (gone !== null && gone !== stored) {
			this.#letters.delete(gone);
			this.#world.fail("letter-lost", `the letter of ${gone} was ${stored === null ? "deleted" : `replaced by that of ${stored}`}`);
		}
		// One that names another log settles nothing here, also where it was made of this one's message by who had not heard of it yet.
		if (!after || stored === null || this.#isOfAnotherLog(after)) return;
		this.#letters.add(stored);
		const { partition, offset } = after as unknown as { partition: number; offset: number };
		const record = this.kafka.logs[partition]?.at(offset);
		// One of a log that is gone by now is that log's business.
		// Who has not heard of a new log reads on in its middle: a later row may have a unique value that an earlier one asks for, and the row
		// that another one refers to may lie before.
		const isElsewhere = ["23503", "23505"].includes(String(after.sqlstate)) && this.#world.now - this.#otherSince < FINDS_OUT_MS;
		if (!record || recordName(partition, record) !== stored || isBad(record)) return;
		const mayBeInTheWay = isElsewhere || (after.sqlstate === "23505" && this.#isTakenLater(partition, record));
		// Read again from the log's beginning its row may come all the same.
		if (mayBeInTheWay) this.#tainted.add(familyOf(record.key));
		else this.#world.fail("wrong-letter", `${describe(record)} of partition ${partition} is a dead letter: ${after.reason} ${after.error}`);
	}

	/** Handled again, it wants an address that a row of a later message has by now. */
	#isTakenLater(partition: number, { key, value, offset }: LogRecord): boolean {
		const rows = rowsOf(key, value);
		const wanted = typeof rows === "string" ? [] : rows.flatMap(({ fields }) => fields?.address ?? []);
		return [...this.server.rows("contacts").values()].some(
			(row) => wanted.includes(row.address as string) && row.kafka_partition === partition && (row.kafka_offset as number) > offset,
		);
	}

	/** What is said of a message that is not settled where it should be: it may be gone, and then somebody should have been told. */
	#lossOr(code: InvariantCode, partition: number, { offset }: LogRecord): InvariantCode {
		return offset < (this.kafka.logs[partition]?.low ?? 0) ? "loss-not-told" : code;
	}

	/** Nobody could note that it began before this offset: where Kafka forgets that, too, it begins as configured. */
	#isUnnoted(partition: number, offset: number): boolean {
		const isOf = (row: Row) => row.partition === partition && (row.start_offset as number) < offset;
		return this.#isWithoutNotes && ![...this.server.rows(NOTES).values()].some(isOf);
	}

	/** The notes that `verify` reads say that the group went past it unread; where nobody may keep any, a warning does. */
	#isToldLost(partition: number, offset: number): boolean {
		const warned = this.#isWithoutNotes ? this.#warnings.filter((each) => each.partition === partition) : [];
		return [...this.#stretches(partition), ...warned].some(({ from, to }) => offset >= from && offset < to);
	}

	#stretches(partition: number): readonly SkippedStretch[] {
		for (const row of this.server.rows(NOTES).values()) {
			if (row.partition === partition && !this.#isOfAnotherLog(row)) return (row.skipped ?? []) as unknown as readonly SkippedStretch[];
		}
		return [];
	}

	/** A kept position that names its log, where that is not the one there is. */
	#isOfAnotherLog({ topic_id = null }: Row): boolean {
		const { topicId } = this.kafka;
		return topic_id !== null && topicId !== null && topic_id !== topicId;
	}

	#isLettered(partition: number, record: LogRecord): boolean {
		return this.#letters.has(recordName(partition, record));
	}

	/** The first message below the offset, of those that have to arrive, that is not settled. */
	#firstUnsettled(partition: number, offset: number): LogRecord | null {
		const log = this.kafka.logs[partition];
		const start = Math.max(this.#firstStarts.get(partition) ?? offset, this.#settledTo.get(partition) ?? 0);
		if (!log || start >= offset) return null;
		for (let index = log.indexOf(start); index < log.records.length; index++) {
			const record = log.records[index] as LogRecord;
			if (record.offset >= offset) break;
			if (this.#isSettled(partition, record)) this.#settledTo.set(partition, record.offset + 1);
			else if (!this.#isToldLost(partition, record.offset)) return record;
		}
		return null;
	}

	#isSettled(partition: number, record: LogRecord): boolean {
		if (this.#isLettered(partition, record)) return true;
		if (this.#flushed?.has(recordName(partition, record)) === false) return false;
		const rows = rowsOf(record.key, record.value);
		if (typeof rows === "string") return rows === "none";
		if (this.records?.has(recordName(partition, record)) === false) return false;
		const version = { kafka_ts: record.timestamp, kafka_offset: record.offset, kafka_partition: partition };
		return rows.every(({ table, id }) => {
			const stored = this.server.rows(table).get(id) as SimRow | undefined;
			return stored !== undefined && this.#compare(stored, version) >= 0;
		});
	}

	#compare(left: Version, right: Version): number {
		const order = (part: keyof Version) => (left[part] ?? -1) - (right[part] ?? -1);
		return (this.#parts.strategy === "timestamp" && order("kafka_ts")) || order("kafka_offset") || order("kafka_partition");
	}
}

/** True where the message can only become a dead letter. */
function isBad({ key, value }: LogRecord): boolean {
	const rows = rowsOf(key, value);
	return rows === "lettered" || (rows !== "none" && isRefused(rows));
}

function storedRow({ id, fields, isDelete }: HandledRow, record: LogRecord, partition: number): SimRow {
	const version = { kafka_ts: record.timestamp, kafka_offset: record.offset, kafka_partition: partition };
	return { id, ...fields, ...version, deleted: isDelete };
}

/** Columns that the handler left out are NULL. */
function isSame(stored: Row | undefined, expected: Row): boolean {
	if (!stored) return false;
	return [...Object.keys(stored), ...Object.keys(expected)].every((column) => (stored[column] ?? null) === (expected[column] ?? null));
}

function letterName({ partition, offset, kafka_ts, key }: Row): string {
	return recordName(partition as number, { offset: offset as number, timestamp: kafka_ts as number, key: String(key ?? "") });
}

function describe({ offset, timestamp, key, value }: LogRecord): string {
	return `offset ${offset}, key ${key}, timestamp ${timestamp}, value ${value}`;
}

/** An order's name, of its lines too. */
function familyOf(id: string): string {
	return id.split("+", 1)[0] as string;
}
