/**
 * `.pockaffe/daemons/PID.json`: where a daemon listens that was started in this folder, and whose address came from the environment
 * (POCKAFFE_HTTP_PORT). A folder that can't be written to has none: `--url` says it then.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { embeddedFolder } from "../../embedded/embedded-file.ts";
import { ownFolder, readOwnFile, writeOwnFile } from "../../embedded/private-files.ts";

/** Notes this process. Returns what takes the note away; neither ever rejects. */
export async function noteDaemon(cwd: string, url: string): Promise<() => Promise<void>> {
	const file = join(folderIn(cwd), `${process.pid}.json`);
	try {
		await ownFolder(join(cwd, embeddedFolder), 0o700);
		await ownFolder(folderIn(cwd), 0o700);
		await writeOwnFile(file, `${JSON.stringify({ url, pid: process.pid })}\n`);
	} catch {
		return async () => {};
	}
	return () => rm(file, { force: true }).catch(() => {});
}

/** The addresses of those whose process is there; notes of others are left over from a kill, and taken away. */
export async function notedDaemons(cwd: string): Promise<readonly string[]> {
	const names = await readdir(folderIn(cwd)).catch(() => []);
	const found = await Promise.all(names.map((name) => urlIn(join(folderIn(cwd), name))));
	return found.flatMap((url) => url ?? []);
}

async function urlIn(file: string): Promise<string | null> {
	try {
		const { url, pid } = JSON.parse((await readOwnFile(file)) ?? "null") as { url: string; pid: number };
		if (isAlive(pid)) return url;
		await rm(file, { force: true });
	} catch {
		// Not ours, or half written.
	}
	return null;
}

/** Of this user: its note is. */
function isAlive(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch {
		return false;
	}
}

function folderIn(cwd: string): string {
	return join(cwd, embeddedFolder, "daemons");
}
