/**
 * Gathers what the handler made of a run of messages into one BatchOutcome. Takes every kind of outcome of the contract; for anything else
 * it throws an error that says what was returned. A message whose outcome is bad leaves nothing behind.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import type { RowBlock, RowFault, TableLayout } from "../../core/rows/rows.ts";
import type { BatchOutcome } from "../thread/handler-thread.ts";
import { getPrototypeOf, hasOwn, isArray, jsonOf, listsInheritIndexes } from "./built-ins.ts";
import { BadOutcomeError, kindOf } from "./rows/bad-outcome.ts";
import { KnownValues } from "./rows/known-values.ts";
import { RecordPacker } from "./rows/record-packer.ts";
import { type EncodedRow, fieldsOf, ROW_OVERHEAD, RowEncoder } from "./rows/row-encoder.ts";
import type { RunPositions } from "./rows/row-packer.ts";

/** How strictly rows are read. `lenient` ignores fields that no column takes, with a warning (pockaffe:json). */
export interface CollectorOptions {
	readonly tables: readonly TableLayout[];
	readonly maxOutcomeBytes: number;
	readonly lenient: boolean;
	/** Number of the writer's lanes; default 1. */
	readonly lanes?: number;
	/** Topics that the handler may produce to; null (default): any. */
	readonly produces?: readonly string[] | null;
	/** True (default): records are kept. False: they are only checked. */
	readonly keepsRecords?: boolean;
}

/** A point of a run that can be rolled back to. */
export interface CollectorMark {
	readonly lengths: readonly number[];
	readonly faults: number;
	readonly rejected: number;
	readonly rows: number;
	readonly records: ReadonlyMap<string, number> | null;
	readonly onlyRecords: number;
	readonly counts: BatchOutcome["counts"];
}

/** Maximum characters of a reason: it is for people, and is written to the dead letter and the log. */
const LONGEST_REASON = 8_000;

const rowKeys: ReadonlySet<string> = new Set(["id", "fields", "table", "delete", "produce"]);

const noRecords: ReadonlyMap<string, number> = new Map();
const noCounts = { row: 0, delete: 0, none: 0, rejected: 0 };

/** Collects the outcomes of a run. For each run: `begin`, `add` for each message, `take` now and then. */
export class OutcomeCollector {
	readonly #encoders: ReadonlyMap<string, RowEncoder>;
	/** The encoder for rows that name no table; null unless exactly one table is configured. */
	readonly #only: RowEncoder | null;
	readonly #options: CollectorOptions;
	readonly #known: KnownValues;
	readonly #records: RecordPacker;
	readonly #warned = new Set<string>();
	#positions: RunPositions = { from: 0, offsets: [], timestamps: [] };
	/** Index of the first message that `take` did not return yet. */
	#from = 0;
	#faults: { message: number; fault: RowFault }[] = [];
	#rejected: { message: number; why: string }[] = [];
	#counts = { ...noCounts };
	#durations: number[] = [];
	#warnings: string[] = [];
	#rows = 0;
	/** Number of messages with records but no row. */
	#onlyRecords = 0;
	#bytes = 0;
	/** Bytes so far of the message whose outcome is being added. */
	#messageBytes = 0;
	#messageDeletes = 0;
	#messageRecords = 0;

	constructor(options: CollectorOptions) {
		this.#options = options;
		this.#known = new KnownValues(options.tables);
		this.#encoders = new Map(options.tables.map((layout) => [layout.name, new RowEncoder(layout, options.lanes)]));
		const { produces = null, keepsRecords = true } = options;
		this.#records = new RecordPacker({ topics: produces, keeps: keepsRecords });
		const [only] = this.#encoders.values();
		this.#only = only && this.#encoders.size === 1 ? only : null;
	}

	/** Begins a run, and drops what an unfinished one left. */
	begin(positions: RunPositions): void {
		this.#positions = positions;
		this.#from = positions.from;
		for (const encoder of this.#encoders.values()) encoder.rollBack(0);
		this.#records.take();
		this.#reset();
	}

	#reset(): void {
		this.#faults = [];
		this.#rejected = [];
		this.#counts = { ...noCounts };
		this.#durations = [];
		this.#warnings = [];
		this.#rows = 0;
		this.#onlyRecords = 0;
		this.#bytes = 0;
	}

	/** Approximate bytes of the rows added since the run began or the last `take`. */
	get bytes(): number {
		return this.#bytes;
	}

	/** Marks the current point, to roll back to if the next message fails. */
	mark(): CollectorMark {
		const lengths = [...this.#encoders.values()].map(({ length }) => length);
		const records = this.#records.count === 0 ? null : this.#records.mark();
		const counts = { ...this.#counts };
		const [faults, rejected] = [this.#faults.length, this.#rejected.length];
		return { lengths, faults, rejected, rows: this.#rows, records, onlyRecords: this.#onlyRecords, counts };
	}

	/** Removes everything added since the mark. */
	rollBack({ lengths, faults, rejected, rows, records, onlyRecords, counts }: CollectorMark): void {
		for (const [index, encoder] of [...this.#encoders.values()].entries()) encoder.rollBack(lengths[index] as number);
		this.#faults.length = faults;
		this.#rejected.length = rejected;
		this.#rows = rows;
		this.#records.rollBack(records ?? noRecords);
		this.#onlyRecords = onlyRecords;
		this.#counts = { ...counts };
	}

	/** Adds a warning, which is logged once. */
	warn(warning: string): void {
		this.#warnings.push(warning);
	}

	/** Notes the duration of a call of the handler. */
	timed(durationMs: number): void {
		this.#durations.push(durationMs);
	}

	/** Adds the outcome of a message. Throws BadOutcomeError (or what a getter throws) without a trace of the message. */
	add(message: number, outcome: unknown): void {
		if (outcome === undefined || outcome === null) {
			this.#counts.none++;
			return;
		}
		const rows = this.#rows;
		try {
			this.#addOutcome(message, outcome);
		} catch (error) {
			this.#rows = rows;
			for (const encoder of this.#encoders.values()) encoder.drop(message);
			if (this.#records.count > 0) this.#records.drop(message);
			while (this.#faults.at(-1)?.message === message) this.#faults.pop();
			throw error;
		}
	}

	/** Counts a row of `bytes` bytes that was read without the handler; `take` gets its block. */
	addRead(bytes: number, isDelete: boolean): void {
		if (isDelete) this.#counts.delete++;
		else this.#counts.row++;
		this.#rows++;
		this.#bytes += bytes;
	}

	/** True if a warning about unknown fields of this table was given already. */
	hasWarned(table: string): boolean {
		return this.#warned.has(table);
	}

	/**
	 * Returns what was added since the run began or the last `take`: messages up to `to` (excluded), or only those that `over` names. `read`:
	 * blocks of rows that were read without the handler.
	 */
	take(to: number, over: Pick<BatchOutcome, "handled" | "finished"> = {}, read: readonly RowBlock[] = []): BatchOutcome {
		if (listsInheritIndexes()) throw new Error("a handler gave all lists an index to inherit: what they hold can't be relied on");
		if (this.#known.changed) throw new Error("a handler changed built-ins: known values no longer give the same rows");
		const records = this.#records.take();
		const outcome: BatchOutcome = {
			from: over.handled?.[0] ?? this.#from,
			to,
			...over,
			blocks: [...read, ...[...this.#encoders.values()].flatMap((encoder) => encoder.take(this.#positions))],
			rows: this.#rows,
			faults: this.#faults,
			rejected: this.#rejected,
			counts: this.#counts,
			durationsMs: Float64Array.from(this.#durations),
			warnings: this.#warnings,
			...(this.#records.leftOut ? { recordsLeftOut: true } : {}),
			...(records || this.#onlyRecords > 0 ? { records: { blocks: [], count: 0, ...records, only: this.#onlyRecords } } : {}),
		};
		this.#from = to;
		this.#reset();
		return outcome;
	}

	#addOutcome(message: number, outcome: unknown): void {
		this.#messageBytes = 0;
		this.#messageDeletes = 0;
		this.#messageRecords = 0;
		if (isArray(outcome)) {
			this.#count(this.#addRows(message, outcome));
			return;
		}
		const { reject } = outcome as { reject?: unknown };
		if (reject !== undefined && hasOwn(outcome as object, "reject")) {
			if (typeof reject !== "string") throw new BadOutcomeError(`reject must be a string that says why, not ${kindOf(reject)}`);
			if (hasOwn(outcome as object, "produce")) throw new BadOutcomeError("a rejected message produces nothing: reject or produce");
			const why = reject.length > LONGEST_REASON ? `${reject.slice(0, LONGEST_REASON)}…` : reject;
			this.#rejected.push({ message, why: why.replaceAll("\0", "") });
			this.#counts.rejected++;
			return;
		}
		this.#count(this.#addRow(message, outcome));
	}

	/** Reads by index, with a length that is read once and limited to what an outcome may hold: a list with holes could go on without end. */
	#addRows(message: number, rows: readonly unknown[]): number {
		const { length } = rows;
		const { maxOutcomeBytes } = this.#options;
		if (length * ROW_OVERHEAD > maxOutcomeBytes)
			throw new BadOutcomeError(`a list of ${length} rows is more than handler.maxOutcomeBytes (${maxOutcomeBytes}) can be`);
		let count = 0;
		for (let i = 0; i < length; i++) count += this.#addRow(message, rows[i]);
		return count;
	}

	/** Counts a message by how many rows it gave. */
	#count(rows: number): void {
		const bytes = this.#messageBytes;
		const { maxOutcomeBytes } = this.#options;
		if (bytes > maxOutcomeBytes)
			throw new BadOutcomeError(`the outcome has ${bytes} bytes, more than handler.maxOutcomeBytes (${maxOutcomeBytes})`);
		this.#bytes += bytes;
		if (rows === 0 && this.#messageRecords > 0) this.#onlyRecords++;
		else if (rows === 0) this.#counts.none++;
		else if (this.#messageDeletes > 0) this.#counts.delete++;
		else this.#counts.row++;
	}

	/** Returns the number of rows: 0 if the outcome has records alone. */
	#addRow(message: number, row: unknown): 0 | 1 {
		if (typeof row !== "object" || row === null || isArray(row)) throw notARow(row);
		for (const name in row) {
			if (!rowKeys.has(name) && hasOwn(row, name) && (row as Record<string, unknown>)[name] !== undefined)
				throw hasOwn(row, "id") ? new BadOutcomeError(`a row has id, fields, table, delete and produce, but no ${name}`) : notARow(row);
		}
		let { fields, table, delete: isDelete, produce } = row as Record<string, unknown>;
		if (produce !== undefined && hasOwn(row, "produce")) {
			this.#produce(message, produce);
			if (!hasOwn(row, "id")) {
				if (hasOwn(row, "fields") || hasOwn(row, "table") || hasOwn(row, "delete"))
					throw new BadOutcomeError("a row must have an id; records alone are {produce: […]}");
				// The row inherits its id from its class. If this counted as records alone, the row would be lost silently.
				if ("id" in row && !("id" in nothing)) throw notARow(row);
				return 0;
			}
		}
		if (!("id" in row)) throw notARow(row);
		const { id } = row as { id: unknown };
		if (mayInherit(row)) {
			// Inherited properties do not count: one careless merge of a message into Object.prototype must not decide about other messages.
			if (!hasOwn(row, "id")) throw notARow(row);
			if (!hasOwn(row, "fields")) fields = undefined;
			if (!hasOwn(row, "table")) table = undefined;
			if (!hasOwn(row, "delete")) isDelete = undefined;
		}
		if (isDelete !== undefined && typeof isDelete !== "boolean") throw new BadOutcomeError(`delete must be true, not ${kindOf(isDelete)}`);
		const encoder = this.#encoderOf(table);
		const encoded = isDelete
			? encoder.remove(message, id, fieldsOf(fields, false, encoder.known))
			: this.#upsert(encoder, message, id, fields);
		if (isDelete === true) this.#messageDeletes++;
		if ("bytes" in encoded) {
			this.#rows++;
			this.#messageBytes += encoded.bytes;
		} else this.#faults.push({ message, fault: encoded.fault });
		return 1;
	}

	#produce(message: number, produce: unknown): void {
		const { from, timestamps } = this.#positions;
		const timestamp = timestamps[message - from] ?? -1;
		const added = this.#records.add(message, produce, this.#messageRecords, timestamp, this.#options.maxOutcomeBytes);
		this.#messageRecords += added.count;
		this.#messageBytes += added.bytes;
	}

	#upsert(encoder: RowEncoder, message: number, id: unknown, fields: unknown): EncodedRow {
		const checked = fieldsOf(fields, true, encoder.known);
		for (const name in checked) {
			if (encoder.known.has(name) || !hasOwn(checked, name)) continue;
			const what = `${encoder.layout.name} has no column for the field ${jsonOf(name.slice(0, 80))}`;
			if (!this.#options.lenient) throw new BadOutcomeError(`${what}${encoder.nearest(name)}`);
			this.#warnOnce(encoder.layout.name, `${what} (and maybe others): ignored`);
		}
		return encoder.upsert(message, id, checked);
	}

	#warnOnce(table: string, warning: string): void {
		if (this.#warned.has(table)) return;
		this.#warned.add(table);
		this.#warnings.push(warning);
	}

	#encoderOf(table: unknown): RowEncoder {
		if (table === undefined && this.#only) return this.#only;
		const names = [...this.#encoders.keys()];
		if (table === undefined) {
			throw new BadOutcomeError(names.length === 0 ? "no table is configured for rows" : `a row must name its table: ${names.join(", ")}`);
		}
		const encoder = typeof table === "string" ? this.#encoders.get(table) : undefined;
		if (encoder) return encoder;
		const what = typeof table === "string" ? jsonOf(table.slice(0, 80)) : kindOf(table);
		throw new BadOutcomeError(`${what} is no configured table (${names.join(", ") || "there is none"})`);
	}
}

function notARow(what: unknown): BadOutcomeError {
	return new BadOutcomeError(
		`an outcome is nothing, {id, fields}, {id, delete: true}, {reject}, {produce} or a list of rows, not ${kindOf(what)}`,
	);
}

const nothing: Readonly<Record<string, unknown>> = {};

/**
 * False for a plain object while Object.prototype has none of a row's names. Checked for each row, and still cheaper than checking each
 * name.
 */
function mayInherit(row: object): boolean {
	const prototype: unknown = getPrototypeOf(row);
	if (prototype !== Object.prototype) return prototype !== null;
	return nothing.id !== undefined || nothing.fields !== undefined || nothing.table !== undefined || nothing.delete !== undefined;
}
