/**
 * Which handler runs: a hash of its module and of what it imports from files, with the versions of the packages it imports. The same files
 * give the same version wherever they lie. What it doesn't know: files that are imported by a computed path or read as data, what
 * packages import, and an `imports` map.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../core/package-root.ts";

/** What is quoted behind `from`, `import` and `require`. In a comment or a text too: a file more changes nothing. */
const IMPORTED = /\b(?:from|import|require)\s*\(?\s*(["'])([^"'\n]+)\1/g;
/** As CommonJS may leave them out. */
const ENDINGS = ["", ".js", ".cjs", ".mjs", ".json", "/index.js"];
/** A handler of more files is not looked through to its end. */
const MOST_FILES = 1_000;
/** A file beyond is no source. */
const MOST_BYTES = 16 * 1024 * 1024;
/** In characters: enough to tell versions apart, and few enough to be read out. */
const LENGTH = 12;

/** The version of the handler on disk now; null where its module can't be read. A built-in one has PocKaffe's own. Never rejects. */
export async function handlerVersion(module: string): Promise<string | null> {
	// No fault of a version may keep a handler from running.
	return await versionOnDisk(module).catch(() => null);
}

async function versionOnDisk(module: string): Promise<string | null> {
	if (module.startsWith("pockaffe:")) return await versionOf(fileURLToPath(packageRoot));
	const root = dirname(module);
	const [files, packages] = [new Map<string, string>(), new Map<string, string>()];
	const waiting = [module];
	for (let next = waiting.pop(); next !== undefined && files.size < MOST_FILES; next = waiting.pop()) {
		const [path, text] = (await fileAt(next)) ?? [];
		if (path === undefined || text === undefined || files.has(path)) continue;
		files.set(path, hashOf(text));
		for (const [, , specifier = ""] of text.matchAll(IMPORTED)) {
			if (isPath(specifier)) waiting.push(...pathOf(specifier, dirname(path)));
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

/** None where it only looks like one: "file://nas/x.csv" in a comment. */
function pathOf(specifier: string, folder: string): string[] {
	try {
		return [specifier.startsWith("file:") ? fileURLToPath(specifier) : resolve(folder, specifier)];
	} catch {
		return [];
	}
}

async function fileAt(path: string): Promise<readonly [path: string, text: string] | null> {
	for (const ending of ENDINGS) {
		const text = await sourceText(path + ending).catch(() => null);
		if (text !== null) return [path + ending, text];
	}
	return null;
}

/** Null for what is no plain file of a source's size. Opened without waiting: what is named may be a pipe or a terminal. */
async function sourceText(path: string): Promise<string | null> {
	await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
	const found = await file.stat();
	return found.isFile() && found.size <= MOST_BYTES ? await file.readFile("utf8") : null;
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
		return String((JSON.parse((await sourceText(join(folder, "package.json"))) ?? "") as { version?: unknown }).version);
	} catch {
		return null;
	}
}

function hashOf(text: string): string {
	return createHash("sha256").update(text).digest("hex");
}
