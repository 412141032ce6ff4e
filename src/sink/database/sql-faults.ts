/**
 * Decides what an error of the database means, by SQLSTATE or the client's code (sql-fault-catalogue.ts), never by its message. Pure.
 * Unknown codes are systemic: waiting for a person dead-letters nothing and loses nothing.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import { entryFor, type ServerError, type SqlFault, type SqlRemedy } from "./sql-fault-catalogue.ts";
import { conditionName } from "./sqlstate-names.ts";

/** An error of the database without any value in it. `code` is an SQLSTATE or a code of the client. */
export interface SqlProblem {
	readonly code: string;
	readonly table: string | null;
	readonly column: string | null;
	readonly constraint: string | null;
	readonly fault: SqlFault;
	readonly remedy: SqlRemedy | null;
	/** True if waiting may help, and the cause may be a single row of the statement: a locked row, a trigger. */
	readonly mayBeOneRows: boolean;
	/** A function raised the error (a trigger's, a check's); the message names it and its line. */
	readonly isOfFunction: boolean;
	/** What to do about it, if more is known than `hintFor` can say. */
	readonly hint?: string;
	/** For people: what happened. Always has the code's name, and the server's words only if they can't hold a value. */
	readonly message: string;
}

/** No SQLSTATE class begins with E; Node's error codes do. */
const sqlstate = /^[0-9A-DF-Z][0-9A-Z]{4}$/;

/** Classes whose messages name objects only, never a value. */
const safeMessageClasses = new Set(["08", "28", "3D", "40", "42", "53", "55", "57", "25", "58", "0A", "26"]);
/** The server's own routines that end a statement because of a timeout or deadlock: their messages are always the same. */
const ownRoutines = new Set(["ProcessInterrupts", "DeadLockReport"]);
/** A context line of an error that contains only a function's name and line number. */
const insideFunction = /^(PL\/\w+) function ([\w."]+)\([\w\s.,"[\]]*\) line (\d+)\b/m;

/** True if the same statement may succeed a moment later: a lost connection, a lock, a server that is read-only for now. */
export function mayPass(error: unknown): boolean {
	const { fault } = problemOf(error);
	return fault === "transient" || fault === "connection";
}

/** Classifies whatever a query rejected with. `written`: the columns that the statement writes, if it writes a table's rows. */
export function problemOf(error: unknown, written: readonly string[] = []): SqlProblem {
	const server = (error ?? {}) as ServerError;
	const { code = "", table_name, column_name, constraint_name } = server;
	const entry = entryFor(server, written);
	const names = [
		table_name ? `table ${table_name}` : "",
		column_name ? `column ${column_name}` : "",
		constraint_name ? `constraint ${constraint_name}` : "",
	].filter(Boolean);
	const what = [
		sqlstate.test(code) ? `SQLSTATE ${code}` : code || "an error without a code",
		names.join(", "),
		entry ? safeMessage(server) : "",
	]
		.filter(Boolean)
		.join(": ");
	const name = sqlstate.test(code) ? conditionName(code) : null;
	const inFunction = functionOf(server);
	return {
		code: code || "unknown",
		table: table_name ?? null,
		column: column_name ?? null,
		constraint: constraint_name ?? null,
		fault: ofSession(server) && entry?.fault !== "transient" ? "connection" : (entry?.fault ?? "systemic"),
		remedy: entry?.remedy ?? null,
		mayBeOneRows: sqlstate.test(code) && !ofSession(server) && waits.has(entry?.fault ?? "systemic") && !entry?.remedy,
		message: what + (name ? ` (${name})` : "") + inFunction,
		isOfFunction: inFunction !== "",
	};
}

/** Names the function that raised the error, if one did. */
function functionOf({ where = "" }: ServerError): string {
	const [, language, name, line] = insideFunction.exec(where) ?? [];
	return language === undefined ? "" : `, in the ${language} function ${name}, line ${line}`;
}

const waits: ReadonlySet<SqlFault> = new Set(["transient", "systemic", "split"]);

/** True if the session itself was refused or ended (an unknown setting in the URL has class 22): no row has reached the table. */
function ofSession({ severity, severity_local }: ServerError): boolean {
	return /^(FATAL|PANIC)$/.test(severity ?? severity_local ?? "");
}

/** The server's or client's words if they can't hold a value. A function may raise any words under any code. */
function safeMessage(error: ServerError): string {
	const { code = "", where, message = "", routine = "" } = error;
	if (!sqlstate.test(code) || ofSession(error)) return message;
	return safeMessageClasses.has(code.slice(0, 2)) && (!where || ownRoutines.has(routine)) ? message : "";
}

/** What to do if no connection can be made at a start or by a command; null if nothing is better than the message. */
export function connectionHint({ code }: Pick<SqlProblem, "code">): string | null {
	return unreachable.has(code) ? "is the address in database.url right, and does the server run?" : logInHint(code);
}

const unreachable: ReadonlySet<string> = new Set(["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "CONNECT_TIMEOUT"]);

function logInHint(code: string): string | null {
	switch (code) {
		case "28P01":
		case "28000":
			return "look at the user, at the password (database.passwordFile, passwordCommand, else database.url), and at the server's pg_hba.conf; corrections are tried without a restart";
		case "3D000":
			return "look at the database's name in database.url, or create it; it goes on by itself";
		default:
			return null;
	}
}

/** What to do about a systemic fault; null if nothing is better than the message. */
export function hintFor({ code, fault, column, hint, message }: SqlProblem, table: string): string | null {
	if (hint !== undefined) return hint;
	switch (code) {
		case "42P01":
			return `create ${table} (pockaffe schema prints the statement; with create: true a start does it); it goes on by itself`;
		case "42703":
			// PocKaffe's own columns are not in the configuration.
			if (/column "?(\w+\.)?"?(kafka_(ts|offset|partition|topic)|deleted)\b/.test(message))
				return `add it to ${table} (pockaffe schema prints its columns); it goes on by itself`;
			return `add the column (it goes on by itself), or take it out of tables.${table}.columns and restart (pockaffe check compares)`;
		case "42804":
		case "42883":
			return `a column of ${table} has another type than configured (pockaffe check compares); it goes on by itself`;
		case "42704":
			return `the server has no such type: correct tables.${table}.columns (pockaffe check names the nearest type), and restart`;
		case "42501":
			return `grant select, insert, update on ${table} to the daemon's user; it goes on by itself`;
		case "42P10":
			return `${table} needs a primary key or unique constraint on its id column; it goes on by itself`;
		case "3F000":
			return `create the schema of ${table}; it goes on by itself`;
		case "28P01":
		case "28000":
		case "3D000":
			return logInHint(code);
		case "53100":
			return "free space on the server's disk; it goes on by itself";
		case "23502":
			return fault === "systemic"
				? `give column ${column} of ${table} a default, let it be null, or add it to tables.${table}.columns; it goes on by itself`
				: null;
		case "23514":
			return fault === "systemic" ? `create the partition of ${table} that is missing; it goes on by itself` : null;
		case "2200H":
			return `let the sequence of ${table} go further; it goes on by itself`;
		case "21000":
			return `a trigger or default of ${table} asks for one row and finds several; it goes on by itself`;
		default:
			return functionFault.test(code)
				? `mend the trigger or function that ${table} calls (raise exception, P0001, refuses a row); it goes on by itself`
				: null;
	}
}

/** Classes that only functions and triggers raise. */
const functionFault = /^(09|20|2F|38|39|P0)/;
