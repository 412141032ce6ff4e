/**
 * Messages of one partition whose rows must be written together but can't be written yet: other rows are in the way, a parent comes from
 * another partition, or only these messages meet a lock or a trigger. Each is tried again in a transaction of its own, with growing pauses.
 * A message that can never be written is refused with all its rows. What each message waits for is reported while it lasts.
 *
 *    waiting (growing pause) -> tried -> written | refused | waiting
 *
 * Step 8 of a message's way (docs/architecture.md).
 */

import type { Clock } from "../../../core/clock.ts";
import { DATABASE_RETRY, fullJitter } from "../../../core/exponential-back-off.ts";
import type { TopicPartition } from "../../../core/messages/message.ts";
import type { Random } from "../../../core/random.ts";
import { refusedTogether } from "../../../core/rows/rows.ts";
import type { AwaitedFact, StuckFact } from "../../../core/rows/waiting-rows.ts";
import { hintFor } from "../../database/sql-faults.ts";
import { LOCKED, MISSING_PARENT } from "../../database/sqlstate-names.ts";
import { stillRefused, withoutParent } from "../refused/refusal-words.ts";
import { withHolders } from "../refused/row-search.ts";
import type { RowWriter } from "../row-writer.ts";
import type { Writing } from "../writing.ts";
import { type AtomicMessage, isDefinite } from "./atomic-run.ts";
import type { NotWritten } from "./atomic-transactions.ts";

/** What it needs. */
export interface AtomicAsideParts {
	readonly place: TopicPartition;
	/** By table. */
	readonly writings: ReadonlyMap<string, Writing>;
	readonly writers: ReadonlyMap<string, RowWriter>;
	/** By table, how long rows wait for a parent from another partition or topic, ms. */
	readonly waits: ReadonlyMap<string, number>;
	/** Tries to write messages together; null if they were written. */
	readonly attempt: (run: readonly AtomicMessage[]) => Promise<NotWritten | null>;
	/** Takes messages back that met a problem which is not theirs: they wait with all others until it is over. */
	readonly giveBack: (messages: readonly AtomicMessage[]) => void;
	/**
	 * True while other rows of the partition that had arrived by then (monotonic time) are under way or wait: the message may be waiting for
	 * those.
	 */
	readonly isElsewhere: (partition: TopicPartition, cameBy: number) => boolean;
	/** Called after each attempt. */
	readonly tried: () => void;
	readonly limits: { readonly maxRows: number };
	readonly clock: Clock;
	readonly random: Random;
	readonly ended: AbortSignal;
}

interface Waiting {
	readonly not: NotWritten;
	/** True if it failed again since: worth reporting. */
	readonly isConfirmed: boolean;
}

/** Maximum failing transactions per attempt, because each may wait for a lock; also maximum messages whose time is over. */
const MOST_FAILURES = 24;
const MOST_OVER = 200;
/** Maximum share of the time for attempts that change nothing, because they may keep a connection waiting. */
const MOST_OF_TIME = 0.25;

/** Messages of one partition that can't be written yet, tried again one by one. */
export class AtomicAside {
	readonly #parts: AtomicAsideParts;
	readonly #waiting = new Map<AtomicMessage, Waiting>();
	/** When each message's wait began: monotonic and wall clock. */
	readonly #began = new WeakMap<AtomicMessage, { readonly at: number; readonly sinceMs: number }>();
	#isTrying = false;

	constructor(parts: AtomicAsideParts) {
		this.#parts = parts;
	}

	/** The messages that a partition waits for. */
	get messages(): AtomicMessage[] {
		for (const message of this.#waiting.keys()) if (message.owner.released) this.#waiting.delete(message);
		return [...this.#waiting.keys()];
	}

	/** True while one of them may still be written, which may change why others of the partition are refused. */
	get isInTheWay(): boolean {
		return this.messages.some((message) => this.#mayBeWritten(message));
	}

	/** True while one of them has nothing left to wait for: its next attempt writes or refuses it. */
	get isMoving(): boolean {
		return this.messages.some((message) => this.#isBehind(message) && !this.#mayOthersBeWritten(message));
	}

	/** Facts to report about messages that are stuck by themselves. */
	get stuckFacts(): StuckFact[] {
		return this.#byTable(({ not, isConfirmed }) => isConfirmed && not.problem.fault !== "order").map(
			({ first, waiting, rows, sinceMs }) => {
				const { problem, table, id } = waiting.not;
				const { code: sqlstate, message } = problem;
				return { ...this.#parts.place, table, id, offset: first.offset, rows, sqlstate, message, hint: hintFor(problem, table), sinceMs };
			},
		);
	}

	/** Facts to report about messages that wait for a parent. */
	get awaitedFacts(): AwaitedFact[] {
		return this.#byTable((waiting) => this.#isAwaiting(waiting)).map(({ first, waiting, rows, sinceMs }) => {
			const { problem, table, id } = waiting.not;
			const waitMs = this.#parts.waits.get(table) as number;
			return { ...this.#parts.place, table, id, offset: first.offset, rows, constraint: problem.constraint, waitMs, sinceMs };
		});
	}

	/** Takes a message that could not be written. */
	add(message: AtomicMessage, not: NotWritten): void {
		const { clock } = this.#parts;
		this.#waiting.set(message, { not, isConfirmed: this.#began.has(message) });
		if (!this.#began.has(message)) this.#began.set(message, { at: clock.monotonic(), sinceMs: clock.now() });
		if (!this.#isTrying) void this.#keepTrying();
	}

	/** These messages were written. */
	remove(messages: readonly AtomicMessage[]): void {
		for (const message of messages) this.#waiting.delete(message);
	}

	/** Refuses all rows of the message: the one that can't be written, and the others with it. */
	refuse(message: AtomicMessage, { problem, table, id }: NotWritten): void {
		this.#waiting.delete(message);
		const isToBlame = (each: AtomicMessage["rows"][number]) => each.table === table && each.row.id === id;
		const blamed = message.rows.find(isToBlame) ?? message.rows[0];
		const others = message.rows.filter((each) => each !== blamed);
		for (const each of blamed ? [blamed, ...others] : others) {
			each.row.superseded = null;
			const { sqlstate: code, message: words } = refusedTogether({ table }, each.table, each.row.id);
			const why = each === blamed ? problem : { ...problem, code, message: words };
			this.#parts.writers.get(each.table)?.refuse([{ row: each.row, problem: why }], "linger");
		}
	}

	async #keepTrying(): Promise<void> {
		const { clock, random, ended, tried } = this.#parts;
		this.#isTrying = true;
		let tookMs = 0;
		for (let failures = 0; this.messages.length > 0; failures++) {
			const pauseMs = Math.max(fullJitter(failures, DATABASE_RETRY, random), tookMs / MOST_OF_TIME - tookMs);
			await clock.sleep(Math.min(pauseMs, this.#untilOverMs()), ended).catch(() => {});
			if (ended.aborted) return;
			const startedAt = clock.monotonic();
			const hasMoved = await this.#tryThem();
			if (ended.aborted) return;
			if (hasMoved) failures = 0;
			tookMs = hasMoved ? 0 : clock.monotonic() - startedAt;
			tried();
		}
		this.#isTrying = false;
	}

	/**
	 * Tries the messages whose time is over; otherwise those that only others keep from being written, and some of the rest. If that wrote
	 * none, and nothing else can help, refuses the first of those that only others keep from being written. True if a message was written or
	 * refused.
	 */
	async #tryThem(): Promise<boolean> {
		const before = this.messages;
		const over = before.filter((message) => this.#leftOf(message) <= 0).slice(0, MOST_OVER);
		const behind = before.filter((message) => this.#isBehind(message)).sort(byOffset);
		const budget = { failures: over.length > 0 ? Number.POSITIVE_INFINITY : MOST_FAILURES };
		const [first] = behind;
		const mayChange = first === undefined || this.#mayOthersBeWritten(first);
		await this.#tryRun(over.length > 0 ? over.sort(byOffset) : this.#front(behind), budget);
		const isTried = over.length === 0 && budget.failures < MOST_FAILURES;
		const ofBehind = new Set(behind);
		const others = before.filter((message) => this.#waiting.has(message) && !ofBehind.has(message));
		if (over.length === 0 && !this.#parts.ended.aborted) await this.#tryRun(this.#front(others).sort(byOffset), budget);
		if (this.#parts.ended.aborted) return false;
		const hasMoved = before.some((message) => !this.#waiting.has(message));
		if (hasMoved || !first || mayChange || !isTried || !this.#isBehind(first) || this.#mayOthersBeWritten(first)) return hasMoved;
		this.#refuseAsIs(first);
		return true;
	}

	/** The first messages, with as many rows as a statement may have, at least one. */
	#front(messages: readonly AtomicMessage[]): AtomicMessage[] {
		const front: AtomicMessage[] = [];
		let rows = 0;
		for (const message of messages) {
			rows += message.rows.length;
			if (front.length > 0 && rows > this.#parts.limits.maxRows) break;
			front.push(message);
		}
		return front;
	}

	/** Tries the messages together, and in halves if that fails, within the budget. A message found to fail comes last the next time. */
	async #tryRun(run: readonly AtomicMessage[], budget: { failures: number }): Promise<void> {
		const [first] = run;
		const known = first && this.#waiting.get(first);
		if (!first || !known || budget.failures <= 0) return;
		const not = await this.#attempt(run, known);
		if (!not || this.#parts.ended.aborted) return;
		if (!isDefinite(not.problem) && !not.problem.mayBeOneRows && not.problem.remedy !== "smaller") {
			budget.failures = 0;
			this.remove(run);
			this.#parts.giveBack(run);
			return;
		}
		budget.failures--;
		if (run.length === 1) return this.#judge(first, known, not);
		const middle = Math.ceil(run.length / 2);
		await this.#tryRun(run.slice(0, middle), budget);
		if (!this.#parts.ended.aborted) await this.#tryRun(run.slice(middle), budget);
	}

	async #attempt(run: readonly AtomicMessage[], { not: { problem, table } }: Waiting): Promise<NotWritten | null> {
		const writing = this.#parts.writings.get(table) as Writing;
		const isLocked = problem.code === LOCKED && run.length === 1;
		const [not, holders] = await Promise.all([this.#parts.attempt(run), isLocked ? writing.holders() : []]);
		return not && { ...not, problem: withHolders(not.problem, holders, not.table) };
	}

	/** Refuses the message, or lets it wait, after the others for its next turn. */
	#judge(message: AtomicMessage, known: Waiting, not: NotWritten): void {
		this.#waiting.delete(message);
		this.#waiting.set(message, { ...known, not, isConfirmed: true });
		if (not.problem.fault === "row" || this.#leftOf(message) <= 0) this.#refuseAsIs(message);
	}

	#refuseAsIs(message: AtomicMessage): void {
		const { not } = this.#waiting.get(message) as Waiting;
		this.refuse(message, { ...not, problem: { ...not.problem, message: this.#refusalOf(not) } });
	}

	#refusalOf({ problem, table }: NotWritten): string {
		const waitMs = this.#parts.waits.get(table);
		if (problem.fault === "row") return problem.message;
		if (problem.code === MISSING_PARENT && waitMs !== undefined) return withoutParent(problem.message, waitMs);
		return stillRefused(problem.message);
	}

	/** True if it waits for something that may pass, or for a parent that still has time. */
	#mayBeWritten(message: AtomicMessage): boolean {
		const waiting = this.#waiting.get(message);
		if (!waiting) return false;
		const { fault } = waiting.not.problem;
		return fault === "order" ? this.#isAwaiting(waiting) && this.#leftOf(message) > 0 : fault !== "row";
	}

	/** True if only other rows are in its way, and it waits for no parent from elsewhere. */
	#isBehind(message: AtomicMessage): boolean {
		const waiting = this.#waiting.get(message);
		return waiting?.not.problem.fault === "order" && !this.#isAwaiting(waiting);
	}

	/** True if other rows of its partition may still be written. */
	#mayOthersBeWritten(message: AtomicMessage): boolean {
		const { place, isElsewhere } = this.#parts;
		return this.messages.some((each) => each !== message && this.#mayBeWritten(each)) || isElsewhere(place, message.since);
	}

	#isAwaiting({ not: { problem, table } }: Waiting): boolean {
		return problem.code === MISSING_PARENT && this.#parts.waits.has(table);
	}

	/** How much longer it may wait for its parent, ms; infinite if it waits for none. */
	#leftOf(message: AtomicMessage): number {
		const waiting = this.#waiting.get(message);
		const began = this.#began.get(message);
		if (!waiting || !began || !this.#isAwaiting(waiting)) return Number.POSITIVE_INFINITY;
		return began.at + (this.#parts.waits.get(waiting.not.table) as number) - this.#parts.clock.monotonic();
	}

	#untilOverMs(): number {
		let untilMs = Number.POSITIVE_INFINITY;
		for (const message of this.messages) untilMs = Math.min(untilMs, this.#leftOf(message));
		return Math.max(0, untilMs);
	}

	/** The matching messages by table: the first in the log, their number of rows, and since when the oldest waits. */
	#byTable(isMeant: (waiting: Waiting) => boolean) {
		const found = new Map<string, { first: AtomicMessage; waiting: Waiting; rows: number; sinceMs: number }>();
		for (const message of this.messages.sort(byOffset)) {
			const waiting = this.#waiting.get(message) as Waiting;
			if (!isMeant(waiting)) continue;
			const { table } = waiting.not;
			const began = this.#began.get(message)?.sinceMs ?? 0;
			const present = found.get(table) ?? { first: message, waiting, rows: 0, sinceMs: began };
			const sinceMs = Math.min(present.sinceMs, began);
			found.set(table, { ...present, rows: present.rows + message.rows.length, sinceMs });
		}
		return [...found.values()];
	}
}

function byOffset(left: AtomicMessage, right: AtomicMessage): number {
	return left.offset - right.offset;
}
