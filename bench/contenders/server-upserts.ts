/**
 * The limit that the writer is compared with: rows a second that the server reaches with rows it makes itself (`generate_series`) in the
 * same statement form, under the same guard. No client data, no counts of what was stale.
 */
import { systemClock } from "../../src/core/clock.ts";
import { connectDatabase } from "../../src/sink/database/database.ts";
import { createTables } from "../../src/sink/tables/schema.ts";
import type { BenchDatabase } from "../measuring/bench-database.ts";
import { layoutFor, narrowRow, type RowShape } from "../measuring/row-shapes.ts";

/** What is to be written: `count` rows of `ids` ids, `rows` a statement. */
export interface ServerUpserts {
	readonly count: number;
	readonly ids: number;
	readonly rows: number;
	readonly connections: number;
	readonly shape?: RowShape;
}

/** What it took; `databaseMicros` null where the server's processes are not to be seen. */
export interface ServerRate {
	readonly rowsPerSecond: number;
	readonly databaseMicros: number | null;
}

const TABLE = "server_upserts";
/** 2026-01-01. */
const FIRST_TIMESTAMP = 1_767_225_600_000;

/** Into a fresh table, which is dropped again. */
export async function serverUpserts(db: BenchDatabase, options: ServerUpserts): Promise<ServerRate> {
	const { count, ids, connections, shape = narrowRow } = options;
	await db.database.query(`drop table if exists ${TABLE}`);
	await createTables(db.database, [layoutFor(TABLE, shape)]);
	await db.settle();
	const pool = connectDatabase({ url: db.url, connections, clock: systemClock, statementTimeoutMs: 0 });
	try {
		const statement = upsertOfOwnRows(shape, ids);
		const rows = Math.min(options.rows, ids);
		let next = 0;
		const write = async () => {
			while (next < count) {
				const from = next;
				next = Math.min(count, from + rows);
				await pool.query(statement, [String(from), String(next - 1)]);
			}
		};
		const cpuBefore = await db.cpuSeconds();
		const startedAt = performance.now();
		await Promise.all(Array.from({ length: connections }, write));
		const seconds = (performance.now() - startedAt) / 1000;
		const cpuAfter = await db.cpuSeconds();
		const databaseMicros = cpuBefore === null || cpuAfter === null ? null : ((cpuAfter - cpuBefore) * 1e6) / count;
		return { rowsPerSecond: count / seconds, databaseMicros };
	} finally {
		await pool.close();
		await db.database.query(`drop table if exists ${TABLE}`);
	}
}

function upsertOfOwnRows({ columns, expressions }: RowShape, ids: number): string {
	const names = [...columns.map(({ name }) => name), "kafka_ts", "kafka_offset", "kafka_partition", "deleted"];
	const version = (of: string) => `(${of}.kafka_ts, ${of}.kafka_offset, ${of}.kafka_partition)`;
	return `
		insert into ${TABLE} as t (id, ${names.join(", ")})
		select 'id-' || (i * 7919 % ${ids}), ${expressions.join(", ")}, ${FIRST_TIMESTAMP} + i, i, 0, false
		from generate_series($1::bigint, $2::bigint) as i order by 1
		on conflict (id) do update set ${names.map((name) => `${name} = excluded.${name}`).join(", ")}
		where ${version("t")} < ${version("excluded")}`;
}
