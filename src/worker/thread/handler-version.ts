/**
 * Which handler runs: a hash of its module and of what it imports from files, with the versions of the packages it imports. The same files
 * give the same version wherever they lie. What it doesn't know: files that are imported by a computed path or read as data, what
 * packages import, and an `imports` map.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** What is quoted behind `from`, `import` and `require`. In a comment or a text too: a file more changes nothing. */
const IMPORTED = /\b(?:from|import|require)\s*\(?\s*(["'])([^"'\n]+)\1/g;
/** As CommonJS may leave them out. */
const ENDINGS = ["", ".js", ".cjs", ".mjs", ".json", "/index.js"];
/** A handler of more files is not looked through to its end. */
const MOST_FILES = 1_000;
/** In characters: enough to tell versions apart, and few enough to be read out. */
const LENGTH = 12;

/** The version of the handler on disk now; null where its module can't be read. A built-in one has PocKaffe's own. */
export async function handlerVersion(module: string): Promise<string | null> {
	if (module.startsWith("pockaffe:")) return await versionOf(join(import.meta.dirname, "../../.."));
	const root = dirname(module);
	const [files, packages] = [new Map<string, string>(), new Map<string, string>()];
	const open = [module];
	for (let next = open.pop(); next !== undefined && files.size < MOST_FILES; next = open.pop()) {
		const [path, text] = (await fileAt(next)) ?? [];
		if (path === undefined || text === undefined || files.has(path)) continue;
		files.set(path, hashOf(text));
		for (const [, , specifier = ""] of text.matchAll(IMPORTED)) {
			if (isPath(specifier)) open.push(specifier.startsWith("file:") ? fileURLToPath(specifier) : resolve(dirname(path), specifier));
			else await addPackage(packages, specifier, dirname(path));
		}
	}
	if (!files.has(module)) return null;
	const parts = [...files].map(([path, hash]) => `${relative(root, path).split(sep).join("/")} ${hash}`).concat([...packages.values()]);
	return hashOf(parts.sort().join("\n")).slice(0, LENGTH);
}

function isPath(specifier: string): boolean {
	return /^(?:\.\.?\/|\/|file:)/.test(specifier);
}

async function fileAt(path: string): Promise<readonly [path: string, text: string] | null> {
	for (const ending of ENDINGS) {
		const text = await readFile(path + ending, "utf8").catch(() => null);
		if (text !== null) return [path + ending, text];
	}
	return null;
}

async function addPackage(packages: Map<string, string>, specifier: string, from: string): Promise<void> {
	const name = /^(?:@[\w.-]+\/)?[\w.-]+/.exec(specifier)?.[0];
	if (name === undefined || packages.has(name) || specifier.startsWith("node:") || builtinModules.includes(name)) return;
	for (let folder = from; ; folder = dirname(folder)) {
		const version = await versionOf(join(folder, "node_modules", name));
		if (version !== null) {
			packages.set(name, `${name}@${version}`);
			return;
		}
		if (folder === dirname(folder)) return;
	}
}

async function versionOf(folder: string): Promise<string | null> {
	try {
		return String((JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version?: unknown }).version);
	} catch {
		return null;
	}
}

function hashOf(text: string): string {
	return createHash("sha256").update(text).digest("hex");
}
