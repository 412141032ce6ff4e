/**
 * The addon of a test run, compiled once where it is missing or older than its source: a clone whose `node_modules` came from elsewhere has
 * none, and a stale one would be tested in its place. Where it can't be compiled the tests that need it are left out, but not in CI.
 */
import { execFile } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { promisify } from "node:util";

const root = new URL("../../../", import.meta.url);

export default async function setup(): Promise<void> {
	if (await isCurrent()) return;
	try {
		await promisify(execFile)("npm", ["run", "--silent", "native"], { cwd: root });
	} catch (error) {
		if (process.env.CI === "true") throw error;
		console.warn(
			`\n  Tests of the addon are LEFT OUT, for it can't be compiled (npm run native): ${(error as Error).message.split("\n")[0]}\n`,
		);
	}
}

async function isCurrent(): Promise<boolean> {
	const folder = "src/kafka/native/";
	const sources = (await readdir(new URL(folder, root))).map((name) => folder + name);
	const built = await changedAt("build/Release/pockaffe_native.node");
	const newest = await Promise.all(["binding.gyp", ...sources].map(changedAt));
	return newest.every((time) => time <= built);
}

/** 0 where there is no such file. */
async function changedAt(path: string): Promise<number> {
	return stat(new URL(path, root)).then(
		({ mtimeMs }) => mtimeMs,
		() => 0,
	);
}
