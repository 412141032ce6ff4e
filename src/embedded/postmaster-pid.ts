/**
 * Reads `postmaster.pid`, which names the server of a data folder, and checks whether that server runs. A killed server leaves the file
 * behind.
 */
import { readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { isAlive } from "../core/is-alive.ts";

/** The contents of the file. */
export interface Postmaster {
	readonly pid: number;
	readonly port: number;
}

/** Reads a data folder's file; null if there is none or it is not complete yet. */
export async function readPostmasterPid(data: string): Promise<Postmaster | null> {
	const text = await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "");
	const [pid, , , port] = text.split("\n");
	const found = { pid: Number(pid), port: Number(port) };
	return found.pid > 0 && found.port > 0 ? found : null;
}

/**
 * True if that process is a living Postgres of this folder, run by the server's user (null: by us). A zombie counts as gone (if nobody
 * reaps it, it stays one for ever), and so does another program that got the pid meanwhile. Without /proc any living process counts.
 */
export async function isPostgresOf({ pid }: Postmaster, data: string, user: { readonly uid: number } | null): Promise<boolean> {
	if (!isAlive(pid)) return false;
	let commandLine: string;
	try {
		commandLine = await readFile(`/proc/${pid}/cmdline`, "utf8");
		const fields = await readFile(`/proc/${pid}/stat`, "utf8");
		if (fields.slice(fields.lastIndexOf(")") + 2, fields.lastIndexOf(")") + 3) === "Z") return false;
		// Anybody can run a program with that name.
		if ((await stat(`/proc/${pid}`)).uid !== (user?.uid ?? process.getuid?.())) return false;
	} catch {
		return process.platform !== "linux";
	}
	const real = await realpath(data).catch(() => data);
	return commandLine.includes("postgres") && (commandLine.includes(data) || commandLine.includes(real));
}
