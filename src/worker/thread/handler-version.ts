/**
 * Which version of the handler runs: a hash of its module, of the files that it imports, and of the versions of imported packages. The same
 * files give the same version wherever they lie. Not covered: files imported by a computed path or read as data, what packages import, and
 * an `imports` map.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../core/package.ts";

/** Quoted text after `from`, `import` or `require`. A match in a comment or string does no harm: it only adds a file. */
const IMPORTED = /\b(?:from|import|require)\s*\(?\s*(["'])([^"'\n]+)\1/g;
/** Endings that CommonJS lets an import leave out. */
const ENDINGS = ["", ".js", ".cjs", ".mjs", ".json", "/index.js"];
/** Maximum number of files that are read. */
const MOST_FILES = 1_000;
/** A larger file is not source code. */
const MOST_BYTES = 16 * 1024 * 1024;
/** Characters of a version: enough to tell versions apart, few enough to read aloud. */
const LENGTH = 12;

/**
 * The version of the handler that is on disk now; null if its module can't be read. A built-in handler has PocKaffe's version. Never
 * rejects.
 */
export async function handlerVersion(module: string): Promise<string | null> {
	// A failure to compute the version must not keep a handler from running.
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

/** The file's path. None if the text only looks like an import: "file://nas/x.csv" in a comment. */
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

/** The source text; null if it is not a plain file, or too large. Opened without blocking: the path may name a pipe or a terminal. */
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
