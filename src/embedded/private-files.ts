/**
 * Folders and files that must be ours alone: created for the present user, and checked before each use. A link, another owner, or write
 * access for others is refused: whoever planted it could read the password, run programs as us, or make us overwrite a file. The opened
 * file itself is checked, so nobody can swap it in between.
 */
import { constants, type Stats } from "node:fs";
import { chmod, type FileHandle, lstat, mkdir, open } from "node:fs/promises";
import { ExitError, exitCodes } from "../core/errors.ts";

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;
/** Removed, not refused: earlier versions created folders by the umask of users with a group of their own. */
const GROUP_MAY_WRITE = 0o020;
const ANYBODY_MAY_WRITE = 0o002;

/**
 * Creates the folder if it is missing; its parent must exist. Throws ExitError (usage) for a link, a file, somebody else's folder, or one
 * that others may write to.
 */
export async function ownFolder(path: string, mode: number): Promise<Stats> {
	await mkdir(path, { mode }).catch((error) => {
		if ((error as { code?: string }).code !== "EEXIST") throw error;
	});
	const found = await checkFolder(path, process.getuid?.());
	if ((found.mode & GROUP_MAY_WRITE) !== 0) await chmod(path, found.mode & 0o755);
	return found;
}

/** Throws ExitError (usage) unless the path is a folder (not a link) of this user that nobody else may write to. */
export async function checkFolder(path: string, uid: number | undefined): Promise<Stats> {
	const found = await lstat(path);
	if (!found.isDirectory()) throw unsafe(path, found.isSymbolicLink() ? "is a symbolic link" : "is no folder");
	refuseOthers(path, found, uid);
	return found;
}

/** The text of our file; null if there is none. Throws ExitError (usage) if it is not ours alone. */
export async function readOwnFile(path: string): Promise<string | null> {
	const file = await openOwn(path, O_RDONLY, 0).catch((error) => {
		if ((error as { code?: string }).code === "ENOENT") return null;
		throw error;
	});
	if (!file) return null;
	try {
		return await file.readFile("utf8");
	} finally {
		await file.close();
	}
}

/** Writes a file for us alone (0600). Throws ExitError (usage) if an existing one is not ours alone. */
export async function writeOwnFile(path: string, text: string): Promise<void> {
	const file = await openOwn(path, O_WRONLY | O_CREAT, 0o600);
	try {
		await file.chmod(0o600);
		await file.truncate(0);
		await file.writeFile(text);
	} finally {
		await file.close();
	}
}

/** Opens our log (0600) for appending; the caller closes the handle. */
export async function openOwnLog(path: string): Promise<FileHandle> {
	const file = await openOwn(path, O_WRONLY | O_CREAT | O_APPEND, 0o600);
	await file.chmod(0o600);
	return file;
}

/** Opens without truncating or following a link at the path's end. The file must be a plain one, with a single name, and belong to us. */
async function openOwn(path: string, flags: number, mode: number): Promise<FileHandle> {
	// Does not block: a planted pipe would have nobody at its other end.
	const file = await open(path, flags | O_NOFOLLOW | O_NONBLOCK, mode).catch((error) => {
		throw (error as { code?: string }).code === "ELOOP" ? unsafe(path, "is a symbolic link") : error;
	});
	try {
		const found = await file.stat();
		if (!found.isFile()) throw unsafe(path, "is no plain file");
		if (found.nlink > 1) throw unsafe(path, "has a second name (a hard link)");
		refuseOthers(path, found, process.getuid?.());
		return file;
	} catch (error) {
		await file.close();
		throw error;
	}
}

function refuseOthers(path: string, { uid, mode }: Stats, wanted: number | undefined): void {
	if (wanted === undefined) return;
	if (uid !== wanted) throw unsafe(path, `belongs to the user with id ${uid}, not to ${wanted}`);
	if ((mode & ANYBODY_MAY_WRITE) !== 0) throw unsafe(path, `may be written by others (mode ${(mode & 0o777).toString(8)})`);
}

function unsafe(path: string, why: string): ExitError {
	return new ExitError(
		exitCodes.usage,
		"unsafe_path",
		`${path} ${why}: PocKaffe does not use it, because somebody else could reach its database. Look at it, and remove it or start in another folder`,
	);
}
