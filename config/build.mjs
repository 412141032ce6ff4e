/**
 * Compiles `src` into `dist`, beside which it is made first: what didn't change isn't touched, what did is renamed into place, file by
 * file. A daemon of the same clone that loads a module meanwhile (`npm test` builds) finds whole files, and those it knows while nothing
 * changed.
 *
 * The command line and the threads' entry are bundled, too, with the packages they use: Node takes about a millisecond of CPU for each of
 * the 800 files that a daemon would load otherwise (docs/performance.md has what it saves).
 */
import { spawnSync } from "node:child_process";
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { build } from "esbuild";

/** Makes the folder `to` what `from` is; takes the files of `from`. Returns how many were changed or removed. */
export function replaceFiles(from, to) {
	let changed = 0;
	const wanted = new Set(filesIn(from));
	for (const name of wanted) {
		const [source, target] = [join(from, name), join(to, name)];
		if (existsSync(target) && readFileSync(source).equals(readFileSync(target))) continue;
		mkdirSync(dirname(target), { recursive: true });
		// `npm link` makes the command's file executable.
		if (existsSync(target)) chmodSync(source, statSync(target).mode & 0o777);
		renameSync(source, target);
		changed++;
	}
	for (const name of filesIn(to)) {
		if (wanted.has(name)) continue;
		rmSync(join(to, name));
		changed++;
	}
	return changed;
}

function filesIn(folder) {
	if (!existsSync(folder)) return [];
	const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
	return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

/**
 * What the command is. Node 22 keeps what it compiled, in a folder that nobody else can write to; where this process can't either, nothing
 * is kept.
 */
const commandFile = `#!/usr/bin/env node
import module from "node:module";
import { fileURLToPath } from "node:url";
module.enableCompileCache?.(fileURLToPath(new URL("compile-cache", import.meta.url)));
await import("./bundle/main.js");
`;

/** The licences of the packages that these files belong to: each asks that its text goes with a copy. */
function licencesOf(files) {
	const folders = files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
	return [...new Set(folders)]
		.sort()
		.map((folder) => {
			const { name, version, license, author } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
			const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
			const text = file ? readFileSync(join(folder, file), "utf8").trim() : `${license}, ${author?.name ?? author ?? "see its package"}`;
			return `${name} ${version}\n\n${text}\n`;
		})
		.join(`\n${"-".repeat(78)}\n\n`);
}

/** How both are bundled. */
export const bundleOptions = {
	bundle: true,
	format: "esm",
	platform: "node",
	target: "node20",
	// They load files beside themselves.
	external: ["node-rdkafka", "piscina"],
	// Of packages that are CommonJS.
	banner: { js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);' },
	sourcemap: true,
	sourcesContent: false,
	logLevel: "warning",
};

/**
 * Bundles `src` of `root` into `made`, in which it is compiled already: the names that commands and threads begin with lead to the bundles.
 * Stack traces name lines of `src` with `node --enable-source-maps`.
 */
export async function bundle(root, made) {
	const options = { ...bundleOptions, absWorkingDir: root, outdir: join(made, "bundle"), metafile: true };
	const command = await build({ ...options, entryPoints: [join(root, "src/main.ts")], splitting: true });
	// One file: it is loaded by every thread.
	const thread = await build({ ...options, entryPoints: [join(root, "src/worker/inside/thread-entry.ts")] });
	const files = [command, thread].flatMap(({ metafile }) => Object.keys(metafile.inputs));
	writeFileSync(join(made, "bundle/LICENSES.txt"), licencesOf(files.map((file) => resolve(root, file))));
	writeFileSync(join(made, "main.js"), commandFile);
	writeFileSync(join(made, "worker/inside/thread-entry.js"), 'export { default } from "../../bundle/thread-entry.js";\n');
}

if (process.argv[1] === import.meta.filename) {
	const root = dirname(import.meta.dirname);
	const packageFile = createRequire(import.meta.url).resolve("typescript/package.json");
	const tsc = join(dirname(packageFile), JSON.parse(readFileSync(packageFile, "utf8")).bin.tsc);
	// As deep as `dist`: source maps name their sources by relative paths.
	const made = mkdtempSync(join(root, "dist.next-"));
	try {
		const { status } = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.json"), "--outDir", made], { stdio: "inherit" });
		if (status === 0) {
			await bundle(root, made);
			replaceFiles(made, join(root, "dist"));
		}
		process.exitCode = status ?? 1;
	} finally {
		rmSync(made, { recursive: true, force: true });
	}
}
