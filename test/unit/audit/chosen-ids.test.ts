import { describe, expect, it } from "vitest";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import { namedIds, SampledIds } from "../../../src/sink/comparison/chosen-ids.ts";
import { type ExpectedRow, ExpectedRows } from "../../../src/sink/comparison/expected-rows.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const all = Array.from({ length: 5_000 }, (_, index) => `id ${index}`);

function sampled(size: number, seed: number, order = all): string[] {
	const ids = new SampledIds(size, seed);
	for (const id of [...order, ...order]) ids.admit(id);
	return all.filter((id) => ids.has(id));
}

describe("ids by lot", () => {
	it("are as many as asked for, the same in whatever order they come, others by another seed", () => {
		const first = sampled(100, 1);
		expect(first.length).toBe(100);
		expect(sampled(100, 1, [...all].reverse())).toEqual(first);
		const second = sampled(100, 2);
		expect(second.length).toBe(100);
		expect(second.filter((id) => first.includes(id)).length).toBeLessThan(20);
	});

	it("are from everywhere", () => {
		const quarters = [0, 0, 0, 0];
		for (const id of sampled(1_000, 3)) quarters[Math.floor(all.indexOf(id) / 1_250)]!++;
		for (const count of quarters) expect(count).toBeGreaterThan(180);
	});

	it("are all where there are no more", () => {
		expect(sampled(5_000, 1)).toEqual(all);
	});
});

describe("expected rows of chosen ids", () => {
	const layout = { name: "events", version: { kind: "timestamp" }, columns: [] } as unknown as TableLayout;
	const row = (id: string, offset: number): ExpectedRow => ({
		id,
		timestamp: offset,
		offset,
		partition: 0,
		topic: "t",
		isDelete: false,
		values: [],
		field: null,
		optional: false,
	});

	it.each([
		["named", () => namedIds(new Set(["id 7", "id 4999", "nowhere"])), 0],
		["by lot", () => new SampledIds(50, 5), 0],
		["by lot, more than fit into memory", () => new SampledIds(1_000, 5), 5],
	])("%s are kept alone, also on disk", async (_, chosen, leastRuns) => {
		await using folder = await temporaryFolder();
		const rows = new ExpectedRows({ layout, folder: folder.path, name: "t", chosen: chosen(), limit: { ids: 300, bytes: 1e9 } });
		for (const [offset, id] of [...all, ...all].entries()) {
			rows.add(row(id, offset));
			await rows.relieve();
		}
		expect(rows.runs).toBeGreaterThanOrEqual(leastRuns);
		if (leastRuns === 0) expect(rows.runs).toBe(0);
		const kept: string[] = [];
		for await (const [first] of rows.sorted()) kept.push(`${first?.id} ${first?.offset}`);
		const expected = all.filter((id) => rows.chosen.has(id)).map((id) => `${id} ${5_000 + all.indexOf(id)}`);
		expect(kept.sort()).toEqual(expected.sort());
	});
});
