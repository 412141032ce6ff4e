/**
 * The promises of the README and of docs/failures.md, and the tests that hold them: see test/support/project/promises.ts; whether those ran
 * is looked at behind each run.
 */
import { access, readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { unheldPromises } from "../../support/project/promise-reporter.ts";
import { failurePromises, leadingPromises } from "../../support/project/promises.ts";

const project = new URL("../../../", import.meta.url);
const textOf = (page: string) => readFile(new URL(page, project), "utf8");

describe("a promise", () => {
	it("in bold at the top of the README has tests", async () => {
		const [top = ""] = (await textOf("README.md")).split("\n## ", 1);
		expect([...top.matchAll(/^- \*\*(.+?)\.\*\*/gm)].map(([, words]) => words)).toEqual(Object.keys(leadingPromises));
	});

	it("in the handbook's table of what goes wrong has tests", async () => {
		const [, table = ""] =
			/\| what goes wrong \| what happens \|\n\| --- \| --- \|\n([\s\S]*?)\n\n/.exec(await textOf("docs/failures.md")) ?? [];
		const rows = table.split("\n").map((row) => row.split(" | ")[0]?.replace(/^\| /, ""));
		expect(rows).toEqual(Object.keys(failurePromises));
	});

	it("names files of tests that there are", async () => {
		for (const [file] of Object.values({ ...leadingPromises, ...failurePromises }).flat()) {
			await access(new URL(file, project));
		}
	});
});

describe("a promise is held", () => {
	const promises = { "all is well": [["a.test.ts", "goes %s by itself"] as const] };
	const unheld = (name: string, state: string) =>
		unheldPromises(promises, new Map([["a.test.ts", [{ name, state }]]])).map(({ promise, test, why }) => `${promise}: ${test}: ${why}`);

	it("by a test of that title that passed", () => {
		expect(unheld("the daemon > goes on by itself", "passed")).toEqual([]);
	});

	it("by none that was skipped, failed, or is not there", () => {
		expect(unheld("the daemon > goes on by itself", "skipped")).toEqual(["all is well: a.test.ts > goes %s by itself: skipped"]);
		expect(unheld("the daemon > goes on by itself", "failed")).toHaveLength(1);
		expect(unheld("the daemon > stops by itself", "passed")).toEqual(["all is well: a.test.ts > goes %s by itself: missing"]);
	});

	it("or left open where its file was not run", () => {
		expect(unheldPromises(promises, new Map())).toEqual([]);
	});
});
