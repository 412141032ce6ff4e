/** Whatever the order, the batches and the repeats: the table equals the fold of all rows by version, and every row is counted once. */
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/core/random.ts";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import { compareVersions } from "../../../src/sink/writer/sql/row-version.ts";
import { columnOf, layoutOf, type TestRow } from "../../support/fakes/row-submissions.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";

interface Strategy {
	readonly what: string;
	readonly layout: TableLayout;
	/** The version column's text for a random number 0..9. */
	readonly field: ((pick: number) => string) | null;
}

const strategies: readonly Strategy[] = [
	{ what: "timestamp", layout: layoutOf(), field: null },
	{ what: "timestamp, several topics", layout: layoutOf({ withTopic: true }), field: null },
	{ what: "offset", layout: layoutOf({ version: { kind: "offset" } }), field: null },
	{
		what: "a bigint field",
		layout: layoutOf({ version: { kind: "field", column: "amount", type: "bigint" } }),
		field: (pick) => String((pick - 5) * 10 ** 15),
	},
	{
		what: "a numeric field",
		layout: layoutOf({
			columns: [columnOf("name", "text"), columnOf("amount", "numeric")],
			version: { kind: "field", column: "amount", type: "numeric" },
		}),
		field: (pick) => ["-10.5", "-9", "-0.01", "0", "0.1", "0.11", "9", "10", "10.001", "123456789012345678901234567890.5"][pick] as string,
	},
	{
		what: "a timestamptz field",
		layout: layoutOf({
			columns: [columnOf("name", "text"), columnOf("amount", "timestamptz")],
			version: { kind: "field", column: "amount", type: "timestamptz" },
		}),
		field: (pick) => `2026-01-0${1 + (pick % 3)}T00:00:00.00000${pick}Z`,
	},
];

describe.each(strategies)("by $what", ({ layout, field }) => {
	it.each([1, 2, 3])("converges to the newest row of each id (seed %i)", async (seed) => {
		const random = seededRandom(seed);
		const pick = (below: number) => Math.floor(random() * below);
		const log = Array.from({ length: 800 }, (_, i): TestRow => {
			const isDelete = random() < 0.15;
			const version = field?.(pick(10)) ?? null;
			return {
				id: `id-${pick(8)}`,
				// The same offset in every partition and topic, so that each part of a version has to decide now and then.
				offset: Math.floor(i / (layout.withTopic ? 6 : 3)),
				partition: i % 3,
				topic: layout.withTopic ? `topic-${Math.floor(i / 3) % 2}` : "t",
				timestamp: 1_000 + pick(6),
				isDelete,
				values: isDelete ? [null, version] : [`name ${i}`, version ?? String(i)],
			};
		});
		// Delivered at least once: some twice, in batches of any size, in any order, by two lanes with several batches in flight.
		const deliveries = [...log, ...log.filter(() => random() < 0.3)].sort(() => random() - 0.5);
		await using test = await TestWriter.on([layout], { maxRows: 1 + pick(50), lingerMs: 1 });
		const submissions: Promise<void>[] = [];
		const byPartition = groupBy(deliveries);
		for (const rows of byPartition.values()) {
			for (let at = 0; at < rows.length; ) {
				const size = 1 + pick(120);
				submissions.push(test.submit(rows.slice(at, at + size)).done);
				at += size;
			}
		}
		await Promise.all(submissions);

		const expected = fold(log, layout);
		const rows = await test.rows(
			"select id, name, kafka_offset::int as offset, kafka_partition as partition, deleted from events order by id",
		);
		expect(rows.map((row) => ({ ...row }))).toEqual(expected);
		const { inserted, updated, deleted, stale, coalesced, refused } = test.counts;
		expect(inserted + updated + deleted + stale + coalesced).toBe(deliveries.length);
		expect(refused).toBe(0);
	});
});

function fold(log: readonly TestRow[], layout: TableLayout) {
	const newest = new Map<string, TestRow>();
	const version = ({ values, timestamp = 0, offset, partition = 0, topic = "t" }: TestRow) => ({
		field: layout.version.kind === "field" ? (values?.[1] ?? null) : null,
		timestamp,
		offset,
		partition,
		topic,
	});
	for (const row of log) {
		const present = newest.get(row.id);
		if (!present || compareVersions(version(row), version(present), layout.version) > 0) newest.set(row.id, row);
	}
	return [...newest.values()]
		.sort((left, right) => (left.id < right.id ? -1 : 1))
		.map(({ id, values, offset, partition, isDelete }) => ({
			id,
			name: values?.[0] ?? null,
			offset,
			partition,
			deleted: isDelete === true,
		}));
}

function groupBy(rows: readonly TestRow[]): Map<string, TestRow[]> {
	const groups = new Map<string, TestRow[]>();
	for (const row of rows) {
		const key = `${row.topic}/${row.partition}`;
		groups.set(key, [...(groups.get(key) ?? []), row]);
	}
	return groups;
}
