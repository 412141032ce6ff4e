/** Rows that are computed anew now are of no use while a daemon goes on with the former handler. */
import type { Command } from "commander";
import type { Config } from "../../config/config.ts";
import type { Status } from "../../observe/status.ts";
import { handlerVersion } from "../../worker/thread/handler-version.ts";
import { type CommandContext, print } from "../command-context.ts";
import { daemonOf } from "../daemon-client.ts";

/** Warns if the group's daemon answers and runs another version of the same handler. Never rejects. */
export async function warnOfOtherVersion({ handler }: Pick<Config, "handler">, command: Command, context: CommandContext): Promise<void> {
	try {
		const daemon = await daemonOf(command, context);
		const { handler: running } = (await daemon.ask("GET", "/status")) as Pick<Status, "handler">;
		const version = handler.version || (await handlerVersion(handler.module));
		if (running.module !== handler.module || running.version === null || version === null) return;
		if (!running.mixed && running.version === version) return;
		const which = running.mixed ? "different versions" : `version ${running.version}`;
		print(
			context.stderr,
			`the daemon runs ${which} of the handler, and this is ${version}: restart it, or its next rows are of the former version`,
		);
	} catch {
		// No daemon that could be asked: it may run elsewhere, or not at all.
	}
}
