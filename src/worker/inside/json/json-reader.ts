/**
 * `pockaffe:json` without an object per message: from a message's bytes to the texts of its row. Messages that need a closer look (escapes
 * in names, duplicate names, anything that makes no row) are left to json-handler.ts, which reads any message and explains what is wrong.
 * Both give the same result (test/unit/thread/json-reader.test.ts).
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import { isUtf8 } from "node:buffer";
import type { PackedBatch } from "../../../core/messages/packed-batch.ts";
import { columnTypeOf, ordinaryTypes } from "../../../core/rows/column-type.ts";
import { collides, usualSeparators } from "../../../core/rows/joined-texts.ts";
import type { RowBlock, TableLayout } from "../../../core/rows/rows.ts";
import { canonicalId, canonicalVersion } from "../rows/canonical-values.ts";
import { encoderOf, isIntegerType, type ValueEncoder } from "../rows/column-values.ts";
import { RowPacker, type RunPositions } from "../rows/row-packer.ts";
import { CONTAINER, ESCAPED_STRING, JsonScanner, LITERAL, MISSING, NULL, STRING } from "./json-scanner.ts";
import { parseJson } from "./parse-json.ts";
import { ScannedRows } from "./scanned-rows.ts";

/**
 * What a column takes. `scalar`: a string's text, or a number as it is written. `json`: the value's JSON. `other`: a scalar's text, or the
 * JSON of lists and objects. `integer`: like scalar, digits only. `made`: the column's encoder has to convert the value.
 */
type Taking = "scalar" | "integer" | "json" | "other" | "made";

interface Column {
	readonly slot: number;
	readonly taking: Taking;
	readonly isOptional: boolean;
	readonly encode: ValueEncoder;
}

/** What a reader is built with. */
export interface JsonReaderOptions {
	readonly layout: TableLayout;
	/** Number of the writer's lanes. */
	readonly lanes: number;
	/** The id's path in the object; null: the message's key is the id. */
	readonly idPath: readonly string[] | null;
	/** Maximum bytes of one row. */
	readonly maxBytes: number;
}

const [POINT, SMALL_E, LARGE_E] = [0x2e, 0x65, 0x45];
/** First bytes of numbers are below this, those of true, false and null are not. */
const FIRST_LETTER = 0x61;
/** A key's bytes below this may be the separators that join texts. */
const FIRST_PRINTABLE = 0x20;

const nothing = new Uint8Array(0);

/** Makes rows from the bytes of `pockaffe:json` messages. For each run: `begin`, `read` for each message, `take` now and then, `end`. */
export class JsonReader {
	readonly #layout: TableLayout;
	readonly #maxBytes: number;
	readonly #columns: readonly Column[];
	/** The scanner's slot of the id; null: the message's key is the id. */
	readonly #idSlot: number | null;
	readonly #scanner: JsonScanner;
	readonly #rows: ScannedRows;
	readonly #packer: RowPacker;
	#batch: PackedBatch | null = null;
	#isUtf8 = false;

	constructor({ layout, lanes, idPath, maxBytes }: JsonReaderOptions) {
		const { columns, version } = layout;
		this.#layout = layout;
		this.#maxBytes = maxBytes;
		const slots = new Map<string, number>();
		const paths: (readonly string[])[] = [];
		const slotOf = (path: readonly string[]) => {
			const name = JSON.stringify(path);
			const slot = slots.get(name) ?? paths.length;
			if (slot === paths.length) paths.push(path);
			slots.set(name, slot);
			return slot;
		};
		this.#columns = columns.map(({ name, type, encoding, path, nullable }) => {
			const isVersion = version.kind === "field" && version.column === name;
			return {
				slot: slotOf(path),
				taking: isVersion ? "made" : takingOf(type),
				isOptional: nullable && !isVersion,
				encode: isVersion ? (value: unknown) => canonicalVersion(value, type) : encoderOf(type, encoding),
			};
		});
		this.#idSlot = idPath === null ? null : slotOf(idPath);
		this.#scanner = new JsonScanner(paths);
		this.#rows = new ScannedRows(columns.length);
		this.#packer = new RowPacker(layout, lanes);
	}

	/** Name of the table that it makes rows for. */
	get table(): string {
		return this.#layout.name;
	}

	/** Begins a run, and drops rows that were not taken. */
	begin(batch: PackedBatch): void {
		this.#batch = batch;
		this.#isUtf8 = isUtf8(batch.bytes);
		this.#rows.begin(batch.bytes);
	}

	/** Ends the run, so that its bytes, which may be many, can be freed. */
	end(): void {
		this.#batch = null;
		this.#rows.begin(nothing);
		this.#scanner.forget();
	}

	/**
	 * Adds the row or delete of message `index` of the run as message `message`. Returns its size in bytes, or 0 if json-handler.ts has to
	 * read the message. `mayHaveStrangers`: ignore fields that no column takes.
	 */
	read(index: number, message: number, mayHaveStrangers: boolean): number {
		const { starts, lengths, bytes } = this.#batch as PackedBatch;
		const start = starts[index] as number;
		const keyLength = lengths[3 * index] as number;
		const valueLength = lengths[3 * index + 1] as number;
		const keyEnd = keyLength < 0 ? start : start + keyLength;
		const end = keyEnd + valueLength;
		if (valueLength < 0) return this.#readDelete(message, start, keyLength);
		const scanner = this.#scanner;
		if (!scanner.scan(bytes, keyEnd, end)) return 0;
		if (scanner.hasStranger && (!mayHaveStrangers || (this.#idSlot === null && !scanner.hasWanted))) return 0;
		// The value begins and ends in ASCII, so it is UTF-8 if all around it is.
		if (scanner.isWide && !this.#isUtf8 && !isUtf8(bytes.subarray(keyEnd, end))) return 0;
		const rows = this.#rows;
		rows.beginRow();
		const hasId = this.#idSlot === null ? keyLength >= 0 && this.#keyAsId(start, keyEnd) : this.#fieldAsId(this.#idSlot);
		if (!hasId || !this.#readColumns() || rows.rowBytes > this.#maxBytes) {
			rows.forget();
			return 0;
		}
		rows.add(message, false);
		return rows.rowBytes;
	}

	/** A tombstone deletes the row of its key. If a field is the version, a tombstone has none and is left to json-handler.ts. */
	#readDelete(message: number, start: number, keyLength: number): number {
		const rows = this.#rows;
		if (this.#layout.version.kind === "field" || keyLength < 0) return 0;
		rows.beginRow();
		const hasId = this.#keyAsId(start, start + keyLength);
		for (let i = 0; i < this.#columns.length; i++) rows.nullValue(i);
		if (!hasId || rows.rowBytes > this.#maxBytes) {
			rows.forget();
			return 0;
		}
		rows.add(message, true);
		return rows.rowBytes;
	}

	/** Takes the rows read since the run began or the last `take`, as blocks: one per lane that has any. */
	take(positions: RunPositions): RowBlock[] {
		const rows = this.#rows;
		if (rows.length === 0) return [];
		const blocks = this.#packer.pack(rows, positions, rows.separators);
		rows.clear();
		return blocks;
	}

	#keyAsId(start: number, end: number): boolean {
		const { bytes } = this.#batch as PackedBatch;
		let all = 0;
		for (let at = start; at < end; at++) {
			const byte = bytes[at] as number;
			if (byte < FIRST_PRINTABLE) return false;
			all |= byte;
		}
		const isWide = all >= 0x80;
		if (isWide && !isUtf8(bytes.subarray(start, end))) return false;
		return this.#spanAsId(start, end, isWide);
	}

	#fieldAsId(slot: number): boolean {
		const { kinds, starts, stops, wide } = this.#scanner;
		const kind = kinds[slot] as number;
		const first = this.#bytes[starts[slot] as number] as number;
		const isText = kind === STRING;
		if (!isText && (kind !== LITERAL || first >= FIRST_LETTER)) return false;
		return this.#spanAsId(starts[slot] as number, stops[slot] as number, wide[slot] === 1);
	}

	#spanAsId(start: number, stop: number, isWide: boolean): boolean {
		const { type } = this.#layout.id;
		if (type === "text") this.#rows.id(start, stop, isWide);
		else {
			const text = made(() => canonicalId(this.#text(start, stop), type));
			if (text === null) return false;
			this.#rows.idText(text);
		}
		return true;
	}

	#readColumns(): boolean {
		const columns = this.#columns;
		for (let i = 0; i < columns.length; i++) if (!this.#readColumn(i, columns[i] as Column)) return false;
		return true;
	}

	#readColumn(index: number, column: Column): boolean {
		const { kinds, starts, stops, wide } = this.#scanner;
		const { slot, taking } = column;
		const kind = kinds[slot] as number;
		if (kind === MISSING || kind === NULL) {
			this.#rows.nullValue(index);
			return column.isOptional;
		}
		const start = starts[slot] as number;
		const stop = stops[slot] as number;
		const isWide = wide[slot] === 1;
		const isPlain =
			(kind === STRING && taking !== "made") ||
			(kind === LITERAL && taking !== "made" && (taking !== "integer" || this.#isDigits(start, stop))) ||
			(kind === CONTAINER && (taking === "json" || taking === "other"));
		if (!isPlain) return this.#make(index, column, kind, start, stop);
		const withQuotes = kind === STRING && taking === "json" ? 1 : 0;
		this.#rows.value(index, start - withQuotes, stop + withQuotes, isWide);
		return true;
	}

	/** Makes the column's text from a value whose bytes are not that text already. */
	#make(index: number, { encode }: Column, kind: number, start: number, stop: number): boolean {
		const withQuotes = kind === STRING || kind === ESCAPED_STRING ? 1 : 0;
		const text = made(() => encode(parseJson(this.#text(start - withQuotes, stop + withQuotes))));
		if (text === null || collides(text, usualSeparators)) return false;
		this.#rows.valueText(index, text);
		return true;
	}

	/** True if the literal is digits only: no true or false, no point, no exponent. */
	#isDigits(start: number, stop: number): boolean {
		const bytes = this.#bytes;
		for (let at = start; at < stop; at++) {
			const byte = bytes[at] as number;
			if (byte === POINT || byte === LARGE_E || (byte === SMALL_E && (bytes[start] as number) < FIRST_LETTER)) return false;
		}
		return true;
	}

	get #bytes(): Uint8Array {
		return (this.#batch as PackedBatch).bytes;
	}

	#text(start: number, stop: number): string {
		const { buffer, byteOffset } = this.#bytes;
		return Buffer.from(buffer, byteOffset + start, stop - start).toString("utf8");
	}
}

function takingOf(type: string): Taking {
	const { name, dimensions } = columnTypeOf(type);
	if (dimensions > 0 || name === "bytea") return "made";
	if (name === "json" || name === "jsonb") return "json";
	if (isIntegerType(name)) return "integer";
	return ordinaryTypes.has(name) ? "scalar" : "other";
}

/** Null if the text can't be made: json-handler.ts then says why. */
function made(text: () => string): string | null {
	try {
		return text();
	} catch {
		return null;
	}
}
