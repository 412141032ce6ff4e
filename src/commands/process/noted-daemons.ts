/**
 * `.pockaffe/daemons/PID.json`: where a daemon listens that was started in this folder, and whose address came from the environment
 * (POCKAFFE_HTTP_PORT). A folder that can't be written to has none: `--url` says it then.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { embeddedFolder } from "../../embedded/embedded-file.ts";
import { checkFolder, ownFolder, readOwnFile, writeOwnFile } from "../../embedded/private-files.ts";

/** Where it listens, and for which consumer group. */
export interface NotedDaemon {
	readonly url: string;
	readonly group: string;
}

/** Notes this process. Returns what takes the note away; neither ever rejects. */
export async function noteDaemon(cwd: string, { url, group }: NotedDaemon): Promise<() => Promise<void>> {
	const file = join(folderIn(cwd), `${process.pid}.json`);
	try {
		await ownFolder(join(cwd, embeddedFolder), 0o700);
		await ownFolder(folderIn(cwd), 0o700);
		await writeOwnFile(file, `${JSON.stringify({ url, group, pid: process.pid })}\n`);
	} catch {
		return async () => {};
	}
	return () => rm(file, { force: true }).catch(() => {});
}

/**
 * Those whose process is there; notes of others are left over from a kill, and taken away. Nothing is looked at in folders that are not
 * ours alone: a link that somebody planted would have the files behind it removed.
 */
export async function notedDaemons(cwd: string): Promise<readonly NotedDaemon[]> {
	try {
		await checkFolder(join(cwd, embeddedFolder), process.getuid?.());
		await checkFolder(folderIn(cwd), process.getuid?.());
		const names = await readdir(folderIn(cwd));
		const found = await Promise.all(names.map((name) => noteIn(folderIn(cwd), name)));
		return found.flatMap((note) => note ?? []);
	} catch {
		return [];
	}
}

async function noteIn(folder: string, name: string): Promise<NotedDaemon | null> {
	const named = Number(/^(\d+)\.json$/.exec(name)?.[1]);
	const file = join(folder, name);
	try {
		const { url, group, pid } = JSON.parse((await readOwnFile(file)) ?? "null") as Record<string, unknown>;
		if (!Number.isSafeInteger(pid) || (pid as number) <= 0 || pid !== named) return null;
		if (!isAlive(named)) await rm(file, { force: true });
		else if (typeof url === "string" && typeof group === "string") return { url, group };
	} catch {
		// Not ours, or half written.
	}
	return null;
}

/** One that may not be signalled is there. */
function isAlive(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as { code?: string }).code === "EPERM";
	}
}

function folderIn(cwd: string): string {
	return join(cwd, embeddedFolder, "daemons");
}
