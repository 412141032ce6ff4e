/**
 * Stores dead letters in the table, durably, and tries for ever. Letters that wait together go in one statement. A redelivered message
 * updates its letter. A letter that is too large for the server is stored without the part that makes it so large.
 *
 * Beside a message's way (docs/architecture.md).
 */

import { EventEmitter } from "eventemitter3";
import type { Clock } from "../../core/clock.ts";
import { type DeadLetter, type DeadLetterEvents, type DeadLetterTarget, letterName } from "../../core/dead-letters/dead-letter.ts";
import { LetterTrial } from "../../core/dead-letters/letter-trial.ts";
import { contentBytes } from "../../core/dead-letters/omitted-parts.ts";
import { PocKaffeError } from "../../core/errors.ts";
import { DATABASE_RETRY, fullJitter } from "../../core/exponential-back-off.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { Random } from "../../core/random.ts";
import { lifetime } from "../../core/waiting/lifetime.ts";
import type { Database } from "../database/database.ts";
import { hintFor, problemOf, type SqlProblem } from "../database/sql-faults.ts";
import { OTHER_TABLE } from "../database/sqlstate-names.ts";
import { earlierKeyOf, prepareLetterTable, renewKeyStatement } from "./dead-letter-preparation.ts";
import {
	adoptStatement,
	type LetterTableForm,
	namelessQuery,
	storeParameters,
	storeStatement,
	usualForm,
} from "./dead-letter-statement.ts";

/** What storing letters needs. */
export interface DeadLetterTableParts {
	readonly database: Database;
	/** Name, `schema.table` or `table`. */
	readonly table: string;
	readonly consumerGroup: string;
	readonly version: string;
	readonly clock: Clock;
	readonly random: Random;
}

/** SQLSTATE: no unique constraint matches the `on conflict`. */
const NO_SUCH_KEY = "42P10";
/** Limits of one statement; a letter larger than this goes alone. */
const STATEMENT = { letters: 200, bytes: 4 * 2 ** 20 };
/** Time limit for a large letter's statement: no network and no disk is slower than `bytesPerMs`. */
const LARGE = { timeoutMs: 30_000, bytesPerMs: 2 ** 10 };
/**
 * Codes of server and client that may mean that something is too large, and may have other causes. A server that dies of it is included.
 */
const perhapsTooLarge = new Set([
	...["08P01", "25P04", "53200", "54000", "57014", "57P02", "XX000"],
	...["QUERY_DEADLINE", "CONNECTION_CLOSED", "CONNECTION_DESTROYED", "ECONNRESET", "EPIPE"],
]);
/** Codes of the client for a text or buffer that is too large. */
const certainlyTooLarge = new Set(["ERR_STRING_TOO_LONG", "ERR_BUFFER_TOO_LARGE", "ERR_OUT_OF_RANGE", "ERR_MEMORY_ALLOCATION_FAILED"]);

interface Waiting {
	/** How many statements with this letter failed. */
	failures: number;
	/** The server's last answer about this letter alone. */
	why: string;
	readonly trial: LetterTrial;
	readonly letter: DeadLetter;
	readonly signal: AbortSignal;
	readonly resolve: () => void;
	readonly reject: (reason: unknown) => void;
}

/** Stores letters in the table, and tries until they are durable. */
export class DeadLetterTable extends EventEmitter<DeadLetterEvents> implements DeadLetterTarget {
	readonly #parts: DeadLetterTableParts;
	#form: LetterTableForm = usualForm;
	/** True if the group has letters that were stored without a topic id. */
	#hasNameless = false;
	#statement: string;
	readonly #ended = lifetime();
	#waiting: Waiting[] = [];
	#storing = false;
	#blocked = false;

	constructor(parts: DeadLetterTableParts) {
		super();
		this.#parts = parts;
		this.#statement = storeStatement(parts.table, usualForm);
	}

	get blocked(): boolean {
		return this.#blocked;
	}

	isMoving({ topic, partition }: TopicPartition): boolean {
		const isIts = ({ letter, signal }: Waiting) => letter.topic === topic && letter.partition === partition && !signal.aborted;
		return this.#waiting.some((waiting) => isIts(waiting) && !isHeldUp(waiting));
	}

	/** Creates or updates the table. Rejects with the database's error. */
	async prepare(): Promise<void> {
		const { database, table } = this.#parts;
		this.#use(await prepareLetterTable(database, table));
		if (this.#form.key !== "own") return;
		const [row] = await database.query(namelessQuery(table), [this.#parts.consumerGroup]);
		this.#hasNameless = row?.found === true;
	}

	store(letter: DeadLetter, signal: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			this.#waiting.push({ failures: 0, why: "", trial: new LetterTrial(letter), letter, signal, resolve, reject });
			if (!this.#storing) void this.#storeWaiting();
		});
	}

	async dispose(): Promise<void> {
		this.#ended.abort(new Error("the dead letters were ended"));
	}

	#use(form: LetterTableForm): void {
		this.#form = form;
		this.#hasNameless = false;
		this.#statement = storeStatement(this.#parts.table, form);
	}

	async #storeWaiting(): Promise<void> {
		this.#storing = true;
		// Letters of one turn of the event loop go together.
		await Promise.resolve();
		for (let failures = 0; this.#dropAborted() && !this.#ended.signal.aborted; ) {
			const batch = distinct(nextBatch(this.#waiting));
			const inBatch = new Set(batch);
			const withoutBatch = () => this.#waiting.filter((waiting) => !inBatch.has(waiting));
			try {
				await this.#send(batch);
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

	async #send(batch: readonly Waiting[]): Promise<void> {
		const { database, table, clock } = this.#parts;
		const [first] = batch as [Waiting];
		const { trial, letter } = first;
		const isLarge = batch.length === 1 && trial.isLarge;
		// If the database answers nothing at all, that says nothing about the letter.
		if (isLarge && first.failures > 0) await database.query("select 1");
		const limits = isLarge ? { statementTimeoutMs: LARGE.timeoutMs + Math.ceil(contentBytes(letter) / LARGE.bytesPerMs) } : undefined;
		const letters = batch.map((each) => each.trial.next);
		try {
			const parameters = storeParameters(letters, this.#parts, clock.monotonic(), isLarge);
			if (this.#hasNameless) await database.query(adoptStatement(table), parameters.slice(0, 1));
			const stored = await database.query(this.#statement, parameters, limits);
			if (stored.length < batch.length) throw await this.#inTheWay(letter);
		} catch (error) {
			if (batch.length === 1) this.#refused(first, problemOf(error));
			throw error;
		}
		if (trial.isCut) this.emit("letter:cut", { letter: trial.next, why: first.why });
	}

	#refused(waiting: Waiting, { code, message }: SqlProblem): void {
		waiting.why = message;
		const isCertain = certainlyTooLarge.has(code);
		// Without the column `omitted` a letter without its value would look like a delete.
		if (this.#form.late.has("omitted") && (isCertain || perhapsTooLarge.has(code))) waiting.trial.tooLarge(isCertain);
		else waiting.trial.failed();
	}

	/** Rejects letters whose owner gave up. True while any letter is left. */
	#dropAborted(): boolean {
		for (const { signal, reject } of this.#waiting) if (signal.aborted) reject(signal.reason);
		this.#waiting = this.#waiting.filter(({ signal }) => !signal.aborted);
		this.#tellUnblocked();
		return this.#waiting.length > 0;
	}

	/** Reports that no letter is held up any more: they are stored, or their partitions belong to another member. */
	#tellUnblocked(): void {
		if (!this.#blocked || this.#waiting.some(isHeldUp)) return;
		this.#blocked = false;
		this.emit("target:unblocked");
	}

	async #wait(error: unknown, failures: number, batch: readonly Waiting[]): Promise<void> {
		const { clock, random, table } = this.#parts;
		const { code, message, hint } = this.#problem(error);
		if (!this.#blocked && this.#waiting.some(isHeldUp)) {
			this.#blocked = true;
			const [{ letter }] = batch as [Waiting];
			const which = batch.length === 1 ? ` (${partitionName(letter)} offset ${letter.offset})` : "";
			const remedy = hint ? `; ${hint}` : "";
			this.emit("target:blocked", { message: `dead letters can't be stored in ${table}: ${message}${which}${remedy}` });
		}
		if (OTHER_TABLE.includes(code)) await this.prepare().catch(() => {});
		// The table has the topic id's column, but still the earlier key.
		if (code === NO_SUCH_KEY) this.#use({ ...this.#form, key: this.#form.key === "own" ? "earlier" : "own" });
		await clock.sleep(fullJitter(failures, DATABASE_RETRY, random), this.#ended.signal).catch(() => {});
	}

	#problem(error: unknown): { readonly code: string; readonly message: string; readonly hint: string | null } {
		if (error instanceof LetterInTheWay) return error;
		const problem = problemOf(error);
		return { code: problem.code, message: problem.message, hint: hintFor(problem, this.#parts.table) };
	}

	/** An open letter, the only copy of another message, has this letter's place. */
	async #inTheWay({ topic, partition, offset }: DeadLetter): Promise<LetterInTheWay> {
		const { database, table } = this.#parts;
		const key = this.#form.key === "own" ? null : await earlierKeyOf(database, table).catch(() => null);
		const look = `pockaffe dead-letters replay --topic ${topic} --partition ${partition} --offset ${offset}`;
		const renew = key === null ? "" : `, or let the table's owner run: ${renewKeyStatement(table, key)}`;
		return new LetterInTheWay(`resolve that one first (${look}, or discard)${renew}`);
	}
}

class LetterInTheWay extends PocKaffeError {
	readonly hint: string;
	constructor(hint: string) {
		super("letter_in_the_way", "an open letter of another log of the topic is in its place");
		this.hint = hint;
	}
}

function isHeldUp({ failures }: Waiting): boolean {
	return failures >= 2;
}

/**
 * The first letters that fit into a statement. A letter that failed goes alone, so that it holds up no others if it can't be stored at all.
 */
function nextBatch(waiting: readonly Waiting[]): readonly Waiting[] {
	let bytes = 0;
	const end = waiting.findIndex(({ failures, letter }, index) => {
		bytes += contentBytes(letter) + (letter.stack?.length ?? 0) + letter.error.length;
		return index > 0 && (failures > 0 || waiting[0]?.failures !== 0 || index >= STATEMENT.letters || bytes > STATEMENT.bytes);
	});
	return end < 0 ? waiting : waiting.slice(0, end);
}

/** A statement has one letter per message; a later letter of the same message waits for the next. */
function distinct(waiting: readonly Waiting[]): Waiting[] {
	const seen = new Set<string>();
	return waiting.filter(({ letter }) => {
		const name = letterName(letter);
		return !seen.has(name) && seen.add(name);
	});
}
