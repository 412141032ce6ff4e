/** What the table must be at the end: by the producer's reports, and by `pockaffe verify`. */
import { expect } from "vitest";
import type { Database } from "../../src/sink/database/database.ts";
import type { ReportedLoad, ReportedRow } from "./load.ts";

const MOST_SHOWN = 5;

/** The first rows that are not what the broker said it took. */
export async function differences(database: Database, load: ReportedLoad): Promise<string[]> {
	const rows = await database.query(
		`select id, n, kafka_ts::text as ts, kafka_offset::text as "offset", kafka_partition as partition from events`,
	);
	const stored = new Map(rows.map((row) => [String(row.id), rowOf(row)]));
	const expected = load.rows;
	const wrong: string[] = [];
	for (const [id, row] of expected) {
		const [is, must] = [JSON.stringify(stored.get(id)), JSON.stringify(row)];
		if (is !== must) wrong.push(`${id}: is ${is}, must be ${must}`);
	}
	for (const id of stored.keys()) if (!expected.has(id) && !load.isUnknown(id)) wrong.push(`${id}: nobody produced it`);
	return wrong.slice(0, MOST_SHOWN);
}

/** Of what `verify --json` counts nothing is wrong but rows that the log doesn't hold. */
export function expectExtraAlone(said: string): void {
	const { counts } = JSON.parse(said) as { counts: Record<string, number> };
	const { missing, older, newer, different, unwritable, failed } = counts;
	expect([missing, older, newer, different, unwritable, failed], said).toEqual([0, 0, 0, 0, 0, 0]);
}

function rowOf({ n, ts, offset, partition }: Readonly<Record<string, unknown>>): ReportedRow {
	return { n: n as string | null, ts: Number(ts), offset: Number(offset), partition: Number(partition) };
}
