/** The statements that note what became of replayed letters. */
import { describe, expect, it } from "vitest";
import { settlement } from "../../../src/sink/dead-letters/dead-letter-settlement.ts";
import type { LateColumn } from "../../../src/sink/dead-letters/dead-letter-statement.ts";
import { replayFailure, storedLetter } from "../../support/fakes/dead-letters.ts";

const writer = { consumerGroup: "g", version: "1.2" };
const all: ReadonlySet<LateColumn> = new Set(["topic_id", "refused_rows", "handler_version"]);
const through = (offset: number) => ({ letter: storedLetter({ offset, topicId: "id" }), failure: null });
const failed = (offset: number, over = {}) => ({ letter: storedLetter({ offset }), failure: { ...replayFailure, attempts: 3, ...over } });
const documentsIn = ({ parameters }: { parameters: readonly (string | null)[] }) => JSON.parse(parameters[0] as string);

describe("letters that were replayed", () => {
	it("are marked where their messages went through, and say what was met where they failed", () => {
		const statements = settlement("letters", [through(1), failed(2), through(3)], writer, all);
		expect(statements.map(({ text }) => /set state = 'replayed'/.test(text))).toEqual([true, false]);
		const place = { consumer_group: "g", topic: "orders", partition: 2, kafka_ts: 1_700_000_000_000 };
		const { reason, error, sqlstate } = replayFailure;
		const met = { reason, error, stack: null, sqlstate, table_name: "events", row_id: "id-7", refused_rows: null, attempts: 3 };
		expect(statements.map(documentsIn)).toEqual([
			[1, 3].map((offset) => ({ ...place, offset, topic_id: "id" })),
			[{ ...place, offset: 2, topic_id: "", ...met, pockaffe_version: "1.2", handler_version: "5b3c" }],
		]);
	});

	it("keep all of several refused rows, and no byte that a text can't hold", () => {
		const rows = [
			["a", "1\0", "22003"],
			["b", "2", null],
		] as const;
		const [statement] = settlement("letters", [failed(1, { refusedRows: rows, stack: "at\0", rowId: "1\0" })], writer, all);
		const [document] = documentsIn(statement as never);
		expect(JSON.stringify(document)).not.toContain("\\u0000");
		expect(document.refused_rows).toMatchObject([
			["a", expect.stringMatching(/^1/), "22003"],
			["b", "2", null],
		]);
	});

	it("are known without a topic id, and keep less, in a table of an earlier version", () => {
		const texts = settlement("letters", [through(1), failed(2)], writer, new Set()).map(({ text }) => text);
		const late = ["l.topic_id = r.topic_id", "refused_rows = r.refused_rows", "handler_version = r.handler_version"];
		expect(late.map((words) => texts.some((text) => text.includes(words)))).toEqual([false, false, false]);
		const whole = settlement("letters", [through(1), failed(2)], writer, all).map(({ text }) => text);
		expect(late.map((words) => whole.map((text) => text.includes(words)))).toEqual([
			[true, true],
			[false, true],
			[false, true],
		]);
	});

	it("go in statements of five hundred, and of four million characters", () => {
		const counts = (fates: Parameters<typeof settlement>[1]) =>
			settlement("letters", fates, writer, all).map((each) => documentsIn(each).length);
		expect(counts(Array.from({ length: 1_001 }, (_, offset) => through(offset)))).toEqual([500, 500, 1]);
		const large = { error: "e".repeat(60_000), stack: "s".repeat(60_000) };
		expect(counts(Array.from({ length: 50 }, (_, offset) => failed(offset, large)))).toEqual([35, 15]);
		expect(counts([])).toEqual([]);
	});
});
