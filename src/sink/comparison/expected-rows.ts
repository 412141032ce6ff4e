/**
 * The rows that a table must hold: the newest version of each id, folded from a log of any length in bounded memory. What does not fit is
 * written to sorted runs on disk, which are merged when the rows are read.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { ExitError, exitCodes, messageOf } from "../../core/errors.ts";
import type { TableLayout, VersionStrategy } from "../../core/rows/rows.ts";
import { readLines } from "../../core/text/lines.ts";
import type { UpsertRow } from "../writer/sql/row-parameters.ts";
import { compareVersions, type RowVersion } from "../writer/sql/row-version.ts";
import { type ChosenIds, everyId } from "./chosen-ids.ts";

/** A row of a message. `optional`: its message is a dead letter, so the row may or may not be there. */
export interface ExpectedRow extends UpsertRow, RowVersion {
	readonly optional: boolean;
}

/** The rows that may be stored for an id: the newest required row, after newer optional ones. Newest first, never empty. */
export type Candidates = readonly ExpectedRow[];

/** Candidates as JSON, with the fields in a fixed order: a line of a run. In memory it takes a third of what the objects take. */
type Packed = string;
type Fields = readonly [...Parameters<typeof rowOf>];

/** Rows are written to disk when memory holds about this many bytes, or ids. */
export interface MemoryLimit {
	readonly ids: number;
	readonly bytes: number;
}

const DEFAULT_LIMIT: MemoryLimit = { ids: 200_000, bytes: 32 * 1024 * 1024 };
/** Approximate memory of a row beside its texts: as an object, and packed as one text. */
const OVERHEAD_BYTES = { row: 400, packed: 100 };
/** Share of the limit that packed rows may take. */
const PACKED_SHARE = 0.75;
/** Characters written at a time: writing line by line would cost a turn of the event loop each. */
const WRITE_CHARACTERS = 65_536;

/** How rows are kept. */
export interface ExpectedRowsParts {
	readonly layout: TableLayout;
	/** Folder for the runs; its owner removes it. */
	readonly folder: string;
	/** Name of this table's files in the folder. */
	readonly name: string;
	/** Which ids are kept. Default: all. */
	readonly chosen?: ChosenIds;
	readonly limit?: MemoryLimit;
	/** Number of runs that are already in the folder. Default: 0. */
	readonly runs?: number;
}

/** Collects the newest row of each id in bounded memory, and gives them back sorted. */
export class ExpectedRows {
	readonly #strategy: VersionStrategy;
	readonly #folder: string;
	readonly #name: string;
	/** Which ids are kept. */
	readonly chosen: ChosenIds;
	readonly #limit: MemoryLimit;
	readonly #runs: string[] = [];
	#rows = new Map<string, Candidates | Packed>();
	#bytes = 0;

	constructor({ layout, folder, name, chosen = everyId, limit = DEFAULT_LIMIT, runs = 0 }: ExpectedRowsParts) {
		this.#strategy = layout.version;
		this.#folder = folder;
		this.#name = name;
		this.chosen = chosen;
		this.#limit = limit;
		for (let run = 0; run < runs; run++) this.#runs.push(this.#fileOf(run));
	}

	/** Runs written to disk so far. */
	get runs(): number {
		return this.#runs.length;
	}

	/** Adds a row; of equal versions the later one counts. */
	add(row: ExpectedRow): void {
		if (!this.chosen.admit(row.id)) return;
		const kept = this.#rows.get(row.id);
		const present = kept === undefined ? undefined : unpacked(kept);
		const isPlain = present?.length === 1 && !row.optional && !(present[0] as ExpectedRow).optional;
		if (isPlain && compareVersions(row, present[0] as ExpectedRow, this.#strategy) < 0) return;
		// A replaced row still counts: whatever is left of its batch keeps the whole batch's text in memory.
		this.#bytes += bytesOf(row);
		this.#rows.set(row.id, present && !isPlain ? this.#merge([row], present) : [row]);
	}

	/** Writes rows to disk if memory holds too much. Await it between two batches. Rejects (ExitError) if the disk fails. */
	async relieve(): Promise<void> {
		if (!this.#isTooMuch) return;
		this.#compact();
		// With less room for new rows, all rows would be packed again and again for a few new ones.
		if (this.#rows.size >= this.#limit.ids || this.#bytes >= this.#limit.bytes * PACKED_SHARE) await this.#spill();
	}

	/** Writes everything in memory to disk. Rejects (ExitError) if the disk fails. */
	async spill(): Promise<void> {
		if (this.#rows.size > 0) await this.#spill();
	}

	get #isTooMuch(): boolean {
		return this.#rows.size >= this.#limit.ids || this.#bytes >= this.#limit.bytes;
	}

	/** Packs the rows that are still wanted. A row as it came keeps its whole batch's text in memory. */
	#compact(): void {
		const rows = this.#rows;
		this.#rows = new Map();
		this.#bytes = 0;
		for (const [id, kept] of rows) {
			rows.delete(id);
			if (!this.chosen.has(id)) continue;
			const line = packed(kept);
			this.#rows.set(kept === line ? id : JSON.parse(JSON.stringify(id)), line);
			this.#bytes += line.length + OVERHEAD_BYTES.packed;
		}
	}

	/** All ids in the order of their UTF-8 bytes, each once. May be read several times; add no rows afterwards. */
	async *sorted(): AsyncGenerator<Candidates> {
		const sources = [...this.#runs.map(readRun), unpackedInOrder(this.#rows)];
		const heads = await Promise.all(sources.map((source) => next(source)));
		for (;;) {
			let least: string | null = null;
			for (const head of heads) if (head && (least === null || compareIdTexts(idOf(head), least) < 0)) least = idOf(head);
			if (least === null) return;
			let merged: Candidates | null = null;
			for (const [index, head] of heads.entries()) {
				if (!head || idOf(head) !== least) continue;
				// Later sources hold what was added later.
				merged = merged ? this.#merge(head, merged) : head;
				heads[index] = await next(sources[index] as AsyncIterator<Candidates> | Iterator<Candidates>);
			}
			if (this.chosen.has(least)) yield merged as Candidates;
		}
	}

	/** Merges two lists; `later` goes before `earlier` if versions are equal. Nothing is kept after the first row that is not optional. */
	#merge(later: Candidates, earlier: Candidates): Candidates {
		const all = [...later, ...earlier].sort((left, right) => compareVersions(right, left, this.#strategy));
		const last = all.findIndex(({ optional }) => !optional);
		return last < 0 ? all : all.slice(0, last + 1);
	}

	#fileOf(run: number): string {
		return join(this.#folder, `${this.#name}-${run}.run`);
	}

	async #spill(): Promise<void> {
		const file = this.#fileOf(this.#runs.length);
		this.#runs.push(file);
		// Rows may be added while these are written.
		const rows = this.#rows;
		this.#rows = new Map();
		this.#bytes = 0;
		try {
			await pipeline(linesOf(rows), createWriteStream(file, { flush: true }));
		} catch (cause) {
			const what = `what doesn't fit into memory can't be written to ${this.#folder}: ${messageOf(cause)}`;
			throw new ExitError(exitCodes.found, "spill", `${what} (TMPDIR names another place)`, { cause });
		}
	}
}

/** Compares by UTF-8 bytes, which is the order of code points: surrogates sort above the whole basic plane. */
export function compareIdTexts(left: string, right: string): number {
	const length = Math.min(left.length, right.length);
	for (let i = 0; i < length; i++) {
		const [a, b] = [left.charCodeAt(i), right.charCodeAt(i)];
		if (a !== b) return rank(a) - rank(b);
	}
	return left.length - right.length;
}

function rank(unit: number): number {
	if (unit < 0xd800) return unit;
	return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}

function bytesOf({ values }: ExpectedRow): number {
	return values.reduce((sum, value) => sum + (value?.length ?? 0), OVERHEAD_BYTES.row);
}

function packed(kept: Candidates | Packed): Packed {
	return typeof kept === "string" ? kept : JSON.stringify(kept.map(fieldsOf));
}

function unpacked(kept: Candidates | Packed): Candidates {
	return typeof kept === "string" ? (JSON.parse(kept) as Fields[]).map((fields) => rowOf(...fields)) : kept;
}

function fieldsOf({ id, isDelete, timestamp, offset, partition, topic, values, field, optional }: ExpectedRow): Fields {
	return [id, isDelete, timestamp, offset, partition, topic, values, field, optional];
}

function rowOf(
	id: string,
	isDelete: boolean,
	timestamp: number,
	offset: number,
	partition: number,
	topic: string,
	values: readonly (string | null)[],
	field: string | null,
	optional: boolean,
): ExpectedRow {
	return { id, isDelete, timestamp, offset, partition, topic, values, field, optional };
}

function idOf(candidates: Candidates): string {
	return (candidates[0] as ExpectedRow).id;
}

function* inOrder(rows: ReadonlyMap<string, Candidates | Packed>): Generator<Candidates | Packed> {
	for (const id of [...rows.keys()].sort(compareIdTexts)) yield rows.get(id) as Candidates | Packed;
}

function* unpackedInOrder(rows: ReadonlyMap<string, Candidates | Packed>): Generator<Candidates> {
	for (const kept of inOrder(rows)) yield unpacked(kept);
}

function* linesOf(rows: ReadonlyMap<string, Candidates | Packed>): Generator<string> {
	let lines = "";
	for (const kept of inOrder(rows)) {
		lines += `${packed(kept)}\n`;
		if (lines.length < WRITE_CHARACTERS) continue;
		yield lines;
		lines = "";
	}
	if (lines !== "") yield lines;
}

async function* readRun(file: string): AsyncGenerator<Candidates> {
	for await (const line of readLines(createReadStream(file))) yield unpacked(line);
}

async function next(source: AsyncIterator<Candidates> | Iterator<Candidates>): Promise<Candidates | null> {
	const { done, value } = await source.next();
	return done ? null : value;
}
