import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { heldElsewhere } from "../../operations/elsewhere.ts";
import { faultTests, type TestName } from "../../support/project/fault-table.ts";

const project = new URL("../../../", import.meta.url);

it("the handbook's fault table has a test for each row, and a row for each of these tests", async () => {
	const page = await readFile(new URL("docs/faults.md", project), "utf8");
	const [, table = ""] = /<!-- faults -->\n([\s\S]*?)<!-- \/faults -->/.exec(page) ?? [];
	const rows = table.trim().split("\n").slice(2);
	expect(rows.map((row) => row.split(" | ")[0]?.replace(/^\| /, ""))).toEqual(Object.keys(faultTests));
	await expectThere(faultTests);
});

it("the operations that are held elsewhere are held by tests that there are", () => expectThere(heldElsewhere));

async function expectThere(tests: Readonly<Record<string, readonly TestName[]>>): Promise<void> {
	for (const [file, title] of Object.values(tests).flat()) {
		expect(await readFile(new URL(file, project), "utf8"), file).toContain(title);
	}
}
