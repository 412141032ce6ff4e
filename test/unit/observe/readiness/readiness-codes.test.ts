import { describe, expect, it } from "vitest";
import { readinessCodes } from "../../../../src/observe/readiness-codes.ts";
import { pageWith, renderReadinessTable } from "../../../support/project/docs-tables.ts";

const page = new URL("../../../../docs/failures.md", import.meta.url);

describe("the codes of /readyz", () => {
	// `UPDATE_DOCS=1 npx vitest run --config config/vitest.config.ts test/unit/observe/readiness/readiness-codes.test.ts` writes the table.
	it("are the handbook's table, with what each means, what to look at, what to do and when it ends", () => {
		const { text, wanted } = pageWith(page, { readiness: renderReadinessTable() });
		expect(text).toBe(wanted);
	});

	it("say something in every column", () => {
		for (const [code, { means, look, remedy, ends }] of Object.entries(readinessCodes)) {
			for (const text of [means, look, remedy, ends]) expect(text, code).toMatch(/^\S.*[^.]$/);
		}
	});
});
