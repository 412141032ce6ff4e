/**
 * Replaces a row only while the stored one is exactly that of the given message: a row that somebody has made newer meanwhile stays. If the
 * stored row is older, or there is none, it is the usual upsert. Rows that the server refuses are reported and stay as they are.
 *
 * A row whose message makes no row any more is deleted without a tombstone, as if its message had never existed: a row of an older message
 * must still be accepted later.
 */
import type { Clock } from "../../core/clock.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Database, DatabaseRow } from "../database/database.ts";
import { durably } from "../database/durable-commit.ts";
import { mayPass, problemOf } from "../database/sql-faults.ts";
import { quoted, quotedTable } from "../database/sql-names.ts";
import { countsOf, isUnexplained, lookAgain, readFirstUpsert } from "../writer/sql/cas-upsert.ts";
import { orderColumn, parameterAfterRows, rowParameters, rowsParameter } from "../writer/sql/row-parameters.ts";
import type { ExpectedRow } from "./expected-rows.ts";
import type { RowOrigin } from "./table-comparison.ts";

/** Writes `row`, or nothing, in place of the stored row. If `stored` is null: writes `row` over an older row or none. */
export type Replacement =
	| { readonly id: string; readonly row: ExpectedRow; readonly stored: RowOrigin | null }
	| { readonly id: string; readonly row: null; readonly stored: RowOrigin };

/** Results of the replacements. `moved`: another row was stored meanwhile. */
export interface ReplacementCounts {
	changed: number;
	added: number;
	removed: number;
	moved: number;
}

/** A row that the server refuses. */
export interface RefusedReplacement {
	readonly table: string;
	readonly id: string;
	readonly sqlstate: string;
	/** Says what is wrong, without the value. */
	readonly message: string;
}

/** What replacing rows needs. */
export interface RowReplacementParts {
	readonly database: Database;
	readonly layout: TableLayout;
	/** The table has a column `kafka_topic`. */
	readonly tellsTopic: boolean;
	readonly clock: Clock;
	readonly signal: AbortSignal;
	/** Called when the database is away and has to be waited for. */
	readonly waits: (message: string) => void;
}

const RETRY_MS = 500;
/** Rows per statement: as many as a comparison asks for at a time. */
const MAX_ROWS = 2_000;

/** Faults that are about a row, or about rows together. */
const ofRows: ReadonlySet<string> = new Set(["row", "order", "split"]);

type Form = "over" | "exactly" | "away";

/** Replaces, removes or writes rows, each only if the stored row is still the expected one. For one table. */
export class RowReplacement {
	readonly #parts: RowReplacementParts;
	readonly #statements: Readonly<Record<Form, string>>;
	readonly #look: string;
	/** Rows refused once: another row may have been in their way. */
	#again: Replacement[] = [];
	readonly counts: ReplacementCounts = { changed: 0, added: 0, removed: 0, moved: 0 };

	constructor(parts: RowReplacementParts) {
		const { layout, tellsTopic } = parts;
		this.#parts = parts;
		this.#statements = {
			over: readFirstUpsert(layout),
			exactly: replaceStatement(layout, tellsTopic),
			away: removeStatement(layout, tellsTopic),
		};
		this.#look = lookAgain(layout);
	}

	/** Writes the replacements. Rejects with the database's error if it is about no row and waiting does not help. */
	async write(replacements: readonly Replacement[]): Promise<void> {
		this.#again.push(...(await this.#writeAll(replacements)).map(({ replacement }) => replacement));
	}

	/** Retries the refused rows as long as that helps, and returns the rest, which the next call tries again. */
	async conclude(): Promise<RefusedReplacement[]> {
		for (;;) {
			const tried = this.#again;
			const refused = await this.#writeAll(tried);
			this.#again = refused.map(({ replacement }) => replacement);
			if (refused.length === 0 || refused.length === tried.length) return refused.map(({ refusal }) => refusal);
		}
	}

	async #writeAll(replacements: readonly Replacement[]): Promise<Refused[]> {
		const refused: Refused[] = [];
		for (const form of ["away", "exactly", "over"] as const) {
			const rows = replacements.filter((each) => formOf(each) === form);
			for (let at = 0; at < rows.length; at += MAX_ROWS) refused.push(...(await this.#attempt(form, rows.slice(at, at + MAX_ROWS))));
		}
		return refused;
	}

	/** Finds refused rows by halving. */
	async #attempt(form: Form, rows: readonly Replacement[]): Promise<Refused[]> {
		try {
			await this.#send(form, rows);
			return [];
		} catch (error) {
			const { fault, code, message } = problemOf(error);
			if (!ofRows.has(fault)) throw error;
			if (rows.length === 1) {
				const [replacement] = rows as [Replacement];
				return [{ replacement, refusal: { table: this.#parts.layout.name, id: replacement.id, sqlstate: code, message } }];
			}
			const middle = Math.ceil(rows.length / 2);
			return [...(await this.#attempt(form, rows.slice(0, middle))), ...(await this.#attempt(form, rows.slice(middle)))];
		}
	}

	async #send(form: Form, rows: readonly Replacement[]): Promise<void> {
		const { layout } = this.#parts;
		const { counts } = this;
		if (form === "over") {
			const parameters = rowParameters(
				layout,
				rows.map(({ row }) => row as ExpectedRow),
			);
			const [answer = {}] = await this.#ask(this.#statements.over, parameters);
			const [look] = isUnexplained(answer) ? await this.#ask(this.#look, parameters) : [null];
			const { inserted, updated, deleted, suppressed, stale } = countsOf(answer, look ?? null);
			counts.added += inserted;
			counts.changed += updated + deleted;
			counts.moved += suppressed + stale.replay + stale.older + stale.other_partition;
			return;
		}
		const parameters =
			form === "away"
				? [JSON.stringify(rows.map(({ id }) => id)), placesOf(rows)]
				: [
						...rowParameters(
							layout,
							rows.map(({ row }) => row as ExpectedRow),
						),
						placesOf(rows),
					];
		const done = (await this.#ask(this.#statements[form], parameters)).length;
		counts[form === "away" ? "removed" : "changed"] += done;
		counts.moved += rows.length - done;
	}

	/** Runs a statement, and waits while the database is away. */
	async #ask(statement: string, parameters: readonly string[]): Promise<readonly DatabaseRow[]> {
		const { database, clock, signal, waits } = this.#parts;
		for (;;) {
			try {
				return await database.query(statement, parameters);
			} catch (error) {
				signal.throwIfAborted();
				if (!mayPass(error)) throw error;
				waits(problemOf(error).message);
				await clock.sleep(RETRY_MS, signal);
			}
		}
	}
}

interface Refused {
	readonly replacement: Replacement;
	readonly refusal: RefusedReplacement;
}

function formOf({ row, stored }: Replacement): Form {
	if (row === null) return "away";
	return stored === null ? "over" : "exactly";
}

/** The positions of the stored rows as one JSON array. */
function placesOf(rows: readonly Replacement[]): string {
	return JSON.stringify(
		rows.map(({ stored }) => {
			const { timestamp, offset, partition, topic } = stored as RowOrigin;
			return [timestamp, offset, partition, topic];
		}),
	);
}

/** A row per element: its number, and the position that must be stored. */
function places(parameter: string): string {
	return `(select p.number, (p.place->>0)::bigint as kafka_ts, (p.place->>1)::bigint as kafka_offset, (p.place->>2)::int4 as kafka_partition, p.place->>3 as kafka_topic
    from json_array_elements(${parameter}::text::json) with ordinality p(place, number))`;
}

function isThere(tellsTopic: boolean): string {
	const place = ["kafka_ts", "kafka_offset", "kafka_partition"].map((name) => `t.${name} = w.${name}`);
	// Rows from the time when only one topic fed the table have no topic.
	return [...place, ...(tellsTopic ? ["t.kafka_topic is not distinct from w.kafka_topic"] : [])].join(" and ");
}

function replaceStatement(layout: TableLayout, tellsTopic: boolean): string {
	const id = quoted(layout.id.column);
	const system = ["kafka_ts", "kafka_offset", "kafka_partition", ...(layout.withTopic ? ["kafka_topic"] : []), "deleted"];
	const changes = [...layout.columns.map(({ name }) => quoted(name)), ...system].map((name) => `${name} = n.${name}`);
	return `update ${quotedTable(layout.name)} as t set ${changes.join(", ")}
from ${rowsParameter(layout, { numbered: true })} n join ${places(parameterAfterRows(layout))} w on w.number = n.${orderColumn(layout)}
where t.${id} = n.${id} and ${isThere(tellsTopic)}
returning t.${id}::text as id, ${durably}`;
}

function removeStatement(layout: TableLayout, tellsTopic: boolean): string {
	const id = quoted(layout.id.column);
	const type = layout.id.type === "int" ? "int4" : layout.id.type;
	return `delete from ${quotedTable(layout.name)} as t
using json_array_elements_text($1::text::json) with ordinality n(id, number) join ${places("$2")} w on w.number = n.number
where t.${id} = n.id::${type} and ${isThere(tellsTopic)}
returning t.${id}::text as id, ${durably}`;
}
