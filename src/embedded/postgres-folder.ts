/** Whose Postgres it is and where its things are kept: the system user it runs as, a folder which that user can reach, the password. */
import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ExitError, exitCodes } from "../core/errors.ts";
import type { ServerUser } from "./postgres-binary.ts";

/** Postgres refuses to run as root: then it is the system user `postgres`, or else `nobody`. */
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

/** The folder, or one below the temporary folder where the server's user can't get at it. */
export async function reachableFolder(folder: string, user: ServerUser | null, log: (message: string) => void): Promise<string> {
	if (user === null) return folder;
	await mkdir(folder, { recursive: true, mode: 0o755 });
	for (let at = folder; ; at = dirname(at)) {
		if (((await stat(at)).mode & 0o001) === 0) break;
		if (at === dirname(at)) return folder;
	}
	const elsewhere = join(tmpdir(), `pockaffe-${createHash("sha256").update(folder).digest("hex").slice(0, 12)}`);
	log(`the system user that runs Postgres can't get at ${folder}: the data is kept in ${elsewhere}`);
	return elsewhere;
}

/** The password: made once, kept for its owner only. */
export async function keptSecret(file: string): Promise<string> {
	const kept = await readFile(file, "utf8").catch(() => "");
	if (kept) return kept;
	const made = randomBytes(18).toString("base64url");
	await writeFile(file, made, { mode: 0o600 });
	await chmod(file, 0o600);
	return made;
}
