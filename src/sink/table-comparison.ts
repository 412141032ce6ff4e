/**
 * A table against the rows it must hold. Types are the server's business: it casts what is expected as the writer does, compares
 * versions and contents, and answers only with what differs. Changes nothing.
 */
import type { TopicPartition } from "../core/message.ts";
import type { ColumnLayout, TableLayout } from "../core/rows.ts";
import type { Database, DatabaseRow } from "./database.ts";
import { type Candidates, compareIds, type ExpectedRow, type ExpectedRows } from "./expected-rows.ts";
import { maxCharacters, rowParameters, rowsParameter, tuple, versionColumns } from "./row-parameters.ts";
import { problemOf } from "./sql-faults.ts";
import { quoted, quotedTable } from "./sql-names.ts";

/** Where a row came from. `topic` is null where the table doesn't tell it. */
export interface RowOrigin {
	readonly topic: string | null;
	readonly partition: number;
	readonly offset: number;
	/** ms. */
	readonly timestamp: number;
	readonly deleted: boolean;
}

/**
 * What was found of one id.
 * missing: no row is there · older, newer: another version is there · different: the version is there with other contents in `columns` ·
 * extra: a row is there that no message made · unwritable: the server refuses the expected row, with `sqlstate`.
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

/** What the comparison tells. */
export interface ComparisonListener {
	/** So many ids are as they must be (`matched`), or gone as deletes that were purged (`purged`). */
	matched(count: number): void;
	purged(count: number): void;
	/** A difference, unless the stored row's origin explains it: its owner decides. */
	found(finding: RowFinding): void;
}

/** Ids of a statement, and about how many characters of their rows: a statement's text is one string per column. */
const BATCH = { ids: 2_000, characters: 4_000_000 };

/** Compares every expected id, then looks for rows that nobody expects. Rejects with the database's error. */
export async function compareTable(
	database: Database,
	layout: TableLayout,
	expected: ExpectedRows,
	listener: ComparisonListener,
): Promise<void> {
	// A table that several topics fed once still tells them apart.
	const tellsTopic = layout.withTopic || (await hasTopicColumn(database, layout));
	const comparison = new Comparison(database, layout, listener, tellsTopic);
	let batch: Candidates[] = [];
	let characters = 0;
	for await (const candidates of expected.sorted()) {
		batch.push(candidates);
		for (const row of candidates) characters += charactersOf(row);
		if (batch.length < BATCH.ids && characters < BATCH.characters) continue;
		await comparison.compare(batch);
		batch = [];
		characters = 0;
	}
	await comparison.compare(batch);
	await findExtras(database, extrasStatement(layout, tellsTopic), layout, expected, listener, comparison.unrequired);
}

async function hasTopicColumn(database: Database, { name }: TableLayout): Promise<boolean> {
	const [row] = await database.query(
		"select count(*)::int4 as columns from pg_attribute where attrelid = to_regclass($1::text) and attname = 'kafka_topic' and not attisdropped",
		[quotedTable(name)],
	);
	return row?.columns === 1;
}

function charactersOf({ id, values }: ExpectedRow): number {
	return values.reduce((sum, value) => sum + (value?.length ?? 0), id.length);
}

/** What the server said of one candidate; null for a match. */
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
	/** Ids of which nothing has to be there: a row that is there all the same was made by something else. As many as refused rows at most. */
	readonly unrequired = new Set<string>();

	constructor(database: Database, layout: TableLayout, listener: ComparisonListener, tellsTopic: boolean) {
		this.#database = database;
		this.#layout = layout;
		this.#listener = listener;
		this.#statement = comparisonStatement(layout, tellsTopic);
	}

	async compare(batch: readonly Candidates[]): Promise<void> {
		if (batch.length === 0) return;
		// Optional rows are few; each round asks for the next candidate of the ids that matched none so far.
		let open = batch.map((candidates) => ({ candidates, mismatches: [] as Mismatch[] }));
		let matched = 0;
		for (let round = 0; open.length > 0; round++) {
			const asked = open.map(({ candidates }) => candidates[round] as ExpectedRow);
			const mismatches = await this.#mismatches(asked);
			const left: typeof open = [];
			for (const [index, entry] of open.entries()) {
				const mismatch = mismatches[index] ?? null;
				if (mismatch === null) {
					matched++;
					continue;
				}
				entry.mismatches.push(mismatch);
				if (entry.candidates.length > round + 1) left.push(entry);
				else this.#conclude(entry.candidates, entry.mismatches);
			}
			open = left;
		}
		this.#listener.matched(matched);
	}

	/** None of the candidates is there. */
	#conclude(candidates: Candidates, mismatches: readonly Mismatch[]): void {
		const row = candidates.at(-1) as ExpectedRow;
		const { order, columns, stored, sqlstate } = mismatches.at(-1) as Mismatch;
		// With optional rows alone nothing has to be there.
		if (row.optional && (order === "absent" || order === "unwritable")) {
			this.unrequired.add(row.id);
			return;
		}
		if (order === "absent" && row.isDelete) {
			this.#listener.purged(1);
			return;
		}
		// The version of an optional row with other contents is a difference too.
		const same = mismatches.find((each) => each.order === "same");
		const kind = kindOf(same?.order ?? order);
		const { id, topic, partition, offset, timestamp, isDelete: deleted } = row;
		const expected = { topic, partition, offset, timestamp, deleted };
		this.#listener.found({
			kind,
			table: this.#layout.name,
			id,
			expected,
			stored: same?.stored ?? stored,
			columns: same?.columns ?? columns,
			sqlstate,
		});
	}

	/** By row, null for a match. A row that the server refuses to cast is found by halving. */
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

/** Rows in the table whose id is expected nowhere, or by no row that could be written (`unrequired`): both sides in the order of the ids' bytes. */
async function findExtras(
	database: Database,
	statement: string,
	layout: TableLayout,
	expected: ExpectedRows,
	listener: ComparisonListener,
	unrequired: ReadonlySet<string>,
): Promise<void> {
	const ids = expected.sorted();
	let head = await ids.next();
	for await (const rows of database.stream(statement, STREAM_ROWS)) {
		for (const row of rows) {
			const id = String(row.id);
			while (!head.done && compareIds((head.value[0] as ExpectedRow).id, id) < 0) head = await ids.next();
			if (!head.done && (head.value[0] as ExpectedRow).id === id && !unrequired.has(id)) continue;
			const finding = { kind: "extra" as const, table: layout.name, id, expected: null, columns: [], sqlstate: null };
			listener.found({ ...finding, stored: originOf(row) });
		}
	}
}

const STREAM_ROWS = 5_000;

/** A row for each id that is not exactly as expected: `position` is -1 where an older version is stored, 1 where a newer one. */
function comparisonStatement(layout: TableLayout, tellsTopic: boolean): string {
	const id = quoted(layout.id.column);
	const stored = versionColumns(layout);
	const compared = (operator: string) => `((${tuple(stored, "t")}) ${operator} (${tuple(stored, "n")}))`;
	// As the guard of the statement that writes: a stored NULL is below every value.
	const order = `case when ${compared("<")} is not false then -1 when ${compared(">")} then 1 else 0 end`;
	const others = comparedColumns(layout).slice(layout.columns.length);
	const differs = [...layout.columns.map(differenceIn), ...others.map((name) => `t.${name} is distinct from n.${name}`)].map(
		(difference) => `case when ${difference} then '1' else '0' end`,
	);
	const refused = layout.columns.filter(({ type }) => isBounded(type)).map(isRefused);
	return `select * from (
  select n.${id}::text as id, ${refused.join(" or ") || "false"} as too_long, t.${id} is not null as found, ${order} as position, ${differs.join(" || ")} as differs,
         ${originColumns(tellsTopic)}
  from ${rowsParameter(layout)} n left join ${quotedTable(layout.name)} t on t.${id} = n.${id}
) compared where too_long or not found or position <> 0 or differs like '%1%'`;
}

/**
 * What is compared beside the version, data columns first. Under version `offset` the timestamp is compared too: a row of an earlier log
 * may have the offset of another message.
 */
function comparedColumns({ columns, version }: TableLayout): string[] {
	return [...columns.map(({ name }) => name), "deleted", ...(version.kind === "offset" ? ["kafka_ts"] : [])];
}

function differenceIn({ name, type }: ColumnLayout): string {
	const [stored, expected] = [`t.${quoted(name)}`, `n.${quoted(name)}`];
	// There is no equality for json.
	if (type === "json") return `${stored}::text is distinct from ${expected}::text`;
	// An assignment takes the spaces off that are too many.
	if (isBounded(type)) return `${stored} is distinct from ${expected}::${type} and ${stored}::text is distinct from ${expected}`;
	return `${stored} is distinct from ${expected}`;
}

function isBounded(type: string): boolean {
	return Number.isFinite(maxCharacters(type) ?? Number.POSITIVE_INFINITY);
}

/** Whether the column takes no such text: more than spaces is beyond its length. Where it is there all the same the column is wider than configured. */
function isRefused({ name, type }: ColumnLayout): string {
	const [stored, expected] = [`t.${quoted(name)}`, `n.${quoted(name)}`];
	const isCut = `rtrim(${expected}, ' ') <> rtrim(${expected}::${type}::text, ' ')`;
	return `coalesce(${isCut}, false) and rtrim(${stored}::text, ' ') is distinct from rtrim(${expected}, ' ')`;
}

function extrasStatement(layout: TableLayout, tellsTopic: boolean): string {
	const id = `t.${quoted(layout.id.column)}::text`;
	return `select ${id} as id, ${originColumns(tellsTopic)} from ${quotedTable(layout.name)} t order by ${id} collate "C"`;
}

function originColumns(tellsTopic: boolean): string {
	const numbers = ["kafka_ts", "kafka_offset", "kafka_partition"].map((name) => `t.${name}::text as ${name}`);
	return [...numbers, "t.deleted", ...(tellsTopic ? ["t.kafka_topic"] : [])].join(", ");
}

/** Null where it can't be known: the row was put there by something else. */
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
