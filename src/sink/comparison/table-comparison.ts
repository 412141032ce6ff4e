/**
 * Compares a table with the rows it must hold. The server does the work: it casts the expected values as the writer does, compares versions
 * and contents, and returns only differences. Changes nothing.
 */
import type { TopicPartition } from "../../core/messages/message.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Database, DatabaseRow } from "../database/database.ts";
import { problemOf } from "../database/sql-faults.ts";
import { rowParameters } from "../writer/sql/row-parameters.ts";
import { type ComparedTable, comparedColumns, comparedTable, comparisonStatement, extrasStatement } from "./comparison-statement.ts";
import { EqualIds } from "./equal-ids.ts";
import { type Candidates, compareIdTexts, type ExpectedRow, type ExpectedRows } from "./expected-rows.ts";

/** Where a row came from. `topic` is null if the table has no topic column. */
export interface RowOrigin {
	readonly topic: string | null;
	readonly partition: number;
	readonly offset: number;
	/** ms. */
	readonly timestamp: number;
	readonly deleted: boolean;
}

/**
 * What was found for one id. missing: there is no row · older, newer: another version is stored · different: the version is stored with
 * other contents in `columns` · extra: a row that no message made · unwritable: the server refuses the expected row, with `sqlstate`.
 */
export interface RowFinding {
	readonly kind: "missing" | "older" | "newer" | "different" | "extra" | "unwritable";
	readonly table: string;
	readonly id: string;
	readonly expected: (TopicPartition & RowOrigin & { readonly topic: string }) | null;
	readonly stored: RowOrigin | null;
	readonly columns: readonly string[];
	readonly sqlstate: string | null;
}

/** What the comparison reports. */
export interface ComparisonListener {
	/** These ids are as they must be (`matched`), or were deleted and purged (`purged`). */
	matched(ids: readonly string[]): void;
	purged(ids: readonly string[]): void;
	/**
	 * A difference, unless its owner can explain it by the stored row's origin. `isOptional`: the expected row may be there or not, and can't
	 * be compared. `row`: the expected row.
	 */
	found(finding: RowFinding, isOptional: boolean, row: ExpectedRow | null): void;
	/** Awaited between two batches, for a listener that has to write its findings away before more come. */
	relieve?(): Promise<void>;
}

/** Maximum ids per statement, and approximate characters of their rows: a statement has one string per column. */
const BATCH = { ids: 2_000, characters: 4_000_000 };

/** Compares every expected id, then looks for rows that no message made (unless `knownIds`). Rejects with the database's error. */
export async function compareTable(
	database: Database,
	layout: TableLayout,
	expected: ExpectedRows,
	listener: ComparisonListener,
	{ knownIds = false } = {},
): Promise<void> {
	const table = await comparedTable(database, layout);
	const equalIds = table.foldsIds ? new EqualIds(database, layout, listener) : null;
	const telling = equalIds ?? listener;
	const comparison = new Comparison(database, table, telling);
	let batch: Candidates[] = [];
	let characters = 0;
	for await (const candidates of expected.sorted()) {
		batch.push(candidates);
		for (const row of candidates) characters += charactersOf(row);
		if (batch.length < BATCH.ids && characters < BATCH.characters) continue;
		await comparison.compare(batch);
		await listener.relieve?.();
		batch = [];
		characters = 0;
	}
	await comparison.compare(batch);
	await listener.relieve?.();
	if (!knownIds) await findExtras(database, table, expected, telling, comparison.unrequired);
	await equalIds?.conclude(expected);
}

function charactersOf({ id, values }: ExpectedRow): number {
	return values.reduce((sum, value) => sum + (value?.length ?? 0), id.length);
}

/** The server's answer about one candidate; null for a match. */
interface Mismatch {
	readonly order: "absent" | "older" | "same" | "newer" | "unwritable";
	readonly columns: readonly string[];
	readonly stored: RowOrigin | null;
	readonly sqlstate: string | null;
}

class Comparison {
	readonly #database: Database;
	readonly #layout: TableLayout;
	readonly #listener: ComparisonListener;
	readonly #statement: string;
	/** Ids that need no row: if one is stored all the same, something else made it. There are at most as many as refused rows. */
	readonly unrequired = new Set<string>();

	constructor(database: Database, table: ComparedTable, listener: ComparisonListener) {
		this.#database = database;
		this.#layout = table.layout;
		this.#listener = listener;
		this.#statement = comparisonStatement(table);
	}

	async compare(batch: readonly Candidates[]): Promise<void> {
		if (batch.length === 0) return;
		// Optional rows are few. Each round asks for the next candidate of the ids without a match so far.
		let open = batch.map((candidates) => ({ candidates, mismatches: [] as Mismatch[] }));
		const matched: string[] = [];
		for (let round = 0; open.length > 0; round++) {
			const asked = open.map(({ candidates }) => candidates[round] as ExpectedRow);
			const mismatches = await this.#mismatches(asked);
			const left: typeof open = [];
			for (const [index, entry] of open.entries()) {
				const mismatch = mismatches[index] ?? null;
				if (mismatch === null) {
					matched.push(entry.candidates[0]?.id as string);
					continue;
				}
				entry.mismatches.push(mismatch);
				if (entry.candidates.length > round + 1) left.push(entry);
				else this.#conclude(entry.candidates, entry.mismatches);
			}
			open = left;
		}
		if (matched.length > 0) this.#listener.matched(matched);
	}

	/** Reports an id for which no candidate is stored. */
	#conclude(candidates: Candidates, mismatches: readonly Mismatch[]): void {
		const row = candidates.at(-1) as ExpectedRow;
		const { order, columns, stored, sqlstate } = mismatches.at(-1) as Mismatch;
		// If all candidates are optional, no row is needed.
		if (row.optional && (order === "absent" || order === "unwritable")) {
			this.unrequired.add(row.id);
			return;
		}
		if (order === "absent" && row.isDelete) {
			this.#listener.purged([row.id]);
			return;
		}
		// An optional row's version with other contents is a difference too.
		const same = mismatches.find((each) => each.order === "same");
		const kind = kindOf(same?.order ?? order);
		const { id, topic, partition, offset, timestamp, isDelete: deleted } = row;
		const expected = { topic, partition, offset, timestamp, deleted };
		const finding: RowFinding = {
			kind,
			table: this.#layout.name,
			id,
			expected,
			stored: same?.stored ?? stored,
			columns: same?.columns ?? columns,
			sqlstate,
		};
		this.#listener.found(
			finding,
			candidates.some((each, index) => each.optional && mismatches[index]?.order === "unwritable"),
			row,
		);
	}

	/** Compares rows; null for a match. A row that the server refuses to cast is found by halving. */
	async #mismatches(rows: readonly ExpectedRow[]): Promise<(Mismatch | null)[]> {
		let answer: readonly DatabaseRow[];
		try {
			answer = await this.#database.query(this.#statement, rowParameters(this.#layout, rows));
		} catch (error) {
			const { fault, code } = problemOf(error);
			if (fault !== "row") throw error;
			if (rows.length === 1) return [{ order: "unwritable", columns: [], stored: null, sqlstate: code }];
			const middle = Math.ceil(rows.length / 2);
			return [...(await this.#mismatches(rows.slice(0, middle))), ...(await this.#mismatches(rows.slice(middle)))];
		}
		const byId = new Map(answer.map((row) => [String(row.id), row]));
		return rows.map(({ id }) => {
			const row = byId.get(id);
			return row ? this.#mismatchOf(row) : null;
		});
	}

	#mismatchOf(row: DatabaseRow): Mismatch {
		if (row.too_long === true) return { order: "unwritable", columns: [], stored: null, sqlstate: "22001" };
		if (row.found !== true) return { order: "absent", columns: [], stored: null, sqlstate: null };
		const names = comparedColumns(this.#layout);
		const columns = names.filter((_, index) => String(row.differs)[index] === "1");
		const position = Number(row.position);
		return { order: position < 0 ? "older" : position > 0 ? "newer" : "same", columns, stored: originOf(row), sqlstate: null };
	}
}

function kindOf(order: Mismatch["order"]): RowFinding["kind"] {
	if (order === "absent") return "missing";
	return order === "same" ? "different" : order;
}

/**
 * Finds rows in the table whose id is not expected, or only by rows that could not be written (`unrequired`). Both sides are read in the
 * byte order of ids.
 */
async function findExtras(
	database: Database,
	table: ComparedTable,
	expected: ExpectedRows,
	listener: ComparisonListener,
	unrequired: ReadonlySet<string>,
): Promise<void> {
	const ids = expected.sorted();
	let head = await ids.next();
	for await (const rows of database.stream(extrasStatement(table), STREAM_ROWS)) {
		for (const row of rows) {
			const id = String(row.id);
			while (!head.done && compareIdTexts((head.value[0] as ExpectedRow).id, id) < 0) head = await ids.next();
			if (!expected.chosen.has(id) || (!head.done && (head.value[0] as ExpectedRow).id === id && !unrequired.has(id))) continue;
			const finding = { kind: "extra" as const, table: table.layout.name, id, expected: null, columns: [], sqlstate: null };
			listener.found({ ...finding, stored: originOf(row) }, unrequired.has(id), null);
		}
		await listener.relieve?.();
	}
}

const STREAM_ROWS = 5_000;

/** The row's origin; null if it is unknown because something else wrote the row. */
function originOf(row: DatabaseRow): RowOrigin | null {
	if (row.kafka_partition === null || row.kafka_offset === null || row.kafka_ts === null) return null;
	return {
		topic: (row.kafka_topic as string | null | undefined) ?? null,
		partition: Number(row.kafka_partition),
		offset: Number(row.kafka_offset),
		timestamp: Number(row.kafka_ts),
		deleted: row.deleted === true,
	};
}
