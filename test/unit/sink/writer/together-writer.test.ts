/** Statements of several tables in one transaction: when they are tried again, and who is told what. */
import { beforeEach, describe, expect, it } from "vitest";
import type { DatabaseRow } from "../../../../src/sink/database/database.ts";
import type { WritingPlace } from "../../../../src/sink/writer/lane.ts";
import type { RowWriter } from "../../../../src/sink/writer/row-writer.ts";
import { type TogetherStatement, TogetherWriter } from "../../../../src/sink/writer/together-writer.ts";
import type { Writing } from "../../../../src/sink/writer/writing.ts";
import { layoutOf } from "../../../support/fakes/row-submissions.ts";

/** What happened, in order. */
let told: string[];
/** What each transaction meets; then it is written. */
let meets: { readonly code: string; readonly statement?: number; readonly message?: string }[];
let mayWait: boolean;
let ending: AbortController;

beforeEach(() => {
	[told, meets, mayWait, ending] = [[], [], true, new AbortController()];
});

const place = { unsettled: { rows: 1 } } as unknown as WritingPlace;

function writer(): TogetherWriter {
	const tables = ["events", "lines"];
	const answer = (what: string, result: unknown) => {
		told.push(what);
		const met = meets.shift();
		if (met) throw Object.assign(new Error(met.message ?? "x"), met);
		return result;
	};
	const parts = {
		ended: ending.signal,
		listener: { progressed: () => told.push("progressed"), mended: () => told.push("mended") },
		database: {
			query: async (_: string, __: unknown, limits?: object) => answer(`alone${limits ? " within limits" : ""}`, [{ applied: 1 }]),
			transaction: async (texts: readonly unknown[]) =>
				answer(
					`${texts.length} together`,
					texts.map((): DatabaseRow[] => [{ applied: 1 }]),
				),
		},
	};
	const writings = tables.map((name) => [
		name,
		{
			parts,
			layout: layoutOf({ name }),
			timed: async (run: () => Promise<unknown>) => ({ answer: await run(), durationMs: 8 }),
			waitAfter: async ({ code }: { code: string }, _: unknown, failures: number) => {
				told.push(`waits after ${code}, ${failures}`);
				return mayWait;
			},
		} as unknown as Writing,
	]);
	const writers = tables.map((name) => [
		name,
		{
			statement: () => ({ text: name, parameters: [] }),
			written: (rows: readonly unknown[], _: unknown, { durationMs }: { durationMs: number }) =>
				told.push(`${rows.length} of ${name} in ${durationMs} ms`),
		} as unknown as RowWriter,
	]);
	return new TogetherWriter(new Map(writings as never), new Map(writers as never));
}

const statement = (table: string, rows: number, over: Partial<TogetherStatement> = {}) =>
	({ table, rows: Array(rows).fill({}), isById: true, ...over }) as unknown as TogetherStatement;
const both = [statement("events", 2), statement("lines", 3)];

describe("statements that are written together", () => {
	it("are one transaction, and their owners are told of each table's rows, once the last is done", async () => {
		expect(await writer().write(place, both, "linger")).toBeNull();
		expect(told).toEqual(["2 together", "2 of events in 4 ms", "progressed", "3 of lines in 4 ms", "mended"]);
		expect(place.unsettled).toBeNull();
	});

	it("that put rows aside only tell nobody", async () => {
		await writer().write(place, [statement("events", 2, { isAside: true }), ...both], "linger");
		expect(told.filter((each) => each.includes(" of "))).toHaveLength(2);
	});

	it("is a query where there is one", async () => {
		await writer().try([statement("lines", 1)], { trigger: "linger", limits: { statementTimeoutMs: 5 } as never, settling: () => {} });
		expect(told).toEqual(["alone within limits", "1 of lines in 8 ms"]);
	});

	it("are tried again behind what passes, with a wait for each failure in a row", async () => {
		meets = [{ code: "40001" }, { code: "42P01" }];
		expect(await writer().write(place, both, "linger")).toBeNull();
		expect(told.filter((each) => each.includes("waits") || each.includes("together"))).toEqual([
			...["2 together", "waits after 40001, 1", "2 together", "waits after 42P01, 2", "2 together"],
		]);
	});

	it("are given up where the writer ends during the wait", async () => {
		[meets, mayWait] = [[{ code: "57P01" }], false];
		expect(await writer().write(place, both, "linger")).toBeNull();
		expect(told).toEqual(["2 together", "waits after 57P01, 1"]);
	});

	it.each(["22003", "23503", "21000"])(
		"are not tried again where rows are in the way (%s): which statement met it is told",
		async (code) => {
			meets = [{ code, statement: 1, message: "why" }];
			expect(await writer().write(place, both, "linger")).toMatchObject({ statement: 1, problem: { code } });
			expect(told).toEqual(["2 together"]);
		},
	);

	it("tell nobody once the writer has ended", async () => {
		ending.abort();
		expect(await writer().write(place, both, "linger")).toBeNull();
		expect(told).toEqual(["2 together"]);
	});
});
