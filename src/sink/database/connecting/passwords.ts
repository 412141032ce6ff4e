/** Finds the password, again for each connection: from the URL or environment, a file, a command, or libpq's password file. */
import { execFile } from "node:child_process";
import { readFile, stat } from "node:fs/promises";
import { promisify } from "node:util";
import { messageOf, PocKaffeError } from "../../../core/errors.ts";
import { knownSecrets } from "../../../core/text/secret-mask.ts";
import type { ConnectionSettings, Host } from "./connection-settings.ts";

/** `database.passwordFile` and `database.passwordCommand`; at most one is set. */
export interface PasswordSource {
	readonly passwordFile?: string | undefined;
	readonly passwordCommand?: string | undefined;
}

const COMMAND_TIMEOUT_MS = 5_000;
/** Permission bits that let group or others read or write. */
const NOT_PRIVATE = 0o077;

/** The password; empty if there is none, because the server may ask for none. Rejects with PocKaffeError `ERR_PASSWORD`. */
export async function passwordFor(source: PasswordSource, settings: ConnectionSettings, host: Host): Promise<string> {
	const password = await lookUp(source, settings, host);
	knownSecrets.add(password);
	return password;
}

async function lookUp(
	{ passwordFile, passwordCommand }: PasswordSource,
	{ password, passwordFile: libpqFile, user, database }: ConnectionSettings,
	host: Host,
): Promise<string> {
	if (passwordFile) return firstLine(await contents(passwordFile, "database.passwordFile"));
	if (passwordCommand) return firstLine(await output(passwordCommand));
	if (password !== null) return password;
	return await fromPasswordFile(libpqFile.value, libpqFile.isNamed, { host, user, database });
}

async function contents(path: string, what: string): Promise<string> {
	try {
		return await readFile(path, "utf8");
	} catch (cause) {
		throw new PocKaffeError("ERR_PASSWORD", `${what} can't be read: ${messageOf(cause)}`, { cause });
	}
}

/** Returns the command's output. The output never appears in an error. */
async function output(command: string): Promise<string> {
	try {
		const { stdout } = await promisify(execFile)("/bin/sh", ["-c", command], { timeout: COMMAND_TIMEOUT_MS, encoding: "utf8" });
		return stdout;
	} catch (cause) {
		const { code, killed } = cause as { code?: number | string; killed?: boolean };
		const how = killed ? `took longer than ${COMMAND_TIMEOUT_MS} ms` : `ended with ${code ?? "a signal"}`;
		throw new PocKaffeError("ERR_PASSWORD", `database.passwordCommand ${how}`);
	}
}

/** The first line, without the line end that editors and `echo` add. */
function firstLine(text: string): string {
	return text.split(/\r?\n/, 1)[0] as string;
}

interface Wanted {
	readonly host: Host;
	readonly user: string;
	readonly database: string;
}

/**
 * Reads libpq's password file: a line per server, host:port:database:user:password; * matches anything, \ escapes : and \. The first match
 * counts.
 */
async function fromPasswordFile(path: string, isNamed: boolean, wanted: Wanted): Promise<string> {
	const found = await stat(path).catch(() => null);
	if (!found?.isFile()) {
		if (isNamed) throw new PocKaffeError("ERR_PASSWORD", `the password file ${path} is not there`);
		return "";
	}
	if (process.platform !== "win32" && (found.mode & NOT_PRIVATE) !== 0)
		throw new PocKaffeError("ERR_PASSWORD", `the password file ${path} may be read by others: chmod 0600 it`);
	for (const line of (await contents(path, `the password file ${path}`)).split(/\r?\n/)) {
		const password = line.startsWith("#") ? null : passwordIn(line, wanted);
		if (password !== null) return password;
	}
	return "";
}

function passwordIn(line: string, { host, user, database }: Wanted): string | null {
	const [ofHost, port, ofDatabase, ofUser, password] = fieldsOf(line);
	const fits = (field: string | undefined, value: string) => field === "*" || field === value;
	// A socket matches by its folder, or by localhost.
	const isHost = fits(ofHost, host.name) || (host.address.startsWith("/") && ofHost === "localhost");
	const isIt = isHost && fits(port, String(host.port)) && fits(ofDatabase, database) && fits(ofUser, user);
	return isIt && password !== undefined ? password : null;
}

function fieldsOf(line: string): string[] {
	const fields: string[] = [];
	let field = "";
	for (let index = 0; index < line.length; index++) {
		const character = line[index] as string;
		if (character === ":") {
			fields.push(field);
			field = "";
		} else field += character === "\\" && index + 1 < line.length ? line[++index] : character;
	}
	return [...fields, field];
}
