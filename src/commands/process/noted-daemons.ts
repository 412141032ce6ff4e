/**
 * `.pockaffe/daemons/PID.json`: the address of a daemon that was started in this folder and got its address from the environment
 * (POCKAFFE_HTTP_PORT). If the folder can't be written, there is no such file, and commands need `--url`.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isAlive } from "../../core/is-alive.ts";
import { embeddedFolder } from "../../embedded/embedded-file.ts";
import { checkFolder, ownFolder, readOwnFile, writeOwnFile } from "../../embedded/private-files.ts";

/** A daemon's address and consumer group. */
export interface NotedDaemon {
	readonly url: string;
	readonly group: string;
}

/** Writes this process's file. Returns a function that removes it; neither ever rejects. */
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
 * The daemons whose process exists; removes the files of killed ones. Ignores folders that others may write to: somebody could plant a link
 * there, and have the files behind it removed.
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

function folderIn(cwd: string): string {
	return join(cwd, embeddedFolder, "daemons");
}
