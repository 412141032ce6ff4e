import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { faultTests } from "../support/fault-table.ts";

const project = new URL("../../", import.meta.url);

it("the README's fault table has a test for each row, and a row for each of these tests", async () => {
	const readme = await readFile(new URL("README.md", project), "utf8");
	const [, table = ""] = /<!-- faults -->\n([\s\S]*?)<!-- \/faults -->/.exec(readme) ?? [];
	const rows = table.trim().split("\n").slice(2);
	expect(rows.map((row) => row.split(" | ")[0]?.replace(/^\| /, ""))).toEqual(Object.keys(faultTests));
	for (const [file, title] of Object.values(faultTests).flat()) {
		expect(await readFile(new URL(file, project), "utf8"), file).toContain(title);
	}
});
