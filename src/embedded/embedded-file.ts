/** `.pockaffe/embedded.json`: where an embedded daemon can be reached, so that the other commands work beside it. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** The folder, below the working directory, that holds everything embedded. */
export const embeddedFolder = ".pockaffe";

/** The file's content. `http` is a URL, `startedAt` ISO time. */
export interface EmbeddedAddresses {
	readonly brokers: readonly string[];
	readonly databaseUrl: string;
	readonly http: string | null;
	readonly pid: number;
	readonly startedAt: string;
}

/** Writes the file for its owner only: the database's URL has a password in it. */
export async function writeEmbeddedFile(cwd: string, addresses: EmbeddedAddresses): Promise<void> {
	const path = embeddedFile(cwd);
	await mkdir(dirname(path), { recursive: true });
	await writeFile(path, `${JSON.stringify(addresses, null, "\t")}\n`, { mode: 0o600 });
}

/** Removes the file, if it is there. */
export async function removeEmbeddedFile(cwd: string): Promise<void> {
	await rm(embeddedFile(cwd), { force: true });
}

/** The addresses of an embedded daemon in this folder; null where there is no file, or one that can't be read. */
export async function readEmbeddedFile(cwd: string): Promise<EmbeddedAddresses | null> {
	try {
		return JSON.parse(await readFile(embeddedFile(cwd), "utf8")) as EmbeddedAddresses;
	} catch {
		return null;
	}
}

function embeddedFile(cwd: string): string {
	return join(cwd, embeddedFolder, "embedded.json");
}
