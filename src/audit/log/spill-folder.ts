/** A temporary folder for what does not fit into the memory of a verification or a reprocessing. Disposing it removes it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ExitError, exitCodes, messageOf } from "../../core/errors.ts";

/** Creates the folder. Rejects (ExitError) if that fails. */
export async function spillFolder(): Promise<AsyncDisposable & { readonly path: string }> {
	try {
		const path = await mkdtemp(join(tmpdir(), "pockaffe-verify-"));
		return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
	} catch (cause) {
		throw new ExitError(exitCodes.found, "spill", `can't make a folder in ${tmpdir()} (TMPDIR): ${messageOf(cause)}`, { cause });
	}
}
