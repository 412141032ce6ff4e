/**
 * Every SQLSTATE and client code with an action of its own, in the order of look-up: where it comes from, and what it means for a batch.
 * The table in docs/faults.md is rendered from this list. Pure data.
 *
 * A row fault dead-letters a message, so only faults of the row's own contents are row faults. Whatever a person can correct without
 * touching the message (a sequence at its end, a missing partition, a full disk) pauses the rows and is reported.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */

/**
 * row: this row can never be written · order: other rows are in its way, or not there yet · split: the batch must be smaller · transient:
 * the same batch again, it will pass · systemic: somebody has to correct the table (or, `connection`, the way to the database).
 */
export type SqlFault = "row" | "order" | "split" | "transient" | "systemic" | "connection";

/**
 * What helps beside waiting. smaller: the same rows in smaller statements · reconnect: new connections, which may lead to another server.
 */
export type SqlRemedy = "smaller" | "reconnect";

/** The fields of a server's error that decisions use; the others are for people. */
export interface ServerError {
	readonly code?: string;
	readonly message?: string;
	/** Set if the error comes from inside a function, or from parsing a value. */
	readonly where?: string;
	readonly severity?: string;
	readonly severity_local?: string;
	readonly routine?: string;
	readonly table_name?: string;
	readonly column_name?: string;
	readonly constraint_name?: string;
}

/** One line of the catalogue. A code that ends with `…` is a prefix: an SQLSTATE class, or a family of client codes. */
export interface FaultEntry {
	readonly codes: readonly string[];
	readonly fault: SqlFault;
	readonly remedy?: SqlRemedy;
	/** The usual cause. */
	readonly means: string;
	/** The entry applies only if this returns true. `written`: the columns that PocKaffe writes, empty if not known. */
	readonly only?: (error: ServerError, written: readonly string[]) => boolean;
}

/** Every code with an action of its own; the first entry that fits decides. */
export const faultCatalogue: readonly FaultEntry[] = [
	{ codes: ["08…"], fault: "transient", remedy: "reconnect", means: "connection lost or refused" },
	{
		codes: ["0A000"],
		only: ({ routine }) => /RevalidateCachedQuery|cached/i.test(routine ?? ""),
		fault: "transient",
		means: "a cached plan is no longer valid after a change of the table; the statement is prepared again",
	},
	{ codes: ["0A…"], fault: "systemic", means: "something the server can't do" },
	{
		codes: ["21000"],
		fault: "split",
		means: "the database finds two ids of one statement equal; or a trigger finds several rows where it expects one",
	},
	{ codes: ["2200H"], fault: "systemic", means: "a sequence of the table has reached its end" },
	{ codes: ["22C01"], fault: "systemic", means: "CockroachDB: a function that can't run here" },
	{ codes: ["22…"], fault: "row", means: "a value that its type refuses" },
	{
		codes: ["23502"],
		only: ({ column_name }, written) => written.length > 0 && column_name !== undefined && !written.includes(column_name),
		fault: "systemic",
		means: "a `not null` column without a default that is not in the configuration",
	},
	{
		codes: ["23514"],
		only: ({ routine }) => routine === "ExecFindPartition",
		fault: "systemic",
		means: "no partition of the table takes the row",
	},
	{
		codes: ["23001", "23503", "23505", "23P01"],
		fault: "order",
		means:
			"foreign key: the referenced row is not there yet, or the row is still referenced; unique or exclusion constraint: another row still has the value",
	},
	{ codes: ["23…"], fault: "row", means: "not null or check constraint" },
	{ codes: ["25006"], fault: "transient", remedy: "reconnect", means: "read-only server after a fail-over, or a read-only setting" },
	{ codes: ["25P02"], fault: "transient", remedy: "reconnect", means: "a pooler handed over a broken transaction" },
	{ codes: ["25P03"], fault: "transient", means: "session ended by an idle timeout" },
	{ codes: ["25P04"], fault: "transient", remedy: "smaller", means: "transaction timeout" },
	{
		codes: ["26000", "42P05"],
		fault: "transient",
		means: "a prepared statement is missing, or exists already (poolers); it is prepared again",
	},
	{ codes: ["28…"], fault: "connection", means: "user, password, `pg_hba.conf`" },
	{ codes: ["3D000"], fault: "connection", means: "the database does not exist" },
	{ codes: ["40002"], fault: "systemic", means: "rolled back by a constraint" },
	{ codes: ["40…"], fault: "transient", means: "deadlock, serialization failure, outcome unknown" },
	{ codes: ["42501"], fault: "systemic", means: "no permission, or refused by row-level security" },
	{ codes: ["42…"], fault: "systemic", means: "table, column, type, constraint or function missing or different" },
	// A view's condition is about the row's contents, like a check constraint.
	{ codes: ["44000"], fault: "row", means: "`with check option` of a view" },
	{ codes: ["53100"], fault: "systemic", means: "disk full" },
	{ codes: ["53400"], fault: "systemic", means: "a configured limit of the server is reached" },
	{ codes: ["53200"], fault: "transient", remedy: "smaller", means: "out of memory" },
	{ codes: ["53…"], fault: "transient", means: "too many connections, other resources" },
	{ codes: ["54011", "54023"], fault: "systemic", means: "too many columns or arguments" },
	{ codes: ["54…"], fault: "row", means: "too large for an index or a page, nested too deep" },
	{ codes: ["55006", "55P03"], fault: "transient", means: "in use, or locked by another session for longer than 2 s" },
	{ codes: ["55…"], fault: "systemic", means: "wrong state: the database accepts no connections, or a table has no replica identity" },
	{ codes: ["57014"], fault: "transient", remedy: "smaller", means: "statement timeout (30 s), or cancelled by somebody" },
	{ codes: ["57P04"], fault: "connection", means: "the database was dropped" },
	{ codes: ["57…"], fault: "transient", means: "shut down, starting, in recovery, session terminated" },
	{ codes: ["58030", "58P01", "58P02"], fault: "systemic", means: "I/O error; a file of the server is missing or exists already" },
	{ codes: ["58…"], fault: "transient", means: "system error; CockroachDB: range or node unavailable" },
	{ codes: ["72…"], fault: "transient", means: "snapshot too old" },
	{ codes: ["P0001"], fault: "row", means: "`raise exception` in a trigger: that is how a trigger refuses a row" },
	{ codes: ["P0…"], fault: "systemic", means: "an error inside a function or trigger" },
	{ codes: ["XX000"], fault: "transient", means: "internal error, mostly a race with a change of the table" },
	{ codes: ["XX001", "XX002"], fault: "systemic", means: "corrupted table or index" },
	{
		codes: ["QUERY_DEADLINE"],
		fault: "transient",
		remedy: "smaller",
		means: "no answer within 45 s (PocKaffe's own deadline): a half-open connection",
	},
	{
		codes: ["CONNECTION_…", "CONNECT_TIMEOUT", "ECONN…", "EHOST…", "ENET…", "EADDR…", "EAI_AGAIN", "ENOTFOUND", "EPIPE", "ETIMEDOUT"],
		fault: "transient",
		remedy: "reconnect",
		means: "no connection, or it was lost before the answer: the batch may have been written or not",
	},
	{ codes: ["ERR_PASSWORD"], fault: "connection", means: "the password's file or command failed" },
	{
		codes: ["CERT_…", "DEPTH_ZERO_…", "SELF_SIGNED_…", "UNABLE_TO_…", "ERR_TLS…", "ERR_SSL…"],
		fault: "connection",
		means: "TLS: a bad certificate, a missing file, or a server without TLS",
	},
];

/** The first entry that fits an error; null if none does. */
export function entryFor(error: ServerError, written: readonly string[]): FaultEntry | null {
	const code = error.code ?? "";
	const names = (pattern: string) => (pattern.endsWith("…") ? code.startsWith(pattern.slice(0, -1)) : code === pattern);
	return faultCatalogue.find(({ codes, only }) => codes.some(names) && (!only || only(error, written))) ?? null;
}

/** Markdown for docs/faults.md: the catalogue, and what becomes of everything else. */
export function renderFaultTable(): string {
	const lines = ["| SQLSTATE or code | comes from | what PocKaffe does |", "| --- | --- | --- |"];
	for (const { codes, means, fault, remedy } of faultCatalogue) {
		lines.push(`| ${codes.map((code) => `\`${code}\``).join(" ")} | ${means} | ${remedy ? remedies[remedy] : actions[fault]} |`);
	}
	return [...lines, `| any other | | ${actions.systemic} |`].join("\n");
}

const actions: Readonly<Record<SqlFault, string>> = {
	row: "**dead letter** for that message; the rest of the batch is written",
	order: "sends the row **again** after everything earlier of its partition is written; **dead letter** if that does not help",
	split: "halves the batch; a single row that still fails **waits**",
	transient: "sends the same batch **again**",
	systemic: "the table's rows **wait**",
	connection: "all rows **wait**",
};

const remedies: Readonly<Record<SqlRemedy, string>> = {
	smaller: "sends the rows **again**, half as many per statement; more again once that works",
	reconnect: "sends the same batch **again**, on new connections",
};
