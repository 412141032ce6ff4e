/** Connects commands to a running daemon: its HTTP address and token, with errors that say what to do. */
import type { Command } from "commander";
import { ExitError, exitCodes, messageOf } from "../core/errors.ts";
import { readEmbeddedFile } from "../embedded/embedded-file.ts";
import type { CommandContext } from "./command-context.ts";
import { configHere } from "./configured.ts";
import { notedDaemons } from "./process/noted-daemons.ts";

const TIMEOUT_MS = 5_000;

/** A running daemon. */
export interface DaemonClient {
	/**
	 * Sends a request; resolves to the parsed answer. Throws ExitError (found) with the daemon's own words if it refuses, or if it can't be
	 * reached.
	 */
	ask(method: "GET" | "POST", path: string, body?: object): Promise<unknown>;
}

/** The daemon at `--url`, else the one of the configured group: embedded in this folder, configured, or started in this folder. */
export function daemonOf(command: Command, context: CommandContext): Promise<DaemonClient> {
	return daemonAt(command.optsWithGlobals<{ url?: string }>().url, command, context);
}

/**
 * As `daemonOf`, with the `url` that the user gave, if any. `wanted` is the group, by default the configured one. Throws ExitError if
 * another group's daemon answers: pausing or skipping there would harm somebody else.
 */
export async function daemonAt(url: string | undefined, command: Command, context: CommandContext, wanted?: string): Promise<DaemonClient> {
	const { config } = await configHere(command, context);
	const { host, port, token } = config.http;
	if (url !== undefined) return clientOf(url, token);
	const embedded = config.kafka.brokers.length === 0 ? await readEmbeddedFile(context.cwd) : null;
	const configured = embedded?.http ?? `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
	return await daemonOfGroup(wanted ?? config.kafka.group, configured, token, context);
}

/** If no group is configured, any daemon will do. If none answers, throws the error of the configured address. */
async function daemonOfGroup(group: string, configured: string, token: string, { cwd }: CommandContext): Promise<DaemonClient> {
	const isMeant = (theirs: string | null) => theirs !== null && (group === "" || theirs === group);
	const first = clientOf(configured, token);
	const there = await groupAt(first);
	if (isMeant(there.group)) return first;
	const noted = (await notedDaemons(cwd)).filter((each) => isMeant(each.group));
	if (noted.length > 1) {
		const words = `several daemons were started in this folder: name one by --url: ${noted.map(({ url }) => url).join(", ")}`;
		throw new ExitError(exitCodes.usage, "several_daemons", words);
	}
	const [{ url } = { url: configured }] = noted;
	const second = url === configured ? there : await groupAt(clientOf(url, token));
	if (isMeant(second.group)) return second.client;
	if (second.group !== null) throw otherGroup(url, second.group, group);
	throw second.trouble;
}

/** Asks for the daemon's group; null if it doesn't say. `trouble` says why. */
async function groupAt(client: DaemonClient): Promise<{ client: DaemonClient; group: string | null; trouble: unknown }> {
	try {
		const status = (await client.ask("GET", "/status")) as { group?: unknown } | null;
		const group = typeof status?.group === "string" ? status.group : null;
		return {
			client,
			group,
			trouble: new ExitError(exitCodes.found, "no_daemon", "what answers there is not a daemon: give its address (--url)"),
		};
	} catch (trouble) {
		return { client, group: null, trouble };
	}
}

function otherGroup(url: string, theirs: string, group: string): ExitError {
	const words = `the daemon at ${url} belongs to group ${theirs}, not to ${group}: is a daemon of ${group} running? Give its address (--url)`;
	return new ExitError(exitCodes.found, "other_group", words);
}

/** A daemon at this address, whichever it is. */
function clientOf(base: string, token: string): DaemonClient {
	const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
	return {
		async ask(method, path, body) {
			let answer: Response;
			try {
				const sent = body && { body: JSON.stringify(body) };
				answer = await fetch(new URL(path, base), { method, headers, ...sent, signal: AbortSignal.timeout(TIMEOUT_MS) });
			} catch (cause) {
				const why = messageOf((cause as { cause?: unknown }).cause ?? cause);
				const message = `no daemon answers at ${base} (${why}): is it running? Give its address (--url http://HOST:PORT), or its port (http.port, POCKAFFE_HTTP_PORT)`;
				throw new ExitError(exitCodes.found, "no_daemon", message, { cause });
			}
			const told = (await answer.json().catch(() => null)) as { error?: { code?: string; message?: string } } | null;
			if (answer.ok || (told && !told.error)) return told;
			throw new ExitError(
				exitCodes.found,
				"refused",
				`${base}${path}: ${told?.error?.message ?? `HTTP ${answer.status}`}${hintFor(answer.status, told?.error?.code)}`,
			);
		},
	};
}

function hintFor(status: number, code?: string): string {
	if (status === 405) return " (control is off: set http.admin: true, and restart the daemon)";
	if (status === 401) return " (this command needs http.token, too, or POCKAFFE_HTTP_TOKEN)";
	if (code === "not_assigned") return ": is the name right? Or another daemon of the group has it (--url)";
	return "";
}
