import { describe, expect, it } from "vitest";
import type { PositionNote } from "../../../src/core/offsets/position-note.ts";
import { planOffset, type SetPartition } from "../../../src/kafka/offsets/offset-plan.ts";

const log = { low: 10, high: 90 };
const noted = (over: Partial<PositionNote> = {}): PositionNote => ({
	start: 12,
	assumed: false,
	log: { id: "a", witness: { offset: 49, timestamp: 1_700 } },
	reached: 50,
	skipped: [],
	...over,
});

function plan(known: Partial<SetPartition>, to: number) {
	return planOffset({ topic: "t", partition: 0, kept: 50, keptIn: "kafka", noted: noted(), logId: "a", log, ...known }, to);
}

describe("setting a group's offset", () => {
	it.each([
		["back", {}, 20, { again: 30, passedOver: 0 }, { start: 12, reached: 20, skipped: [] }],
		["back before the group's beginning", {}, 10, { again: 40, passedOver: 0 }, { start: 10, reached: 10 }],
		["on", {}, 70, { again: 0, passedOver: 20 }, { start: 12, reached: 70, skipped: [{ from: 50, to: 70, reason: "offsets_set" }] }],
		["to where it is", {}, 50, { again: 0, passedOver: 0 }, { reached: 50, skipped: [] }],
		[
			"behind what was removed",
			{ kept: 3, noted: noted({ reached: 3 }) },
			10,
			{ again: 0, passedOver: 0 },
			{ skipped: [{ from: 3, to: 10 }] },
		],
		[
			"into a log that lost its end",
			{ kept: 200, noted: noted({ reached: 200 }) },
			90,
			{ again: 0, passedOver: 0 },
			{ reached: 90, skipped: [] },
		],
		["back in a log that lost its end", { kept: 200, noted: noted({ reached: 200 }) }, 80, { again: 10, passedOver: 0 }, { reached: 80 }],
		["of a group that Kafka forgot", { kept: null }, 70, { again: 0, passedOver: 20 }, { skipped: [{ from: 50, to: 70 }] }],
		[
			"of a group that nobody knows",
			{ kept: null, noted: null },
			70,
			{ again: 0, passedOver: 0 },
			{ start: 70, assumed: false, skipped: [] },
		],
		["of a group without notes", { noted: null }, 20, { again: 30, passedOver: 0 }, { start: 20, assumed: true, reached: 20 }],
	] as const)("%s tells what is read again or passed over, and notes it", (_, known, to, counts, note) => {
		expect(plan(known as Partial<SetPartition>, to)).toMatchObject({ to, ...counts, note });
	});

	it("in a log that took another's place counts as a beginning", () => {
		const made = plan({ noted: noted({ log: { id: "old", witness: null } }) }, 70);
		expect(made).toMatchObject({ kept: null, again: 0, passedOver: 0 });
		expect(made.note).toEqual({ start: 70, assumed: false, log: { id: "a", witness: null }, reached: 70, skipped: [] });
	});

	it("on replaces what was passed over behind where the group stands, and keeps what lies before", () => {
		const [before, behind] = [
			{ from: 20, to: 25, reason: "log_begins_after" },
			{ from: 60, to: 65, reason: "log_begins_after" },
		] as const;
		const { note } = plan({ noted: noted({ skipped: [before, behind] }) }, 70);
		expect(note.skipped).toEqual([before, { from: 50, to: 70, reason: "offsets_set" }]);
		const unknown = plan({ kept: null, noted: noted({ reached: null, skipped: [before, behind] }) }, 62);
		expect(unknown.note.skipped).toEqual([before, { ...behind, to: 62 }]);
	});

	it("counts from where rows are durable for certain: a table that was restored knows less than Kafka", () => {
		expect(plan({ kept: 80, noted: noted({ reached: 30 }) }, 60)).toMatchObject({ again: 0, passedOver: 30, note: { reached: 60 } });
		expect(plan({ kept: 80, noted: noted({ reached: 30 }) }, 30)).toMatchObject({
			again: 0,
			passedOver: 0,
			note: { reached: 30, skipped: [] },
		});
	});

	it("in a table is noted by the table", () => {
		expect(plan({ keptIn: "table", noted: noted({ reached: null }) }, 70).note).toMatchObject({
			reached: null,
			skipped: [{ from: 50, to: 70 }],
		});
	});

	it("back ends what was passed over there before, for it is read again", () => {
		const skipped = [{ from: 15, to: 40, reason: "log_begins_after" as const }];
		expect(plan({ noted: noted({ skipped }) }, 20).note.skipped).toEqual([{ from: 15, to: 20, reason: "log_begins_after" }]);
	});
});
