/**
 * Compiles `src` into `dist`, beside which it is made first: what didn't change isn't touched, what did is renamed into place, file by file. A
 * daemon of the same clone that loads a module meanwhile (`npm test` builds) finds whole files, and those it knows while nothing changed.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

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

if (process.argv[1] === import.meta.filename) {
	const root = dirname(import.meta.dirname);
	const packageFile = createRequire(import.meta.url).resolve("typescript/package.json");
	const tsc = join(dirname(packageFile), JSON.parse(readFileSync(packageFile, "utf8")).bin.tsc);
	// As deep as `dist`: source maps name their sources by relative paths.
	const made = mkdtempSync(join(root, "dist.next-"));
	try {
		const { status } = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.json"), "--outDir", made], { stdio: "inherit" });
		if (status === 0) replaceFiles(made, join(root, "dist"));
		process.exitCode = status ?? 1;
	} finally {
		rmSync(made, { recursive: true, force: true });
	}
}
