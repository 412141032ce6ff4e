/** The files of docs/getting-started.md are a project that works: its test passes, its handler loads, its configuration is one. */
import { execFile } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const page = await readFile(new URL("../../../docs/getting-started.md", import.meta.url), "utf8");
const files = [...page.matchAll(/^```\w+ (\S+)\n([\s\S]*?)^```$/gm)].map(([, name, text]) => [name as string, text as string] as const);

it("has the files of a project, which pass their own test", async () => {
	expect(files.map(([name]) => name)).toEqual(["package.json", "handler.mjs", "handler.test.mjs", "pockaffe.yaml"]);
	await using folder = await temporaryFolder();
	for (const [name, text] of files) await writeFile(join(folder.path, name), text);
	// Node's test runner would take this run for its own.
	const { NODE_TEST_CONTEXT: _, ...env } = process.env;
	const { stdout } = await promisify(execFile)(process.execPath, ["--test", "--test-reporter=tap"], { cwd: folder.path, env });
	expect(stdout).toMatch(/^# pass 2$/m);
	const { config } = loadConfig({ file: "pockaffe.yaml", environment: { DATABASE_URL: "postgres://u@localhost/d" }, cwd: folder.path });
	expect(config).toMatchObject({ kafka: { topics: ["orders"] }, handler: { module: join(folder.path, "handler.mjs") } });
	const { scripts } = JSON.parse(files[0]?.[1] ?? "") as { scripts: Record<string, string> };
	expect(Object.keys(scripts).sort()).toEqual(["check", "start", "test"]);
});

it("fits the package's types", async () => {
	await using folder = await temporaryFolder();
	for (const [name, text] of files) await writeFile(join(folder.path, name), text);
	const root = new URL("../../../", import.meta.url).pathname;
	const options = {
		allowJs: true,
		checkJs: true,
		strict: true,
		noEmit: true,
		module: "nodenext",
		target: "es2023",
		types: ["node"],
		typeRoots: [join(root, "node_modules/@types")],
		paths: { pockaffe: [join(root, "dist/handler-api.d.ts")] },
	};
	const config = join(folder.path, "tsconfig.json");
	await writeFile(config, JSON.stringify({ compilerOptions: options, include: ["*.mjs"] }));
	const tsc = join(root, "node_modules/typescript/bin/tsc");
	const found = await promisify(execFile)(process.execPath, [tsc, "-p", config], { cwd: folder.path }).catch((error) => error);
	expect(found.stdout).toBe("");
});

it("has a handler in TypeScript, which its tsconfig.json compiles to a module that makes rows of two tables", async () => {
	await using folder = await temporaryFolder();
	const root = new URL("../../../", import.meta.url).pathname;
	const written = [...page.matchAll(/^```\w+\n\/\/ (\S+)\n([\s\S]*?)^```$/gm)].map(
		([, name, text]) => [name as string, text as string] as const,
	);
	expect(written.map(([name]) => name)).toEqual(["handler.ts", "tsconfig.json"]);
	for (const [name, text] of written) await writeFile(join(folder.path, name), text);
	await writeFile(join(folder.path, "package.json"), files[0]?.[1] ?? "");
	await mkdir(join(folder.path, "node_modules"));
	await symlink(root, join(folder.path, "node_modules/pockaffe"));
	await symlink(join(root, "node_modules/@types"), join(folder.path, "node_modules/@types"));
	const tsc = join(root, "node_modules/typescript/bin/tsc");
	const found = await promisify(execFile)(process.execPath, [tsc], { cwd: folder.path }).catch((error) => error);
	expect(found.stdout).toBe("");
	const script = `import { handleMessage } from "./built/handler.js";
		const value = Buffer.from('{"customer":"Ada","lines":[{"sku":"a","quantity":1}]}');
		console.log(JSON.stringify(handleMessage({ key: Buffer.from("7"), value }).map(({ table, id }) => [table, id])));`;
	const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { cwd: folder.path });
	expect(stdout.trim()).toBe('[["orders","7"],["order_lines","7-0"]]');
});
