/** A partition that is lost while its suspect is in hand: the process goes on, so nobody is charged, whatever the database has noted. */
import { expect, it } from "vitest";
import type { HandNote } from "../../../src/core/messages/hand-note.ts";
import { partitionName } from "../../../src/core/messages/message.ts";
import type { HandChange, StoredNote } from "../../../src/core/offsets/position-note.ts";
import { HandKeeper } from "../../../src/sink/offsets/hand-keeper.ts";
import type { NoteFence } from "../../../src/sink/offsets/note-fence.ts";
import { StartRecorder } from "../../../src/sink/offsets/start-recorder.ts";
import { settle } from "../../support/fakes/manual-clock.ts";
import { WorkerHarness } from "../../support/fakes/worker-harness.ts";

const where = { topic: "orders", partition: 2 };
const plain = { start: 0, assumed: false, log: { id: null, witness: null }, reached: 0, skipped: [] };

/** A careful worker whose first two messages are suspects, with the notes of its process in a table that may be away. */
function scene(by?: string) {
	const table = { isAway: false, hand: null as HandNote | null };
	const recorder = new StartRecorder({
		table: {
			read: async () => {
				const { hand } = table;
				const note: StoredNote = { note: hand === null ? plain : { ...plain, hand }, version: "1" };
				return new Map([[partitionName(where), note]]);
			},
			change: async () => [],
			hold: async ([change]: readonly HandChange[]) => {
				if (table.isAway) throw Object.assign(new Error("away"), { code: "ECONNREFUSED" });
				table.hand = change?.hand ?? null;
			},
		} as unknown as NoteFence,
		notRecorded: () => {},
	});
	const h = new WorkerHarness({
		hand: {
			suspicion: { held: { from: 0, to: 2 }, deaths: [], until: 1_000 },
			committed: () => 0,
			note: (evidence, signal) => keeper.hold(where, evidence, signal),
		},
	});
	const keeper = new HandKeeper(recorder, h.clock);
	const read = async () => {
		if (by !== undefined) table.hand = { ...(table.hand as HandNote), by };
		return (await recorder.read()).get(partitionName(where))?.note.hand;
	};
	return { h, table, recorder, read };
}

it("its note is withdrawn as its thread ends", async () => {
	const { h, table, read } = scene();
	await h.running(2);
	expect(table.hand).toMatchObject({ held: { from: 0, to: 1 }, deaths: [[0, 1]] });
	await h.worker.kill();
	expect(table.hand).toMatchObject({ held: { from: 0, to: 2 }, deaths: [] });
	expect(await read()).toEqual(table.hand);
});

it("its note is read as withdrawn, too, where the database was away with Kafka", async () => {
	const { h, table, read } = scene();
	await h.running(2);
	table.isAway = true;
	await h.worker.kill();
	expect(table.hand).toMatchObject({ held: { from: 0, to: 1 }, deaths: [[0, 1]] });
	expect(await read()).toMatchObject({ held: { from: 0, to: 2 }, deaths: [] });
});

it("another process's note stands: whether that one died, nobody here can tell", async () => {
	const { h, table, read } = scene("another");
	await h.running(2);
	table.isAway = true;
	await h.worker.kill();
	expect(await read()).toMatchObject({ by: "another", held: { from: 0, to: 1 }, deaths: [[0, 1]] });
});

it("what begins anew, or was given away with nothing suspected, is read as it was noted then", async () => {
	const { h, recorder, table, read } = scene();
	await h.running(2);
	const begun: HandNote = { by: recorder.owner, began: 7, held: null, deaths: [] };
	await recorder.begin([{ ...where, note: { ...plain, hand: begun }, replaces: null }]);
	expect(await read()).toEqual(begun);
	table.isAway = true;
	await recorder.hold([{ ...where, by: recorder.owner, hand: null }]).catch(() => {});
	await settle();
	expect(await read()).toBe(undefined);
});
