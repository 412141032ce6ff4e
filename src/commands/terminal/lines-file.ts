/** Reads a file with one entry per line, for options. */
import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { ExitError, exitCodes, messageOf } from "../../core/errors.ts";
import { readLines } from "../../core/text/lines.ts";
import type { CommandContext } from "../command-context.ts";

/** The file's lines, without blank ones. Rejects (ExitError, usage) if it can't be read or has none. */
export async function linesIn(
	file: string,
	{ option, what }: { readonly option: string; readonly what: string },
	{ cwd }: Pick<CommandContext, "cwd">,
): Promise<ReadonlySet<string>> {
	const path = resolve(cwd, file);
	const lines = new Set<string>();
	try {
		for await (const line of readLines(createReadStream(path)))
			if (line.trim() !== "") lines.add(line.endsWith("\r") ? line.slice(0, -1) : line);
	} catch (cause) {
		throw new ExitError(exitCodes.usage, option.slice(2), `${option} ${path}: ${messageOf(cause)}`, { cause });
	}
	if (lines.size === 0) throw new ExitError(exitCodes.usage, option.slice(2), `${option} ${path}: there is no ${what} in it`);
	return lines;
}
