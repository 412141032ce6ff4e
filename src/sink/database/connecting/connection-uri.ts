/**
 * Parses a connection URI as libpq does: several hosts, IPv6 in brackets, socket folders, percent-encoding everywhere. No library does
 * this: `pg-connection-string` knows one host, and passes unknown parameters on to the server. Pure.
 */
import { closest } from "fastest-levenshtein";
import { connectionParameters, isParameter, type ParameterName, type Parameters, problemOfValue } from "./connection-parameters.ts";

/** What is wrong with a URI, in words without secrets. */
export class UriProblem extends Error {}

/**
 * `//`, then optionally user and password, hosts, a database, parameters. User and password are everything before the last @ of the first
 * part.
 */
const shape = /^postgres(?:ql)?:\/\/(?:([^/]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s;
const hostAndPort = /^(\[[^\]]*\]|[^:\]]*)(?::(\d*))?$/;

/** Returns the URI's parameters. Throws UriProblem. */
export function parseConnectionUri(uri: string): Parameters {
	const [, login, hosts = "", database, query] =
		shape.exec(uri) ?? failed("must be postgres://user:password@host:port/name?parameter=value");
	const given = new Map<ParameterName, string>();
	if (login !== undefined) takeLogin(login, given);
	if (hosts !== "") takeHosts(hosts, given);
	if (database) given.set("dbname", decoded(database, "the database's name"));
	for (const pair of query ? query.split("&") : []) takeParameter(pair, given);
	return given;
}

function takeLogin(login: string, given: Map<ParameterName, string>): void {
	const [user = "", ...password] = login.split(":");
	if (user !== "") given.set("user", decoded(user, "the user"));
	if (password.length > 0) given.set("password", decoded(password.join(":"), "the password"));
}

/** Sets hosts and ports as lists of the same length; a host without a port has an empty one. */
function takeHosts(text: string, given: Map<ParameterName, string>): void {
	const hosts: string[] = [];
	const ports: string[] = [];
	for (const each of text.split(",")) {
		const [, host = "", port = ""] = hostAndPort.exec(each) ?? failed(`a host is neither host:port nor [IPv6]:port: ${each}`);
		hosts.push(decoded(host.replace(/^\[|\]$/g, ""), "a host"));
		ports.push(port);
	}
	if (hosts.some((host) => host !== "")) given.set("host", hosts.join(","));
	if (ports.some((port) => port !== "")) given.set("port", ports.join(","));
}

function takeParameter(pair: string, given: Map<ParameterName, string>): void {
	const at = pair.indexOf("=");
	if (at < 0) failed(`a parameter without = : ${pair}`);
	const name = decoded(pair.slice(0, at), "a parameter's name");
	const value = decoded(pair.slice(at + 1), name);
	// JDBC's name for it; libpq accepts this one value.
	if (name === "ssl") {
		if (value !== "true") failed(`ssl=${value}: say it with sslmode`);
		given.set("sslmode", "require");
		return;
	}
	if (!isParameter(name))
		failed(`${name} is no parameter of a connection (did you mean ${closest(name, Object.keys(connectionParameters))}?)`);
	const problem = problemOfValue(name, value);
	if (problem) failed(problem);
	given.set(name, value);
}

/** A `+` stays a plus, as in libpq. */
function decoded(text: string, what: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		return failed(`${what}: a % that begins no two hexadecimal digits of UTF-8`);
	}
}

function failed(message: string): never {
	throw new UriProblem(message);
}
