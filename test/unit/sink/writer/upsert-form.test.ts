import { expect, it } from "vitest";
import { UpsertForm } from "../../../../src/sink/writer/tuning/upsert-form.ts";

const counts = (stale = {}) => ({
	inserted: 3,
	updated: 2,
	deleted: 1,
	suppressed: 0,
	stale: { replay: 0, older: 0, other_partition: 0, ...stale },
});

it("a table is written first while no stale rows come: not at the start, nor behind stale rows of any kind, nor behind a failure", () => {
	const form = new UpsertForm();
	const seen = [form.writesFirst];
	for (const stale of [{}, { replay: 1 }, {}, { older: 1 }, {}, { other_partition: 1 }, {}]) {
		form.answered(counts(stale));
		seen.push(form.writesFirst);
	}
	form.failed();
	expect([...seen, form.writesFirst]).toEqual([false, true, false, true, false, true, false, true, false]);
});

it("a table that is not fit for it is read first for good", () => {
	const form = new UpsertForm();
	form.foundUnfit();
	form.answered(counts());
	expect(form.writesFirst).toBe(false);
});
