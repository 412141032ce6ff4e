/** What the handbook says of handlers that misbehave is what the suite of hostile handlers plays. */
import { describe, expect, it } from "vitest";
import { hostileKinds } from "../../hostile/cases.ts";
import { renderCases, renderKinds } from "../../hostile/handbook.ts";
import { pageWith } from "../../support/project/docs-tables.ts";

const page = new URL("../../../docs/handlers.md", import.meta.url);

describe("the handbook's page about handlers", () => {
	// `UPDATE_DOCS=1 npx vitest run --config config/vitest.config.ts test/unit/project/handbook.test.ts` writes the tables.
	it("has the tables of the suite of hostile handlers", () => {
		const { text, wanted } = pageWith(page, { kinds: renderKinds(hostileKinds), cases: renderCases(hostileKinds) });
		expect(text).toBe(wanted);
	});

	it("names every case once", () => {
		const names = hostileKinds.flatMap(({ title, cases }) => cases.map(({ what }) => `${title}: ${what}`));
		expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
	});
});
