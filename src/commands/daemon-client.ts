/** How commands reach a running daemon: its HTTP address and token, and errors that say what to do. */
import type { Command } from "commander";
import { ExitError, exitCodes, messageOf } from "../core/errors.ts";
import { readEmbeddedFile } from "../embedded/embedded-file.ts";
import { type CommandContext, configOf } from "./command-context.ts";
import { notedDaemons } from "./process/noted-daemons.ts";

const TIMEOUT_MS = 5_000;

/** A running daemon. */
export interface DaemonClient {
	/** The parsed answer. Throws ExitError (found) with the daemon's own words where it refuses, or where it can't be reached. */
	ask(method: "GET" | "POST", path: string, body?: object): Promise<unknown>;
}

/** The daemon at `--url`, else the embedded one of this folder, else the one the configuration describes. */
export function daemonOf(command: Command, context: CommandContext): Promise<DaemonClient> {
	return daemonAt(command.optsWithGlobals<{ url?: string }>().url, command, context);
}

/** The same; `url` is what the user said, if anything. */
export async function daemonAt(url: string | undefined, command: Command, context: CommandContext): Promise<DaemonClient> {
	const { config } = configOf(command, context);
	const embedded = config.kafka.brokers.length === 0 ? await readEmbeddedFile(context.cwd) : null;
	const { host, port, token } = config.http;
	const configured = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
	const base = url ?? embedded?.http ?? (await startedHere(configured, context)) ?? configured;
	const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
	return {
		async ask(method, path, body) {
			let answer: Response;
			try {
				const sent = body && { body: JSON.stringify(body) };
				answer = await fetch(new URL(path, base), { method, headers, ...sent, signal: AbortSignal.timeout(TIMEOUT_MS) });
			} catch (cause) {
				const why = messageOf((cause as { cause?: unknown }).cause ?? cause);
				const message = `no daemon answers at ${base} (${why}): is it running? --url says where, or http.port of its configuration, or the POCKAFFE_HTTP_PORT it was started with`;
				throw new ExitError(exitCodes.found, "no_daemon", message, { cause });
			}
			const told = (await answer.json().catch(() => null)) as { error?: { message?: string } } | null;
			if (answer.ok || (told && !told.error)) return told;
			throw new ExitError(
				exitCodes.found,
				"refused",
				`${base}${path}: ${told?.error?.message ?? `HTTP ${answer.status}`}${hintFor(answer.status)}`,
			);
		},
	};
}

/** A daemon of this folder that the configuration's file says no address of; null where there is none, or where one answers there. */
async function startedHere(configured: string, { cwd }: CommandContext): Promise<string | null> {
	const noted = await notedDaemons(cwd);
	if (noted.length === 0 || noted.includes(configured)) return null;
	if (
		await fetch(new URL("/healthz", configured), { signal: AbortSignal.timeout(TIMEOUT_MS) }).then(
			() => true,
			() => false,
		)
	)
		return null;
	if (noted.length === 1) return noted[0] as string;
	const words = `several daemons were started in this folder: say --url and one of ${noted.join(", ")}`;
	throw new ExitError(exitCodes.usage, "several_daemons", words);
}

function hintFor(status: number): string {
	return status === 405 ? " (control is off: set http.admin: true)" : "";
}
