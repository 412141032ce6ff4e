/** README's first handler, over records as topics have them. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it } from "vitest";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const readme = await readFile(new URL("../../../README.md", import.meta.url), "utf8");
const source = /^```js\n(\/\/ example-consumer\.mjs\n[\s\S]*?)^```$/m.exec(readme)?.[1] ?? "";

it.each([
	["an event", "k", '{"name":"a","amount":3}', { id: "k", fields: { name: "a", amount: 3 } }],
	["an event without an amount", "k", '{"name":"a"}', { id: "k", fields: { name: "a", amount: undefined } }],
	["a tombstone", "k", null, { id: "k", delete: true }],
	["no key", null, '{"name":"a"}', { reject: "an event needs a key" }],
	["neither", null, null, { reject: "an event needs a key" }],
	["no JSON", "k", "{", { reject: "not JSON" }],
	["an empty value", "k", "", { reject: "not JSON" }],
	["a JSON null", "k", "null", { reject: "an event needs a name" }],
	["a list", "k", "[1]", { reject: "an event needs a name" }],
	["bytes that are no text", "k", "\xff\xfe", { reject: "not JSON" }],
])("README's first handler takes %s", async (_, key, value, outcome) => {
	await using folder = await temporaryFolder();
	const file = join(folder.path, "example-consumer.mjs");
	await writeFile(file, source);
	const { handleMessage } = await import(pathToFileURL(file).href);
	const bytes = (text: string | null) => (text === null ? null : Buffer.from(text, "latin1"));
	expect(handleMessage({ key: bytes(key), value: bytes(value) })).toEqual(outcome);
});
