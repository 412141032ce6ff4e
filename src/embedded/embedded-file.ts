/** `.pockaffe/embedded.json`: the addresses of an embedded daemon, so that the other commands find it. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { ownFolder, readOwnFile, writeOwnFile } from "./private-files.ts";

/** The folder, below the working directory, that holds everything embedded. */
export const embeddedFolder = ".pockaffe";

/** The file's content. `http` is a URL, `startedAt` ISO time. */
export interface EmbeddedAddresses {
	readonly brokers: readonly string[];
	readonly databaseUrl: string;
	readonly http: string | null;
	readonly pid: number;
	readonly startedAt: string;
	/** Its configuration's source, as LoadedConfig has it. */
	readonly config: string;
}

/** Writes the file for its owner only: the database's URL has a password in it. */
export async function writeEmbeddedFile(cwd: string, addresses: EmbeddedAddresses): Promise<void> {
	await ownFolder(join(cwd, embeddedFolder), 0o700);
	await writeOwnFile(embeddedFile(cwd), `${JSON.stringify(addresses, null, "\t")}\n`);
}

/** Removes the file, if it is there. */
export async function removeEmbeddedFile(cwd: string): Promise<void> {
	await rm(embeddedFile(cwd), { force: true });
}

/** The addresses of an embedded daemon in this folder; null if there is no file, it can't be read, or it may be written by others. */
export async function readEmbeddedFile(cwd: string): Promise<EmbeddedAddresses | null> {
	try {
		return JSON.parse((await readOwnFile(embeddedFile(cwd))) ?? "null") as EmbeddedAddresses | null;
	} catch {
		return null;
	}
}

function embeddedFile(cwd: string): string {
	return join(cwd, embeddedFolder, "embedded.json");
}
