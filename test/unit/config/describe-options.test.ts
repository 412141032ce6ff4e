import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { renderOptionHelp } from "../../../src/config/schema/describe-options.ts";
import { configSchema } from "../../../src/config/schema/schema.ts";
import { leaves } from "../../../src/config/schema/schema-leaves.ts";
import { pageWith, renderOptionTable } from "../../support/project/docs-tables.ts";
import { renderExampleFile } from "../../support/project/example-file.ts";

const exampleFile = new URL("../../../config/example.yaml", import.meta.url);
const page = new URL("../../../docs/configuration.md", import.meta.url);

// `UPDATE_DOCS=1 npx vitest run --config config/vitest.config.ts test/unit/config/describe-options.test.ts` writes both.
describe("what is written about the options", () => {
	it("equals config/example.yaml", () => {
		if (process.env.UPDATE_DOCS) writeFileSync(exampleFile, renderExampleFile());
		expect(readFileSync(exampleFile, "utf8")).toBe(renderExampleFile());
	});

	it("gives an example that is valid and, but for what must be set, the defaults", () => {
		const { config } = loadConfig({ file: exampleFile.pathname, environment: {}, cwd: "/" });
		const defaults = loadConfig({ environment: {}, cwd: "/" }).config;
		const { kafka, handler, database, tables, ...rest } = config;
		const { kafka: plainKafka, handler: plainHandler, database: plainDatabase, tables: _, ...plainRest } = defaults;
		expect(rest).toEqual(plainRest);
		expect({ ...kafka, brokers: [], group: "", topics: [] }).toEqual(plainKafka);
		expect({ ...handler, module: "" }).toEqual(plainHandler);
		expect({ ...database, url: "" }).toEqual(plainDatabase);
		expect(Object.keys(tables)).toEqual(["events"]);
	});

	it("names every option in the handbook's table, the example and the help", () => {
		const { text, wanted } = pageWith(page, { options: renderOptionTable() });
		expect(text).toBe(wanted);
		for (const { path, description } of leaves(configSchema)) {
			expect(renderOptionTable()).toContain(`\`${path.join(".")}\``);
			expect(renderOptionHelp()).toContain(`  ${path.join(".")}`);
			expect(description, path.join(".")).not.toBe("");
		}
	});
});
