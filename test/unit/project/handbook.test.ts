/** What the handbook says of handlers that misbehave is what the suite of hostile handlers plays. */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { hostileKinds } from "../../hostile/cases.ts";
import { renderCases, renderKinds, withTable } from "../../hostile/handbook.ts";

const page = new URL("../../../docs/handlers.md", import.meta.url);

describe("the handbook's page about handlers", () => {
	// `UPDATE_DOCS=1 npx vitest run --config config/vitest.config.ts test/unit/project/handbook.test.ts` writes the tables.
	it("has the tables of the suite of hostile handlers", () => {
		const text = readFileSync(page, "utf8");
		const updated = withTable(withTable(text, "kinds", renderKinds(hostileKinds)), "cases", renderCases(hostileKinds));
		if (process.env.UPDATE_DOCS) writeFileSync(page, updated);
		expect(readFileSync(page, "utf8")).toBe(updated);
	});

	it("names every case once", () => {
		const names = hostileKinds.flatMap(({ title, cases }) => cases.map(({ what }) => `${title}: ${what}`));
		expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
	});
});
