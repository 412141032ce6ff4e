/** No statement that writes is without the words that make its commit durable, also one that is written later. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const source = new URL("../../../src/", import.meta.url).pathname;
const writes = /\b(insert into|update) \$\{/;

describe("statements that write", () => {
	const files = (readdirSync(source, { recursive: true }) as string[])
		.filter((file) => file.endsWith(".ts"))
		.filter((file) => writes.test(readFileSync(source + file, "utf8")));

	it("are found", () => {
		expect(files).toContain("sink/writer/sql/cas-upsert.ts");
	});

	it.each(files)("commit durably: %s", (file) => {
		const text = readFileSync(source + file, "utf8");
		const given = text.split("${durably}").length - 1;
		expect(given).toBeGreaterThan(0);
	});
});
