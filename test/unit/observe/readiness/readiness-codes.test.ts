import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readinessCodes, renderReadinessTable, withReadinessTable } from "../../../../src/observe/readiness-codes.ts";

const page = new URL("../../../../docs/failures.md", import.meta.url);

describe("the codes of /readyz", () => {
	// `UPDATE_DOCS=1 npx vitest run --config config/vitest.config.ts test/unit/observe/readiness/readiness-codes.test.ts` writes the table.
	it("are the handbook's table, with what each means, what to look at, what to do and when it ends", () => {
		if (process.env.UPDATE_DOCS) writeFileSync(page, withReadinessTable(readFileSync(page, "utf8")));
		const text = readFileSync(page, "utf8");
		expect(text).toContain(renderReadinessTable());
		expect(withReadinessTable(text)).toBe(text);
	});

	it("say something in every column", () => {
		for (const [code, { means, look, remedy, ends }] of Object.entries(readinessCodes)) {
			for (const text of [means, look, remedy, ends]) expect(text, code).toMatch(/^\S.*[^.]$/);
		}
	});
});
