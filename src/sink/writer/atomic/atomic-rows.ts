/**
 * Tables with `atomic: message`: the rows of one message land together or are refused together. They do not go through the lanes. Each
 * partition writes its messages in the log's order, as many in one transaction as a statement may have rows. A transaction that is refused
 * is halved until the message to blame stands alone. That message is set aside (atomic-aside.ts) or refused with all its rows.
 *
 *   queued -> in a transaction -> written | refused | aside
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import { partitionName, type TopicPartition } from "../../../core/messages/message.ts";
import type { RowBlock, TableLayout } from "../../../core/rows/rows.ts";
import type { SqlProblem } from "../../database/sql-faults.ts";
import type { WritingPlace } from "../lane.ts";
import type { Submission } from "../pending-blocks.ts";
import type { StuckSearch } from "../refused/row-isolation.ts";
import { isToBeSearched } from "../refused/row-search.ts";
import type { RowWriter } from "../row-writer.ts";
import type { RowFigures } from "../sql/pending-rows.ts";
import type { TogetherWriter } from "../together-writer.ts";
import { type SizeLimits, StatementSize } from "../tuning/statement-size.ts";
import type { Writing } from "../writing.ts";
import { AtomicAside, type AtomicAsideParts } from "./atomic-aside.ts";
import { type AtomicMessage, isDefinite, messagesIn, sizeOf } from "./atomic-run.ts";
import { AtomicTransactions, type NotWritten } from "./atomic-transactions.ts";

/** What it needs from the writer. */
export interface AtomicRowsParts extends Omit<AtomicAsideParts, "attempt" | "giveBack" | "place"> {
	/** Tables whose rows of one message are written together. */
	readonly tables: ReadonlySet<string>;
	/** By table. */
	readonly writings: ReadonlyMap<string, Writing>;
	readonly writers: ReadonlyMap<string, RowWriter>;
	readonly together: TogetherWriter;
	/** Something was written, or is out of the way. */
	readonly moved: () => void;
	readonly limits: SizeLimits & { readonly maxBytes: number };
}

interface Room {
	readonly partition: TopicPartition;
	/** Queued messages, in the log's order. */
	readonly queue: Set<AtomicMessage>;
	readonly places: ReadonlyMap<string, WritingPlace>;
	readonly size: StatementSize;
	readonly aside: AtomicAside;
	isWriting: boolean;
}

/** One attempt with the first messages. */
interface Attempt {
	readonly search: StuckSearch | null;
	/** True if slow messages may be set aside. */
	readonly isAgain: boolean;
	readonly stuck: (readonly [AtomicMessage, NotWritten])[];
	hasAnswered: boolean;
}

/** Maximum failing statements of one search. If this many messages fail alone and none succeeds, the messages are not to blame. */
const MOST_FAILURES = 24;
const ALONE_UNTIL_TABLE = 3;

/** Queues and writes the rows of tables with `atomic: message`. One per writer. */
export class AtomicRows {
	readonly #parts: AtomicRowsParts;
	readonly #layouts: ReadonlyMap<string, TableLayout>;
	readonly #rooms = new Map<string, Room>();
	readonly #transactions: AtomicTransactions;

	constructor(parts: AtomicRowsParts) {
		this.#parts = parts;
		this.#layouts = new Map([...parts.tables].map((table) => [table, (parts.writers.get(table) as RowWriter).layout]));
		this.#transactions = new AtomicTransactions({ ...parts, layouts: this.#layouts });
	}

	/** True if the table's rows come here. */
	takes(table: string): boolean {
		return this.#parts.tables.has(table);
	}

	/** The messages set aside, per partition. */
	get asides(): readonly AtomicAside[] {
		return [...this.#rooms.values()].map(({ aside }) => aside);
	}

	/** Rows and bytes that wait, and since when; `since` is monotonic. */
	get figures(): RowFigures {
		return sizeOf([...this.#rooms.values()].flatMap(({ queue, aside }) => [...waitedFor(queue), ...aside.messages]));
	}

	/** True while the queue has rows of this partition that somebody waits for. */
	holds(partition: TopicPartition): boolean {
		const room = this.#rooms.get(partitionName(partition));
		return room !== undefined && waitedFor(room.queue).length > 0;
	}

	/** The same for rows that are not stuck: a drain waits for these. */
	isMoving(partition: TopicPartition, isStuck: (place: WritingPlace) => boolean): boolean {
		const room = this.#rooms.get(partitionName(partition));
		if (!room) return false;
		return room.aside.isMoving || (this.holds(partition) && ![...room.places.values()].some(isStuck));
	}

	/** True while messages of this partition are set aside that others may be waiting for. */
	isStuck(partition: TopicPartition): boolean {
		return this.#rooms.get(partitionName(partition))?.aside.isInTheWay === true;
	}

	/** Takes a submission's rows of these tables. */
	write(submission: Submission, blocks: readonly RowBlock[]): void {
		const room = this.#roomOf(submission);
		this.#enqueue(room, messagesIn(submission, blocks, this.#layouts, this.#parts.clock.monotonic()));
	}

	#enqueue(room: Room, messages: readonly AtomicMessage[]): void {
		for (const message of messages) room.queue.add(message);
		if (!room.isWriting) void this.#work(room);
	}

	#roomOf({ topic, partition }: TopicPartition): Room {
		const name = partitionName({ topic, partition });
		const known = this.#rooms.get(name);
		if (known) return known;
		const { limits } = this.#parts;
		const size = new StatementSize(limits);
		const places = new Map([...this.#layouts].map(([table, layout]) => [table, { layout, statementSize: size, unsettled: null }]));
		const attempt = (run: readonly AtomicMessage[]) =>
			this.#transactions.run(run, { size, isSearch: true, settling: () => aside.remove(run) });
		const giveBack = (messages: readonly AtomicMessage[]) => this.#enqueue(room, messages);
		const aside = new AtomicAside({ ...this.#parts, attempt, giveBack, place: { topic, partition } });
		const room: Room = { partition: { topic, partition }, queue: new Set(), places, size, aside, isWriting: false };
		this.#rooms.set(name, room);
		return room;
	}

	/** Works until the queue is empty. */
	async #work(room: Room): Promise<void> {
		const { ended, moved } = this.#parts;
		room.isWriting = true;
		let failures = 0;
		let last: SqlProblem | null = null;
		/** If a search finds no message to blame, the next search comes after twice as many failures. */
		let threshold = 0;
		for (let run = this.#front(room); run.length > 0; run = this.#front(room)) {
			const isDue = last !== null && isToBeSearched(last, failures) && failures >= threshold;
			const search = isDue ? { failures: MOST_FAILURES, alone: 0, answered: 0 } : null;
			const attempt: Attempt = { search, isAgain: failures > 0, stuck: [], hasAnswered: false };
			const left = await this.#attempt(room, run, attempt);
			if (ended.aborted) return;
			const isTables = !this.#setAside(room, attempt, run.length);
			const not = isTables ? (attempt.stuck[0]?.[1] ?? left) : left;
			if (attempt.hasAnswered) failures = 0;
			if (search) threshold = isTables ? 2 * (failures + 1) : 0;
			last = not?.problem ?? null;
			moved();
			if (!not) this.#mended(room);
			else if (!(await this.#waitAfter(room, not, run, ++failures))) return;
		}
		this.#mended(room);
		room.isWriting = false;
		moved();
	}

	/** The first messages, as many as a statement may have, at least one. */
	#front({ queue, size }: Room): AtomicMessage[] {
		const run: AtomicMessage[] = [];
		let rows = 0;
		let bytes = 0;
		for (const message of queue) {
			if (message.owner.released) {
				queue.delete(message);
				continue;
			}
			rows += message.rows.length;
			bytes += message.bytes;
			if (run.length > 0 && (rows > size.rows || bytes > this.#parts.limits.maxBytes)) break;
			run.push(message);
		}
		return run;
	}

	/**
	 * Tries the messages. Null if each was written, refused or set aside; otherwise why the rest was not, for a reason that is no single
	 * message's fault.
	 */
	async #attempt(room: Room, run: AtomicMessage[], attempt: Attempt): Promise<NotWritten | null> {
		const { search } = attempt;
		const not = await this.#transactions.run(run, {
			size: room.size,
			isSearch: search !== null,
			settling: () => this.#leave(room, run, attempt),
		});
		const [only] = run;
		if (!not || !only || this.#parts.ended.aborted) return null;
		const { fault, mayBeOneRows, remedy } = not.problem;
		if (run.length > 1) {
			if (isDefinite(not.problem)) return await this.#halves(room, run, attempt);
			if (search && mayBeOneRows && --search.failures > 0) return await this.#halves(room, run, attempt);
			return not;
		}
		if (fault === "row" || fault === "order") {
			this.#leave(room, run, attempt);
			if (fault === "row") room.aside.refuse(only, await this.#named(only, not));
			else room.aside.add(only, not);
			return null;
		}
		if ((search && mayBeOneRows) || (attempt.isAgain && remedy === "smaller")) {
			if (search) search.alone++;
			attempt.stuck.push([only, not]);
			return null;
		}
		// One row can't conflict with itself: a trigger or a default found several rows of something.
		return fault === "split" ? { ...not, problem: { ...not.problem, fault: "systemic" } } : not;
	}

	async #named({ rows }: AtomicMessage, not: NotWritten): Promise<NotWritten> {
		const found = rows.find(({ table, row }) => table === not.table && row.id === not.id);
		const writer = this.#parts.writers.get(not.table);
		return found && writer ? { ...not, problem: await writer.named({ row: found.row, problem: not.problem }) } : not;
	}

	async #halves(room: Room, run: AtomicMessage[], attempt: Attempt): Promise<NotWritten | null> {
		const { search, stuck } = attempt;
		const middle = Math.ceil(run.length / 2);
		const first = await this.#attempt(room, run.slice(0, middle), attempt);
		if (first || this.#parts.ended.aborted) return first;
		const isTables = search !== null && !attempt.hasAnswered && search.alone >= ALONE_UNTIL_TABLE;
		if (search && stuck[0] && (search.failures <= 0 || isTables)) return stuck[0][1];
		return await this.#attempt(room, run.slice(middle), attempt);
	}

	/** Removes them from the queue. */
	#leave(room: Room, run: readonly AtomicMessage[], attempt: Attempt): void {
		attempt.hasAnswered = true;
		for (const message of run) room.queue.delete(message);
		for (const place of room.places.values()) this.#listener.progressed(place);
	}

	/** Sets messages aside that failed alone, so that the others can go on. False if the table is more likely to blame. */
	#setAside(room: Room, { stuck, hasAnswered }: Attempt, tried: number): boolean {
		const [first] = stuck;
		if (!first) return true;
		if (!hasAnswered && (tried > ALONE_UNTIL_TABLE || first[1].problem.fault === "systemic")) return false;
		for (const [message, not] of stuck) {
			room.queue.delete(message);
			room.aside.add(message, not);
		}
		return true;
	}

	async #waitAfter(room: Room, { problem, table }: NotWritten, run: readonly AtomicMessage[], failures: number): Promise<boolean> {
		if (problem.remedy === "smaller") room.size.failed(sizeOf(run).rows);
		const place = room.places.get(table) as WritingPlace;
		return await (this.#parts.writings.get(table) as Writing).waitAfter(problem, place, failures);
	}

	#mended({ places }: Room): void {
		for (const place of places.values()) this.#listener.mended(place);
	}

	get #listener() {
		return (this.#parts.writings.values().next().value as Writing).parts.listener;
	}
}

function waitedFor(messages: Iterable<AtomicMessage>): AtomicMessage[] {
	return [...messages].filter(({ owner }) => !owner.released);
}
