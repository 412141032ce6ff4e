/**
 * What an error of the database means: decided by SQLSTATE or the client's code, never by message. Pure.
 * Unknown codes are systemic: nothing is dead-lettered and nothing is lost by waiting for a person.
 *
 * Step 8 of a message's way (README).
 */

/**
 * row: this row can't be written, whoever tries · split: the batch must be smaller · transient: the same batch again, it will pass ·
 * systemic: somebody has to mend the table (or, `connection`, the way to the database).
 */
export type SqlFault = "row" | "split" | "transient" | "systemic" | "connection";

/** An error of the database without any value in it. `code` is an SQLSTATE or a code of the client. */
export interface SqlProblem {
	readonly code: string;
	readonly table: string | null;
	readonly column: string | null;
	readonly constraint: string | null;
	readonly fault: SqlFault;
	/** For people: what happened, in the server's words only where those can't hold a value. */
	readonly message: string;
}

const sqlstate = /^[0-9A-Z]{5}$/;

const byCode: Readonly<Record<string, SqlFault>> = {
	"21000": "split",
	"40001": "transient",
	"40003": "transient",
	"40P01": "transient",
	"55P03": "transient",
	"55006": "transient",
	"55000": "transient",
	"57014": "transient",
	"57P01": "transient",
	"57P02": "transient",
	"57P03": "transient",
	"57P05": "transient",
	"25006": "transient",
	"25P03": "transient",
	"26000": "transient",
	XX000: "transient",
	P0001: "row",
	"28P01": "connection",
	"28000": "connection",
	"3D000": "connection",
	"57P04": "connection",
};

const byClass: Readonly<Record<string, SqlFault>> = {
	"08": "transient",
	"22": "row",
	"23": "row",
	"28": "connection",
	"53": "transient",
	"54": "row",
	"58": "transient",
};

/** Codes of postgres.js and Node for a connection that went away or never came. */
const clientCodes = /^(CONNECTION_|CONNECT_TIMEOUT|E(CONN|PIPE|HOST|NET|TIMEDOUT|AI_AGAIN|NOTFOUND)|QUERY_DEADLINE|ERR_TLS|ERR_SSL)/;

/** Codes whose message names objects only, never a value. */
const safeMessageClasses = new Set(["08", "28", "3D", "42", "53", "57", "25", "58", "0A", "26"]);

/** Classifies whatever a query rejected with. */
export function problemOf(error: unknown): SqlProblem {
	const {
		code = "",
		table_name,
		column_name,
		constraint_name,
		message = "",
		routine,
	} = (error ?? {}) as Record<string, string | undefined>;
	const fault = faultOf(code, routine ?? "");
	const names = [
		table_name ? `table ${table_name}` : "",
		column_name ? `column ${column_name}` : "",
		constraint_name ? `constraint ${constraint_name}` : "",
	].filter(Boolean);
	const safe = clientCodes.test(code) || safeMessageClasses.has(code.slice(0, 2)) ? message : "";
	const what = [sqlstate.test(code) ? `SQLSTATE ${code}` : code || "an error without a code", names.join(", "), safe]
		.filter(Boolean)
		.join(": ");
	return {
		code: code || "unknown",
		table: table_name ?? null,
		column: column_name ?? null,
		constraint: constraint_name ?? null,
		fault,
		message: what,
	};
}

/** What mends a systemic fault; null where there is nothing better than the message. */
export function hintFor({ code }: SqlProblem, table: string): string | null {
	switch (code) {
		case "42P01":
			return `create ${table} (pockaffe schema prints the statement) or set create: true; it goes on by itself`;
		case "42703":
			return `add the column, or take it out of tables.${table}.columns (pockaffe check compares); it goes on by itself`;
		case "42804":
		case "42883":
			return `a column of ${table} has another type than configured (pockaffe check compares); it goes on by itself`;
		case "42501":
			return `grant select, insert, update on ${table} to the daemon's user; it goes on by itself`;
		case "42P10":
			return `${table} needs a primary key or unique constraint on its id column; it goes on by itself`;
		case "28P01":
		case "28000":
			return "look at user and password in database.url";
		case "3D000":
			return "look at the database's name in database.url, or create it; it goes on by itself";
		default:
			return null;
	}
}

function faultOf(code: string, routine: string): SqlFault {
	if (clientCodes.test(code)) return "transient";
	// After DDL a prepared statement's plan is stale: the statement itself is well, and works when prepared anew.
	if (code === "0A000" && /RevalidateCachedQuery|cached/i.test(routine)) return "transient";
	return byCode[code] ?? byClass[code.slice(0, 2)] ?? "systemic";
}
