/** The simulated handler: what it makes of a message, a function of the message alone, and the rows that this comes to. */
import { BAD } from "./database.ts";

/** What a value may say. `rows`: of other tables, beside the one of the key. */
export interface MessageFields {
	/** `poison` throws; `half` gives a row and then what is none; `deadly` ends the process before it comes to that. */
	readonly way?: "poison" | "deadly" | "reject" | "none" | "half";
	readonly n?: string;
	/** Rows of `lines`, which refer to the row of the key. */
	readonly lines?: readonly string[];
	/** A line alone, of another message's row. */
	readonly of?: string;
	/** Rows of `contacts`: who has which address from now on, in this order. */
	readonly addresses?: readonly (readonly [id: string, address: string | null])[];
}

/** A row that a message comes to. */
export interface HandledRow {
	readonly table: string;
	readonly id: string;
	readonly fields: Readonly<Record<string, string | null>>;
	readonly isDelete: boolean;
}

/** What the handler makes of a message; throws for poison. */
export function handle(key: string, value: string | null): unknown {
	if (value === null) return { table: "events", id: key, delete: true };
	const { way, n, lines, of, addresses } = JSON.parse(value) as MessageFields;
	if (way === "poison" || way === "deadly") throw new Error("poison");
	if (way === "reject") return { reject: "no good" };
	if (way === "none") return null;
	if (way === "half") {
		return [
			{ table: "events", id: key, delete: true },
			{ table: "events", id: key, fields: { unknown: "1" } },
		];
	}
	if (addresses) return addresses.map(([id, address]) => ({ table: "contacts", id, fields: { address } }));
	const line = (id: string, event: string) => ({ table: "lines", id, fields: { n: n ?? null, event } });
	if (of !== undefined) return line(key, of);
	const row = { table: "events", id: key, fields: { n: n ?? null } };
	return lines ? [row, ...lines.map((id) => line(id, key))] : row;
}

/** True where the message ends the process that handles it. */
export function isDeadly(value: string | null): boolean {
	return value !== null && (JSON.parse(value) as MessageFields).way === "deadly";
}

/** The rows of a message; `none` where it has none, `lettered` where it can only become a dead letter. */
export function rowsOf(key: string, value: string | null): readonly HandledRow[] | "none" | "lettered" {
	let outcome: unknown;
	try {
		outcome = handle(key, value);
	} catch {
		return "lettered";
	}
	if (outcome === null) return "none";
	const rows = (Array.isArray(outcome) ? outcome : [outcome]) as {
		table: string;
		id: string;
		fields?: Record<string, string | null>;
		delete?: boolean;
		reject?: string;
	}[];
	if (rows.some(({ reject, fields }) => reject !== undefined || fields?.unknown !== undefined)) return "lettered";
	return rows.map(({ table, id, fields = {}, delete: isDelete = false }) => ({ table, id, fields, isDelete }));
}

/** True where the server refuses a row of the message by itself. */
export function isRefused(rows: readonly HandledRow[]): boolean {
	return rows.some(({ fields }) => fields.n === BAD);
}
