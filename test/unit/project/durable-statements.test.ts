/** No statement that writes is without the words that make its commit durable, also one that is written later. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const source = new URL("../../../src/", import.meta.url).pathname;
const writes = /\b(insert into|update|delete from) \$\{/g;

describe("statements that write", () => {
	const files = (readdirSync(source, { recursive: true }) as string[])
		.filter((file) => file.endsWith(".ts"))
		.filter((file) => readFileSync(source + file, "utf8").search(writes) >= 0);

	it("are found", () => {
		expect(files).toEqual(expect.arrayContaining(["sink/writer/sql/cas-upsert.ts", "sink/dead-letters/dead-letter-table-store.ts"]));
	});

	it.each(files)("commit durably, each of them: %s", (file) => {
		const text = readFileSync(source + file, "utf8").replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
		// The words, and constants that hold them.
		const words = ["durably", ...[...text.matchAll(/const (\w+) = `[^`]*\$\{durably\}/g)].map(([, name]) => name)];
		const [, ...returned] = text.split(/\breturning /);
		const weak = returned.filter((answer) => !words.some((word) => answer.includes(`\${${word}}`)));
		expect(weak.map((answer) => answer.split("\n", 1)[0])).toEqual([]);
		expect(returned.length).toBeGreaterThanOrEqual([...text.matchAll(writes)].length);
	});
});
