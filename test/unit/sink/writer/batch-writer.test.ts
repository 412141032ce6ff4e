import { expect, it } from "vitest";
import type { Database, DatabaseRow } from "../../../../src/sink/database/database.ts";
import { BatchWriter } from "../../../../src/sink/writer/batch-writer.ts";
import type { WrittenFact } from "../../../../src/sink/writer/writing.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";
import { layoutOf, submissionOf } from "../../../support/fakes/row-submissions.ts";
import { failingAt, memoryWriter } from "../../../support/postgres/memory-database.ts";

/** A database whose statements wait until the test answers them. */
function waitingDatabase() {
	const answers: { resolve: (rows: readonly DatabaseRow[]) => void; reject: (error: unknown) => void }[] = [];
	const query = () => new Promise<readonly DatabaseRow[]>((resolve, reject) => answers.push({ resolve, reject }));
	const database: Database = {
		query,
		transaction: async (statements) => await Promise.all(statements.map(query)),
		async *stream() {},
		async close() {},
	};
	return { database, answers };
}

it("rows in flight are in the queue's figures until they are settled, whole and one by one", async () => {
	const clock = new ManualClock();
	const { database, answers } = waitingDatabase();
	const layout = layoutOf();
	const batch = { maxRows: 100, maxBytes: 1e6, minRows: 1, lingerMs: 0, answerMs: 250 };
	const writer = new BatchWriter({ layouts: [layout], database, connections: 1, batch, clock, random: () => 0.5 });
	const figures = () => [writer.queueRows, writer.queueBytes, writer.oldestAgeMs];
	const rows = ["a", "a", "b"].map((id, offset) => ({ id, offset, values: [id, null] }));
	expect(figures()).toEqual([0, 0, null]);
	writer.write(submissionOf(layout, rows));
	await clock.advance(20);
	expect([figures(), answers.length]).toEqual([[3, 150, 20], 1]);
	// A row of it is bad: halved, the first half goes in.
	answers.shift()?.reject({ code: "22003" });
	await clock.advance(10);
	expect([figures(), answers.length]).toEqual([[3, 150, 30], 1]);
	answers.shift()?.reject({ code: "22003" });
	await clock.advance(10);
	answers.shift()?.resolve([{ written: 1, deleted: 0, candidates_new: 1, replay: 0, older: 0, total: 1 }]);
	await clock.advance(10);
	answers.shift()?.resolve([{ written: 1, deleted: 0, candidates_new: 1, replay: 0, older: 0, total: 1 }]);
	await clock.advance(10);
	expect(figures()).toEqual([0, 0, null]);
	await writer.dispose();
});

it("what was written is told by how it came to that: a batch whole, and one with a bad row part by part", async () => {
	const layout = layoutOf();
	const { clock, database, writer } = memoryWriter();
	const told: unknown[] = [];
	writer.on("batch:written", ({ rows, coalesced, refused, bytes, inserted, updated, durationMs, samples }: WrittenFact) =>
		told.push([rows, coalesced, refused, bytes, inserted, updated, durationMs, samples[0]?.timestamps ?? []]),
	);
	const write = (ids: string, firstOffset: number) =>
		writer.write(
			submissionOf(
				layout,
				[...ids].map((id, i) => ({ id, offset: firstOffset + i, values: [id, null] })),
			),
		);
	write("aab", 10);
	await clock.advance(100);
	expect(told.splice(0)).toEqual([[2, 1, 0, 100, 2, 0, 2, [11, 12]]]);
	database.meets = failingAt("x", "22003");
	write("aacccxd", 20);
	await clock.advance(100);
	const sum = told.reduce((all: number[], each) => (each as number[]).slice(0, 6).map((count, i) => count + (all[i] ?? 0)), []);
	expect(sum).toEqual([3, 3, 1, 200, 2, 1]);
});
