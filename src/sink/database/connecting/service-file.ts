/** Connection parameters by a service's name: libpq's pg_service.conf, in the home folder or the system's. */
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { isParameter, type ParameterName, type Parameters, problemOfValue } from "./connection-parameters.ts";
import { UriProblem } from "./connection-uri.ts";

/**
 * The parameters of a service. `file`: the only file to read, if given. Throws UriProblem if there is no such service, or its entry is
 * wrong.
 */
export function serviceParameters(
	service: string,
	file: string | null,
	environment: Readonly<Record<string, string | undefined>>,
): Parameters {
	const files = file === null ? [join(environment.HOME || userInfo().homedir, ".pg_service.conf"), ...ofSystem(environment)] : [file];
	for (const path of files) {
		const text = contents(path);
		const found = text === null ? null : sectionOf(text, service, path);
		if (found) return found;
	}
	throw new UriProblem(`service ${service} is in none of ${files.join(", ")}`);
}

function ofSystem({ PGSYSCONFDIR }: Readonly<Record<string, string | undefined>>): string[] {
	return [join(PGSYSCONFDIR || "/etc/postgresql-common", "pg_service.conf")];
}

function contents(path: string): string | null {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return null;
	}
}

function sectionOf(text: string, service: string, path: string): Parameters | null {
	let found: Map<ParameterName, string> | null = null;
	for (const [index, whole] of text.split("\n").entries()) {
		const line = whole.trim();
		if (line === "" || line.startsWith("#")) continue;
		const section = /^\[(.*)\]$/.exec(line)?.[1];
		if (section !== undefined) {
			if (found) return found;
			if (section === service) found = new Map();
		} else if (found) take(line, found, `${path}, line ${index + 1}`);
	}
	return found;
}

function take(line: string, found: Map<ParameterName, string>, where: string): void {
	const at = line.indexOf("=");
	const [name, value] = [line.slice(0, at).trim(), line.slice(at + 1).trim()];
	if (at < 0 || !isParameter(name) || name === "service" || name === "servicefile")
		throw new UriProblem(`${where}: is no parameter=value that libpq knows`);
	const problem = problemOfValue(name, value);
	if (problem) throw new UriProblem(`${where}: ${problem}`);
	// The first of several entries counts, as in libpq.
	if (!found.has(name)) found.set(name, value);
}
