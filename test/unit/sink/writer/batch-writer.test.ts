import { expect, it } from "vitest";
import type { Database, DatabaseRow } from "../../../../src/sink/database/database.ts";
import { BatchWriter } from "../../../../src/sink/writer/batch-writer.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";
import { layoutOf, submissionOf } from "../../../support/fakes/row-submissions.ts";

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
