/** Asks before something is destroyed: a person on a terminal; elsewhere `--yes` answers. */
import type { Readable } from "node:stream";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { readLines } from "../../core/text/lines.ts";
import { visibleText } from "../../core/text/visible-text.ts";
import { type CommandContext, print } from "../command-context.ts";

/**
 * True if it may be done. `what` says it in a sentence, below a table if there is one. Throws ExitError (usage) if nobody can be asked.
 */
export async function isConfirmed(
	what: string,
	yes: boolean,
	{ stdin, stderr }: Pick<CommandContext, "stdin" | "stderr">,
): Promise<boolean> {
	if (yes) return true;
	if (!(stdin as Readable & { readonly isTTY?: boolean }).isTTY) {
		// The table is printed first: inside the error, `pockaffe: ` would shift its head.
		const sentence = what.slice(what.lastIndexOf("\n") + 1);
		if (sentence !== what) print(stderr, what.slice(0, -sentence.length - 1));
		throw new ExitError(exitCodes.usage, "not_confirmed", `${sentence} Say --yes to do it, or --dry-run to look only`);
	}
	stderr.write(visibleText(`${what} Type yes to do it: `));
	for await (const answer of readLines(stdin)) {
		if (/^y(es)?$/i.test(answer.trim())) return true;
		break;
	}
	print(stderr, "Nothing was changed.");
	return false;
}
