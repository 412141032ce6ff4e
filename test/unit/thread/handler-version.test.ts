import { execFileSync } from "node:child_process";
import { mkdir, rm, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { handlerVersion } from "../../../src/worker/thread/handler-version.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeEach(async () => {
	folder = await temporaryFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

async function write(files: Record<string, string>, under = ""): Promise<string> {
	for (const [name, text] of Object.entries(files)) {
		const path = join(folder.path, under, name);
		await mkdir(dirname(path), { recursive: true });
		await writeFile(path, text);
	}
	return join(folder.path, under, "handler.mjs");
}

const files = {
	"handler.mjs": 'import { a } from "./lib/a.mjs";\nimport { b } from "b-package/deep";\nconst c = await import("./c.mjs");',
	"lib/a.mjs":
		'import { createRequire } from "node:module";\nexport * from "../handler.mjs";\ncreateRequire(import.meta.url)("./d.json");\nrequire("./e");',
	"lib/e.js": "",
	"c.mjs": "",
	"node_modules/b-package/package.json": '{"version": "1.0.0"}',
	"beside.mjs": "not imported",
};

it("is the same for the same files, wherever they lie", async () => {
	const version = await handlerVersion(await write(files, "here"));
	expect(version).toMatch(/^[0-9a-f]{12}$/);
	expect(await handlerVersion(await write(files, "there/deeper"))).toBe(version);
});

it.each([
	["the module", "handler.mjs", `${files["handler.mjs"]}//`, true],
	["what it imports", "lib/a.mjs", `${files["lib/a.mjs"]}//`, true],
	["what that requires, without its ending", "lib/e.js", "1", true],
	["what it imports when it runs", "c.mjs", "1", true],
	["a package's version", "node_modules/b-package/package.json", '{"version": "1.0.1"}', true],
	["a file beside it", "beside.mjs", "1", false],
])("changes with %s: %s", async (_, name, text, changes) => {
	const before = await handlerVersion(await write(files));
	const after = await handlerVersion(await write({ [name]: text }));
	expect(after !== before).toBe(changes);
});

it("is not known where there is no module, is PocKaffe's own for built-in handlers, and ends with imports that lead nowhere", async () => {
	expect(await handlerVersion(join(folder.path, "gone.mjs"))).toBeNull();
	expect(await handlerVersion("pockaffe:json")).toMatch(/^\d+\.\d+\.\d+/);
	expect(await handlerVersion(await write({ "handler.mjs": 'import "./gone.mjs"; import "not-there";' }))).toMatch(/^[0-9a-f]{12}$/);
	await rm(join(folder.path, "handler.mjs"));
});

it.each([
	["a host's file", 'from "file://nas/x.csv"'],
	["a path with a coded slash", 'from "file:///a%2Fb"'],
	["a device", 'from "/dev/stdin"'],
	["a path with a NUL", 'from "./a\0b"'],
	["a pipe", 'from "./pipe.mjs"'],
	["an import within the package", 'from "#lib/a"'],
])("passes over what is no source: %s", async (_, named) => {
	execFileSync("mkfifo", [join(folder.path, "pipe.mjs")]);
	expect(await handlerVersion(await write({ "handler.mjs": `// ${named}` }))).toMatch(/^[0-9a-f]{12}$/);
});

it("does not read a file of no source's size", async () => {
	const handler = { "handler.mjs": 'import "./huge.mjs";' };
	const version = await handlerVersion(await write({ ...handler, "huge.mjs": "1" }));
	const huge = async (text: string) => {
		await write({ "huge.mjs": text });
		await truncate(join(folder.path, "huge.mjs"), 16 * 1024 * 1024 + 1);
		return await handlerVersion(join(folder.path, "handler.mjs"));
	};
	expect([await huge("1"), (await huge("1")) === version]).toEqual([await huge("2"), false]);
});
