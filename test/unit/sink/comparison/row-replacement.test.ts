/** What becomes of rows that are replaced, by what the server answers: how many of which kind, and which it refuses. */
import { beforeEach, expect, it } from "vitest";
import { type Replacement, RowReplacement } from "../../../../src/sink/comparison/row-replacement.ts";
import type { RowOrigin } from "../../../../src/sink/comparison/table-comparison.ts";
import type { Database, DatabaseRow } from "../../../../src/sink/database/database.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";
import { columnOf, layoutOf } from "../../../support/fakes/row-submissions.ts";
import { rowsOf } from "../../../support/postgres/memory-database.ts";

const layout = layoutOf({ columns: [columnOf("name", "text")] });
const stored: RowOrigin = { topic: "t", partition: 3, offset: 70, timestamp: 1_000, deleted: false };
const row = { topic: "t", partition: 3, offset: 71, timestamp: 5, isDelete: false, values: ["x"], field: null, optional: false };

type Kind = "over" | "exactly" | "away";
const replacementOf = (kind: Kind, id: string) =>
	({ id, row: kind === "away" ? null : { ...row, id }, stored: kind === "over" ? null : stored }) as Replacement;
const replacements = (kind: Kind, count: number) => Array.from({ length: count }, (_, i) => replacementOf(kind, `${kind}-${i}`));

/** What was sent, and how the server answers to rows of these ids. */
let sent: { kind: string; text: string; ids: readonly string[]; parameters: readonly string[] }[];
let answer: (kind: string, ids: readonly string[]) => readonly DatabaseRow[];
let clock: ManualClock;
let waited: string[];
let ending: AbortController;

beforeEach(() => {
	[sent, waited, clock, ending] = [[], [], new ManualClock(), new AbortController()];
	answer = (_, ids) => ids.map((id) => ({ id }));
});

const database = {
	query: async (text: string, parameters: readonly string[]) => {
		const kind = text.split(" ", 1)[0] as string;
		const ids = kind === "delete" ? JSON.parse(parameters[0] as string) : rowsOf(layout, parameters, true).map(({ id }) => id);
		sent.push({ kind, text, ids, parameters });
		return answer(kind, ids);
	},
} as unknown as Database;

function replacementIn(over = {}, tellsTopic = true): RowReplacement {
	const waits = (message: string) => void waited.push(message);
	return new RowReplacement({ database, layout: { ...layout, ...over }, tellsTopic, clock, signal: ending.signal, waits });
}

const refusal = (code: string) => Object.assign(new Error("refused"), { code, severity: "ERROR" });

it("rows are counted by what became of them; those that somebody made newer meanwhile have moved", async () => {
	answer = (kind, ids) => {
		if (kind !== "with") return ids.slice(kind === "delete" ? 1 : 2).map((id) => ({ id }));
		return [{ written: 6, deleted: 1, candidates_new: 2, fresh: 6, replay: 2, older: 1, total: 9 }];
	};
	const replacement = replacementIn();
	await replacement.write([...replacements("over", 9), ...replacements("exactly", 7), ...replacements("away", 4)]);
	expect(replacement.counts).toEqual({ added: 2, changed: 4 + 5, removed: 3, moved: 3 + 2 + 1 });
	// What is removed makes room for the others.
	expect(sent.map(({ kind, ids }) => [kind, ids.length])).toEqual([
		["delete", 4],
		["update", 7],
		["with", 9],
	]);
});

it("a row is replaced where the stored one is of the given message, by all its coordinates", async () => {
	await replacementIn({ withTopic: true }).write([replacementOf("exactly", "a"), replacementOf("away", "b")]);
	await replacementIn({}, false).write([replacementOf("exactly", "a")]);
	expect(sent.map(({ parameters }) => JSON.parse(parameters.at(-1) as string))).toEqual([
		[[1_000, 70, 3, "t"]],
		[[1_000, 70, 3, "t"]],
		[[1_000, 70, 3, "t"]],
	]);
	expect(
		sent.map(({ text }) => [text.includes("kafka_topic = n.kafka_topic"), text.includes("t.kafka_topic is not distinct from")]),
	).toEqual([
		[false, true],
		[true, true],
		[false, false],
	]);
});

it("a row that a trigger keeps out is looked for once more, and has moved", async () => {
	const answers = [
		[{ written: 0, deleted: 0, candidates_new: 1, fresh: 1, replay: 0, older: 0, total: 1 }],
		[{ suppressed: 1, suppressed_new: 1, replay: 0, older: 0, other_partition: 0 }],
	];
	answer = () => answers.shift() ?? [];
	const replacement = replacementIn();
	await replacement.write(replacements("over", 1));
	expect([sent.length, replacement.counts]).toEqual([2, { added: 0, changed: 0, removed: 0, moved: 1 }]);
});

it("a statement has two thousand rows at most", async () => {
	await replacementIn().write(replacements("away", 2_001));
	expect(sent.map(({ ids }) => ids.length)).toEqual([2_000, 1]);
});

it("rows that others are in the way of are tried again as long as that helps", async () => {
	const done = new Set<string>();
	const behind: Record<string, string> = { c: "b", b: "a" };
	answer = (_, ids) => {
		if (ids.some((id) => behind[id] !== undefined && !done.has(behind[id]))) throw refusal("23505");
		for (const id of ids) done.add(id);
		return ids.map((id) => ({ id }));
	};
	const replacement = replacementIn();
	await replacement.write(["c", "b", "a"].map((id) => replacementOf("exactly", id)));
	expect([[...done], await replacement.conclude(), [...done], replacement.counts.changed]).toEqual([["a"], [], ["a", "b", "c"], 3]);
});

it("a row that the server refuses is found by halving and told, and the next call tries it again", async () => {
	answer = (_, ids) => {
		if (ids.includes("exactly-5")) throw refusal("22003");
		return ids.map((id) => ({ id }));
	};
	const replacement = replacementIn();
	await replacement.write(replacements("exactly", 9));
	const refused = { table: "events", id: "exactly-5", sqlstate: "22003", message: expect.stringContaining("numeric_value_out_of_range") };
	expect([await replacement.conclude(), replacement.counts.changed]).toEqual([[refused], 8]);
	answer = (_, ids) => ids.map((id) => ({ id }));
	expect([await replacement.conclude(), await replacement.conclude(), replacement.counts.changed]).toEqual([[], [], 9]);
});

it("a database that is away is waited for, which is told; another error ends it", async () => {
	const errors = ["ECONNREFUSED", "57P01", "42P01"];
	answer = () => {
		throw refusal(errors.shift() as string);
	};
	const fate = replacementIn()
		.write(replacements("away", 1))
		.catch(({ code }: { code: string }) => code);
	await clock.advance(0);
	expect([sent.length, clock.pending]).toEqual([1, [500]]);
	await clock.advance(1_000);
	expect([await fate, sent.length, waited]).toEqual(["42P01", 3, ["ECONNREFUSED: refused", expect.stringContaining("57P01")]]);
});

it("who is told to end waits for no database", async () => {
	answer = () => {
		ending.abort(new Error("ended"));
		throw refusal("ECONNREFUSED");
	};
	await expect(replacementIn().write(replacements("away", 1))).rejects.toThrow("ended");
	expect(waited).toEqual([]);
});
