/**
 * What is loaded before a command does anything: Node takes about a millisecond of CPU for each file, and a daemon that starts late is a
 * partition that stands still. Whoever adds an import here that only some commands or moments need, loads it there.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { build, type Metafile } from "esbuild";
import { describe, expect, it } from "vitest";

const { bundleOptions } = (await import("../../../config/build.mjs" as string)) as { bundleOptions: Record<string, unknown> };

const root = new URL("../../../", import.meta.url).pathname;
const { outputs } = (
	await build({
		...bundleOptions,
		absWorkingDir: root,
		entryPoints: ["src/main.ts"],
		outdir: "dist/bundle",
		splitting: true,
		write: false,
		metafile: true,
	})
).metafile as Metafile;

/** What comes with the file that has `source` as its entry: packages, and our own files. */
function loadedWith(source: string): { packages: string[]; builtIns: string[]; own: string[]; kilobytes: number } {
	const [entry] = Object.entries(outputs).find(([, output]) => output.entryPoint === source) ?? [""];
	const files = new Set([entry]);
	// A set takes in what is added while it is walked.
	for (const file of files)
		for (const { kind, path } of outputs[file]?.imports ?? []) if (kind === "import-statement" && path in outputs) files.add(path);
	const used = [...files].flatMap((file) =>
		Object.entries(outputs[file]?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0),
	);
	const outside = [...files].flatMap((file) => (outputs[file]?.imports ?? []).filter(({ external }) => external).map(({ path }) => path));
	const inside = used.flatMap(([path]) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []);
	return {
		packages: [...new Set([...inside, ...outside.filter((path) => !path.startsWith("node:") && path in dependencies)])].sort(),
		builtIns: outside.filter((path) => !(path in dependencies)),
		own: used.map(([path]) => path).filter((path) => path.startsWith("src/")),
		kilobytes: used.reduce((sum, [, { bytesInOutput }]) => sum + bytesInOutput, 0) / 1_000,
	};
}

it("the bundle has the licences of what is in it", () => {
	const licences = readFileSync(join(root, "dist/bundle/LICENSES.txt"), "utf8");
	const packages = Object.values(outputs).flatMap(({ inputs }) =>
		Object.keys(inputs).flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
	);
	expect(packages.length).toBeGreaterThan(100);
	const named = new Set([...licences.matchAll(/^(\S+) \d\S*$/gm)].map(([, name]) => name));
	expect([...new Set(packages)].filter((name) => !named.has(name))).toEqual([]);
	expect(licences.match(/Permission is hereby granted/g)?.length).toBeGreaterThan(20);
});

const { dependencies } = (await import("../../../package.json", { with: { type: "json" } })).default as {
	dependencies: Readonly<Record<string, string>>;
};

describe("what is loaded", () => {
	it("for --version and --help is the command line alone", () => {
		const { packages, own, kilobytes } = loadedWith("src/main.ts");
		expect(packages).toEqual(["commander"]);
		expect(own.filter((path) => !/^src\/(main\.ts|commands|core)/.test(path))).toEqual([
			"src/audit/verification/requirements.ts",
			"src/worker/thread/living-threads.ts",
		]);
		expect(kilobytes).toBeLessThan(200);
	});

	it("for run is what a daemon works with", () => {
		const { packages, builtIns, own } = loadedWith("src/commands/run.ts");
		expect(packages.filter((name) => name in dependencies)).toEqual([
			"chokidar",
			"eventemitter3",
			"fastest-levenshtein",
			"node-rdkafka",
			"pino",
			"piscina",
			"postgres",
			"prom-client",
			"yaml",
			"zod",
		]);
		expect(builtIns).toContain("node:crypto");
		// An import of node:http loads fetch and HTTP/2 with Node 22 (observe/http/http-server.ts).
		expect(builtIns.filter((path) => /^node:http|http2|inspector|repl/.test(path))).toEqual([]);
		expect(own.filter((path) => /^src\/(audit|commands\/(audit|check|dead-letters|offsets|terminal))/.test(path))).toEqual([]);
	});

	it("for run is without Node's fetch, which whoever names Request or Response loads", () => {
		const script = `await import("./dist/commands/run.js"); console.log(JSON.stringify(process.moduleLoadList))`;
		const loaded = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: root, encoding: "utf8" });
		expect(loaded).toContain("NativeModule http");
		expect(loaded).not.toContain("undici");
	});
});
