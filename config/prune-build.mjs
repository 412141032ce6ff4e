/**
 * Takes away what compiling librdkafka leaves behind: objects, static libraries and its example programs, half a gigabyte of nothing that runs.
 * Sources and what is loaded stay, so `npm rebuild` works as before. Run behind the addon's compilation; never fails an install.
 */
import { closeSync, lstatSync, openSync, readdirSync, readSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** How objects, programs and libraries begin: ELF, Mach-O, and archives of them. */
const COMPILED = ["7f454c46", "cffaedfe", "cafebabe", "213c6172"];
/** Within `build` only these are left over; the libraries beside them are loaded. */
const LEFT_OVER = /(?:^|\/)(?:obj\.target|\.deps)$|\.a$/;

/** Bytes that were taken away from `folder`, an installed node-rdkafka. */
export function pruneBuild(folder) {
	let bytes = 0;
	const take = (path) => {
		bytes += sizeOf(path);
		rmSync(path, { recursive: true, force: true });
	};
	for (const path of filesIn(join(folder, "deps"))) if (isCompiled(path)) take(path);
	for (const path of entriesIn(join(folder, "build"))) if (LEFT_OVER.test(path.replaceAll("\\", "/"))) take(path);
	return bytes;
}

function* entriesIn(folder) {
	let entries = [];
	try {
		entries = readdirSync(folder, { withFileTypes: true });
	} catch {}
	for (const entry of entries) {
		const path = join(folder, entry.name);
		yield path;
		if (entry.isDirectory()) yield* entriesIn(path);
	}
}

function* filesIn(folder) {
	for (const path of entriesIn(folder)) if (lstatSync(path).isFile()) yield path;
}

function sizeOf(path) {
	const found = lstatSync(path, { throwIfNoEntry: false });
	if (!found?.isDirectory()) return found?.size ?? 0;
	let bytes = 0;
	for (const file of filesIn(path)) bytes += lstatSync(file).size;
	return bytes;
}

function isCompiled(path) {
	const start = Buffer.alloc(4);
	const file = openSync(path, "r");
	try {
		readSync(file, start, 0, 4, 0);
	} finally {
		closeSync(file);
	}
	return COMPILED.includes(start.toString("hex"));
}

if (process.argv[1] === import.meta.filename) {
	try {
		const folder = dirname(createRequire(import.meta.url).resolve("node-rdkafka/package.json"));
		const megabytes = Math.round(pruneBuild(folder) / 1e6);
		if (megabytes > 0) console.log(`PocKaffe: ${megabytes} MB that compiling librdkafka left behind are taken away`);
	} catch (error) {
		console.log(`PocKaffe: what compiling librdkafka left behind stays (${error.message})`);
	}
}
