/**
 * The guard decides for any stored row, also one that PocKaffe never wrote: parts of a version are NULL, foreign or odd. Both forms of the
 * statement, and the comparison of `verify`, judge it as this fold does: part by part, NULL below every value.
 */
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/core/random.ts";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import { ExpectedRows } from "../../../src/sink/comparison/expected-rows.ts";
import { compareTable, type RowFinding } from "../../../src/sink/comparison/table-comparison.ts";
import type { Database } from "../../../src/sink/database/database.ts";
import { readFirstUpsert, writeFirstUpsert } from "../../../src/sink/writer/sql/cas-upsert.ts";
import { rowParameters, type UpsertRow } from "../../../src/sink/writer/sql/row-parameters.ts";
import { runUpsert } from "../../../src/sink/writer/sql/run-upsert.ts";
import { columnOf, layoutOf } from "../../support/fakes/row-submissions.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";

/** Texts of a part in ascending order, NULL first; those of one list are equal. What a message may hold has no `stored` before it. */
interface Scale {
	readonly ascending: readonly (readonly (string | null)[])[];
	/** The places that a message may have. */
	readonly sent: readonly number[];
}

const versionFields: Readonly<Record<string, Scale>> = {
	bigint: { ascending: [[null], ["-9223372036854775808"], ["-1"], ["0"], ["7"], ["9223372036854775807"]], sent: [1, 2, 3, 4, 5] },
	numeric: { ascending: [[null], ["-Infinity"], ["-2.5", "-2.50"], ["0"], ["7.1"], ["1e40"], ["Infinity"], ["NaN"]], sent: [2, 3, 4, 5] },
	timestamptz: {
		ascending: [[null], ["-infinity"], ["0044-03-15 12:00:00+00 BC"], ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01"], ["infinity"]],
		sent: [3],
	},
};
const numbers = [null, "-1", "0", "3", "4", "9007199254740993"];
const topics = [null, "", "t-0", "t-1", "é", "\u{1F600}"];

interface Stored {
	readonly id: string;
	readonly field: number;
	readonly ts: number;
	readonly offset: number;
	readonly partition: number;
	readonly topic: number;
	readonly deleted: boolean | null;
}

const strategies: readonly (readonly [what: string, layout: TableLayout])[] = [false, true].flatMap((withTopic) => {
	const what = withTopic ? ", several topics" : "";
	const own = { withTopic, create: false };
	return [
		[`timestamp${what}`, layoutOf({ ...own, version: { kind: "timestamp" } })] as const,
		[`offset${what}`, layoutOf({ ...own, version: { kind: "offset" } })] as const,
		...(["bigint", "numeric", "timestamptz"] as const).map((type) => {
			const columns = [columnOf("name", "text"), columnOf("v", type)];
			return [`field ${type}${what}`, layoutOf({ ...own, columns, version: { kind: "field", column: "v", type } })] as const;
		}),
	];
});

const ROWS = 600;

describe.each(strategies)("a stored row of any kind, version %s", (_what, layout) => {
	it.each([
		["reads", 1],
		["reads", 2],
		["writes", 3],
		["writes", 4],
	] as const)("is replaced by a newer message alone, where the statement %s first (seed %i)", async (first, seed) => {
		const scene = sceneOf(layout, seed);
		await using db = await createTestDatabase();
		await scene.fill(db.database);
		const parameters = rowParameters(layout, scene.messages);
		const counts =
			first === "reads"
				? await runUpsert(db.database, layout, readFirstUpsert(layout), parameters)
				: await runUpsert(db.database, layout, writeFirstUpsert(layout), parameters, String(ROWS));
		expect(counts).toEqual(scene.counts());
		const names = await db.database.query("select id, name, deleted from events order by id");
		expect(names.map(({ id, name, deleted }) => [id, name, deleted])).toEqual(scene.left());
	});

	it("is judged by verify in the same way", async () => {
		const scene = sceneOf(layout, 5);
		await using db = await createTestDatabase();
		await scene.fill(db.database);
		const expected = new ExpectedRows({ layout, folder: "", name: "events" });
		for (const message of scene.messages) expected.add({ ...message, field: message.values[1] ?? null, optional: false });
		const found: RowFinding[] = [];
		const listener = { matched: () => {}, purged: () => {}, found: (finding: RowFinding) => void found.push(finding) };
		await compareTable(db.database, layout, expected, listener);
		expect(found.map(({ id, kind }) => [id, kind]).sort()).toEqual(scene.findings());
		// Who has no coordinates came from nowhere, not from offset 0 of partition 0.
		const without = new Set(scene.withoutCoordinates());
		expect(found.filter(({ id, stored }) => stored !== null && without.has(id))).toEqual([]);
	});
});

/** Stored rows and a message for each id, and what they must come to. */
function sceneOf(layout: TableLayout, seed: number) {
	const random = seededRandom(seed);
	const pick = (below: number) => Math.floor(random() * below);
	const { version, withTopic } = layout;
	const scale = version.kind === "field" ? (versionFields[version.type] as Scale) : null;
	const stored = new Map<string, Stored>();
	const messages: UpsertRow[] = [];
	const sent = new Map<string, readonly number[]>();
	for (let i = 0; i < ROWS; i++) {
		const id = `id-${String(i).padStart(4, "0")}`;
		const at = (list: readonly unknown[]) => (random() < 0.3 ? 0 : pick(list.length));
		const field = scale ? at(scale.ascending) : 0;
		const row = { id, field, ts: at(numbers), offset: at(numbers), partition: pick(4), topic: at(topics) };
		if (random() < 0.9) stored.set(id, { ...row, deleted: ([null, false, true] as const)[pick(3)] ?? null });
		const own = scale ? (scale.sent[pick(scale.sent.length)] as number) : 0;
		const [ts, offset, partition, topic] = [2 + pick(3), 2 + pick(3), 2 + pick(2), 2 + pick(2)];
		const isDelete = random() < 0.2;
		sent.set(id, [own, ts, offset, partition, topic]);
		const value = scale ? (scale.ascending[own]?.at(-1) ?? null) : "5";
		messages.push({
			id,
			isDelete,
			timestamp: Number(numbers[ts]),
			offset: Number(numbers[offset]),
			partition: Number(numbers[partition]),
			topic: topics[topic] as string,
			values: [isDelete ? null : "new", isDelete && !scale ? null : value],
		});
	}
	/** Below 0: the stored row is older than its message. */
	const order = ({ id, ...row }: Stored) => {
		const [field, ts, offset, partition, topic] = sent.get(id) as readonly [number, number, number, number, number];
		const position = [row.offset - offset, row.partition - partition, ...(withTopic ? [row.topic - topic] : [])];
		const parts = version.kind === "offset" ? position : [row.field - field, row.ts - ts, ...position];
		return parts.find((difference) => difference !== 0) ?? 0;
	};
	const causeOf = ({ id, partition, offset, topic }: Stored) => {
		const [, , ownOffset, ownPartition, ownTopic] = sent.get(id) as readonly [number, number, number, number, number];
		if (partition === 0 || partition !== ownPartition || (withTopic && topic !== ownTopic)) return "other_partition" as const;
		return offset >= ownOffset ? ("replay" as const) : ("older" as const);
	};
	const isStale = (row: Stored | undefined) => row !== undefined && order(row) >= 0;
	return {
		messages,
		async fill(database: Database) {
			await database.query(tableOf(layout));
			const rows = [...stored.values()].map((row) => ({
				...row,
				name: "old",
				field: scale ? (scale.ascending[row.field]?.[0] ?? null) : null,
				ts: numbers[row.ts],
				offset: numbers[row.offset],
				partition: numbers[row.partition],
				topic: topics[row.topic],
			}));
			const value = layout.columns[1]?.name === "v" ? `(r->>'field')::${layout.columns[1].type}` : "null";
			await database.query(
				`insert into events select r->>'id', r->>'name', ${value}, (r->>'ts')::bigint, (r->>'offset')::bigint, (r->>'partition')::int4,
${withTopic ? "r->>'topic', " : ""}(r->>'deleted')::boolean from json_array_elements($1::text::json) r`,
				[JSON.stringify(rows)],
			);
		},
		counts() {
			const counts = { inserted: 0, updated: 0, deleted: 0, suppressed: 0, stale: { replay: 0, older: 0, other_partition: 0 } };
			for (const { id, isDelete } of messages) {
				const row = stored.get(id);
				if (row && isStale(row)) counts.stale[causeOf(row)]++;
				else counts[isDelete ? "deleted" : row ? "updated" : "inserted"]++;
			}
			return counts;
		},
		/** Of every id what must be in the table afterwards. */
		left: () =>
			messages.map(({ id, isDelete }): [string, string | null, boolean | null] => {
				const row = stored.get(id);
				return row && isStale(row) ? [id, "old", row.deleted] : [id, isDelete ? null : "new", isDelete];
			}),
		findings: () =>
			messages.flatMap(({ id, isDelete }): [string, RowFinding["kind"]][] => {
				const row = stored.get(id);
				if (!row) return isDelete ? [] : [[id, "missing"]];
				const position = order(row);
				// The name is always another one.
				return [[id, position < 0 ? "older" : position > 0 ? "newer" : "different"]];
			}),
		withoutCoordinates: () =>
			[...stored.values()].filter(({ ts, offset, partition }) => [ts, offset, partition].includes(0)).map(({ id }) => id),
	};
}

/** A table of somebody's own that got PocKaffe's columns later. */
function tableOf({ columns, withTopic }: TableLayout): string {
	const own = columns.map(({ name, type }) => `${name} ${type}`).join(", ");
	return `create table events (id text primary key, ${own}, kafka_ts bigint, kafka_offset bigint, kafka_partition int4,
${withTopic ? "kafka_topic text, " : ""}deleted boolean)`;
}
