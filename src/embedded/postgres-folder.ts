/**
 * The user that the embedded Postgres runs as, a folder for its data which that user can reach, and its password.
 *
 * What only PocKaffe needs (password, port, owner, log) stays in the folder below the working directory. If root runs PocKaffe, the server
 * runs as another user, who may not reach that folder. Then the data is in a folder of its own, whose name nobody can guess; root owns it,
 * and others may enter but not write. The name is kept in the first folder.
 */
import { randomBytes } from "node:crypto";
import { chmod, lstat, mkdtemp, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { ExitError, exitCodes } from "../core/errors.ts";
import type { ServerUser } from "./postgres-binary.ts";
import { ownFolder, readOwnFile, writeOwnFile } from "./private-files.ts";

/** Postgres refuses to run as root: then the server's user is `postgres`, or else `nobody`. */
export async function serverUser(): Promise<ServerUser | null> {
	if (process.getuid?.() !== 0) return null;
	const lines = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
	const found = lines.find(([name]) => name === "postgres") ?? lines.find(([name]) => name === "nobody");
	if (found) return { uid: Number(found[2]), gid: Number(found[3]) };
	throw new ExitError(
		exitCodes.usage,
		"no_server_user",
		"Postgres can't run as root, and there is no system user postgres or nobody: run as an ordinary user",
	);
}

/** Mode of folders that the server's user has to pass: others may enter, but not list or write. */
function folderMode(user: ServerUser | null): number {
	return user === null ? 0o700 : 0o711;
}

/** Creates the folder (`.pockaffe/postgres`) and its parent if they are missing. Throws ExitError (usage) if one is not ours alone. */
export async function keptFolder(folder: string, user: ServerUser | null): Promise<void> {
	const mode = folderMode(user);
	if (basename(dirname(folder)).startsWith(".")) await ownFolder(dirname(folder), mode);
	await ownFolder(folder, mode);
}

/** The data's folder: the folder itself, or another one if the server's user can't reach it. */
export async function dataPlace(folder: string, user: ServerUser | null, log: (message: string) => void): Promise<string> {
	if (user === null || (await isReachable(folder))) return folder;
	const kept = join(folder, "place");
	const known = (await readOwnFile(kept))?.trim() ?? "";
	if (known && (await isThere(known))) {
		await ownFolder(known, folderMode(user));
		return known;
	}
	const made = await mkdtemp(join(tmpdir(), "pockaffe-"));
	await chmod(made, folderMode(user));
	await writeOwnFile(kept, made);
	const gone = known ? ` (${known} is gone, and its data with it)` : "";
	log(`the system user that runs Postgres can't reach ${folder}: the data is kept in ${made}${gone}`);
	return made;
}

/** The password: created once, readable by its owner only. */
export async function keptSecret(file: string): Promise<string> {
	const kept = await readOwnFile(file);
	if (kept) return kept;
	const made = randomBytes(18).toString("base64url");
	await writeOwnFile(file, made);
	return made;
}

/** True if everybody may enter every folder of the path. */
async function isReachable(folder: string): Promise<boolean> {
	for (let at = folder; ; at = dirname(at)) {
		if (((await stat(at)).mode & 0o001) === 0) return false;
		if (at === dirname(at)) return true;
	}
}

function isThere(path: string): Promise<boolean> {
	return lstat(path).then(
		() => true,
		() => false,
	);
}
