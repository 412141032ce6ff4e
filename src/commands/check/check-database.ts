/** `check` for the database: server, tables, and the rights on them. Changes nothing. */
import type { Config } from "../../config/config.ts";
import { referenceWaits, tableLayouts } from "../../config/table-layouts.ts";
import type { Clock } from "../../core/clock.ts";
import { ExitError } from "../../core/errors.ts";
import { ownTables } from "../../daemon/daemon-parts.ts";
import { type CrashSafety, crashSafetyOf } from "../../sink/database/crash-safety.ts";
import { connectDatabase } from "../../sink/database/database.ts";
import { connectionHint, problemOf } from "../../sink/database/sql-faults.ts";
import { withoutForeignKeys } from "../../sink/tables/foreign-keys.ts";
import { checkOwnTables, checkTables, type TableFindings } from "../../sink/tables/schema-check.ts";
import { type Finding, failed, ok, warning } from "./check-finding.ts";

const DEADLINE_MS = 10_000;

/** Checks the database. Never rejects. */
export async function databaseFindings(config: Config, clock: Clock): Promise<Finding[]> {
	const database = connectDatabase({ ...config.database, connections: 1, clock, deadlineMs: DEADLINE_MS });
	try {
		const [row] = await database.query("select current_setting('server_version') as version");
		const users = await checkTables(database, tableLayouts(config));
		const own = await checkOwnTables(database, ownTables(config));
		const hidden = new Set([...users, ...own].filter(({ isHidden }) => isHidden).map(({ table }) => table));
		const seen = (tables: Iterable<string>) => [...tables].filter((table) => !hidden.has(table));
		const safety = await crashSafetyOf(database, seen([...users, ...own].map(({ table }) => table)));
		const unkeyed = await withoutForeignKeys(database, seen(referenceWaits(config).keys()));
		return [
			ok("database", `version ${String(row?.version)}`),
			...safety.server.map((detail) => warning("database", detail)),
			...users.flatMap((table) => tableFindings(withUnlogged(withUnkeyed(table, unkeyed), safety), "as configured")),
			...own.flatMap((table) => tableFindings(withUnlogged(table, safety), "the table is there")),
		];
	} catch (error) {
		if (error instanceof ExitError) return [failed("database", error.message)];
		const problem = problemOf(error);
		const hint = connectionHint(problem);
		return [failed("database", hint ? `${problem.message}; ${hint}` : problem.message)];
	} finally {
		await database.close();
	}
}

function withUnlogged(found: TableFindings, { tables }: CrashSafety): TableFindings {
	const words = tables.get(found.table);
	return words === undefined ? found : { ...found, problems: [...found.problems, words] };
}

function withUnkeyed(found: TableFindings, unkeyed: readonly string[]): TableFindings {
	const { table, warnings } = found;
	if (!unkeyed.includes(table)) return found;
	const words = `has no foreign key: tables.${table}.references has nothing to wait for`;
	return { ...found, warnings: [...warnings, words] };
}

function tableFindings({ table, problems, warnings, grants, isCreatedAtStart }: TableFindings, fine: string): Finding[] {
	const item = `table ${table}`;
	const missing = isCreatedAtStart ? [ok(item, "is missing; the daemon creates it at start")] : [];
	if (problems.length + warnings.length === 0) return isCreatedAtStart ? missing : [ok(item, fine)];
	const commands = (at: number) => (at === 0 ? (grants ?? []) : []);
	return [
		...missing,
		...problems.map((detail, at) => failed(item, detail, commands(at))),
		...warnings.map((detail, at) => warning(item, detail, commands(at + problems.length))),
	];
}
