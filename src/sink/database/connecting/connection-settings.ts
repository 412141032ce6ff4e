/**
 * How to reach a database: from the URL, then a service's entry, then the environment, then libpq's defaults. Files are only named here;
 * certificates and passwords are read for each connection, so that they can be renewed.
 */

import { userInfo } from "node:os";
import { join } from "node:path";
import type { Environment } from "../../../core/environment.ts";
import { ExitError, exitCodes, messageOf } from "../../../core/errors.ts";
import { connectionParameters, type ParameterName, type Parameters, problemOfValue } from "./connection-parameters.ts";
import { parseConnectionUri, UriProblem } from "./connection-uri.ts";
import { serviceParameters } from "./service-file.ts";

/** A server that may be tried. */
export interface Host {
	/** The name as given, which a certificate must contain; for a socket, its folder. */
	readonly name: string;
	/** The address to connect to: `name`, unless an address was given too. */
	readonly address: string;
	readonly port: number;
}

export type SslMode = "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full";

/** TLS settings. Files are paths, or PEM text. Null if a file is neither named nor a default; a file by default may be missing. */
export interface TlsSettings {
	readonly mode: SslMode;
	readonly direct: boolean;
	readonly sni: boolean;
	/** A path, PEM text, or `system`. */
	readonly rootCert: NamedFile;
	readonly cert: NamedFile;
	readonly key: NamedFile;
	readonly crl: NamedFile;
	readonly keyPassword: string | null;
	readonly minVersion: string | null;
	readonly maxVersion: string | null;
}

/** A file that a parameter names, or a default one. */
export interface NamedFile {
	readonly value: string;
	readonly isNamed: boolean;
}

/** How to reach a database: hosts, user, TLS, files that are read for each connection. */
export interface ConnectionSettings {
	/** In the order in which they are tried; at least one. */
	readonly hosts: readonly Host[];
	readonly user: string;
	readonly database: string;
	/** Null: from the password file. */
	readonly password: string | null;
	readonly passwordFile: NamedFile;
	readonly tls: TlsSettings;
	/** Maximum time for one host, ms. */
	readonly connectTimeoutMs: number;
	readonly applicationName: string;
	/** Command-line options for the session on the server; empty: none. */
	readonly options: string;
	/** True if only a server that takes writes is acceptable. */
	readonly needsWritable: boolean;
	/** True if the hosts are tried in random order. */
	readonly random: boolean;
}

const DEFAULT_PORT = 5432;
const CONNECT_TIMEOUT_S = 5;
/** Minimum timeout, as in libpq: a shorter one is taken as a mistake. */
const LEAST_TIMEOUT_S = 2;
const VERIFYING: readonly string[] = ["verify-ca", "verify-full"];

/**
 * Reads the settings. Throws ExitError (usage) `database_url` if URL, service or environment are wrong or ask for something unsupported.
 */
export function connectionSettings(url: string, environment: Environment): ConnectionSettings {
	try {
		return settingsOf(parameters(url, environment), environment);
	} catch (cause) {
		if (!(cause instanceof UriProblem)) throw cause;
		throw new ExitError(exitCodes.usage, "database_url", `database.url: *** – ${messageOf(cause)}`, { cause });
	}
}

/** Describes where the URL leads, without secrets; empty if it is invalid. */
export function describeTarget(url: string, environment: Environment): string {
	try {
		const { hosts, database } = connectionSettings(url, environment);
		const names = hosts.map(({ name, port }) => (name.includes(":") ? `[${name}]:${port}` : `${name}:${port}`));
		return `postgres://${names.join(",")}/${database}`;
	} catch {
		return "";
	}
}

/** Parameters of the URL, then the service, then the environment. */
function parameters(url: string, environment: Environment): Parameters {
	const ofUrl = parseConnectionUri(url);
	const ofVariables = fromVariables(environment);
	const service = ofUrl.get("service") ?? ofVariables.get("service");
	const file = ofUrl.get("servicefile") ?? ofVariables.get("servicefile") ?? null;
	const ofService = service === undefined ? new Map() : serviceParameters(service, file, environment);
	return new Map([...ofVariables, ...ofService, ...ofUrl]);
}

function fromVariables(environment: Environment): Map<ParameterName, string> {
	const found = new Map<ParameterName, string>();
	for (const [name, { variable }] of Object.entries(connectionParameters) as [ParameterName, { variable?: string }][]) {
		const value = variable === undefined ? undefined : environment[variable];
		if (!value) continue;
		const problem = problemOfValue(name, value);
		if (problem) throw new UriProblem(`${problem} (from ${variable})`);
		found.set(name, value);
	}
	if (environment.PGREQUIRESSL === "1" && !found.has("sslmode")) found.set("sslmode", "require");
	return found;
}

function settingsOf(given: Parameters, environment: Environment): ConnectionSettings {
	const user = given.get("user") || userInfo().username;
	return {
		hosts: hostsOf(given),
		user,
		database: given.get("dbname") || user,
		password: given.get("password") || null,
		passwordFile: fileOf(given, "passfile", join(home(environment), ".pgpass")),
		tls: tlsOf(given, environment),
		connectTimeoutMs: 1000 * timeoutOf(given.get("connect_timeout")),
		applicationName: given.get("application_name") || given.get("fallback_application_name") || "pockaffe",
		options: given.get("options") ?? "",
		needsWritable: ["read-write", "primary"].includes(given.get("target_session_attrs") ?? "any"),
		random: given.get("load_balance_hosts") === "random",
	};
}

/** Names and addresses are lists of the same length; so are ports, or there is one for all. */
function hostsOf(given: Parameters): Host[] {
	const names = given.get("host")?.split(",") ?? [];
	const addresses = given.get("hostaddr")?.split(",") ?? [];
	const count = Math.max(names.length, addresses.length, 1);
	if (names.length > 0 && addresses.length > 0 && names.length !== addresses.length)
		throw new UriProblem(`${names.length} hosts and ${addresses.length} addresses (hostaddr)`);
	const ports = given.get("port")?.split(",") ?? [];
	if (ports.length > 1 && ports.length !== count) throw new UriProblem(`${count} hosts and ${ports.length} ports`);
	return Array.from({ length: count }, (_, index) => {
		const name = names[index] || addresses[index] || "localhost";
		return { name, address: addresses[index] || name, port: portOf(ports[ports.length > 1 ? index : 0]) };
	});
}

function portOf(text: string | undefined): number {
	if (!text) return DEFAULT_PORT;
	const port = /^\d+$/.test(text) ? Number(text) : 0;
	if (port < 1 || port > 65_535) throw new UriProblem(`port ${text} is no number from 1 to 65535`);
	return port;
}

/** Timeout in seconds; 0 means no limit, which is a day here. */
function timeoutOf(text: string | undefined): number {
	if (!text) return CONNECT_TIMEOUT_S;
	if (!/^\d{1,6}$/.test(text)) throw new UriProblem(`connect_timeout=${text} is no number of seconds`);
	return text === "0" ? 86_400 : Math.max(LEAST_TIMEOUT_S, Number(text));
}

function tlsOf(given: Parameters, environment: Environment): TlsSettings {
	const rootCert = fileOf(given, "sslrootcert", join(home(environment), ".postgresql/root.crt"));
	const isSystem = rootCert.value === "system";
	const mode = (given.get("sslmode") ?? (isSystem ? "verify-full" : "prefer")) as SslMode;
	if (isSystem && mode !== "verify-full")
		throw new UriProblem(`sslmode=${mode} with sslrootcert=system: anybody can get a certificate of those CAs; use verify-full`);
	const direct = given.get("sslnegotiation") === "direct";
	if (direct && mode !== "require" && !VERIFYING.includes(mode))
		throw new UriProblem(`sslnegotiation=direct with sslmode=${mode}: use require, verify-ca or verify-full`);
	return {
		mode,
		direct,
		sni: given.get("sslsni") !== "0",
		rootCert,
		cert: fileOf(given, "sslcert", join(home(environment), ".postgresql/postgresql.crt")),
		key: fileOf(given, "sslkey", join(home(environment), ".postgresql/postgresql.key")),
		crl: fileOf(given, "sslcrl", join(home(environment), ".postgresql/root.crl")),
		keyPassword: given.get("sslpassword") || null,
		minVersion: given.get("ssl_min_protocol_version") ?? null,
		maxVersion: given.get("ssl_max_protocol_version") ?? null,
	};
}

function fileOf(given: Parameters, name: ParameterName, byDefault: string): NamedFile {
	const value = given.get(name);
	return value ? { value, isNamed: true } : { value: byDefault, isNamed: false };
}

/** The home folder in which libpq looks for files. */
function home(environment: Environment): string {
	return environment.HOME || userInfo().homedir;
}
