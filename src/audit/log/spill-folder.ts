/**
 * Where a verification puts what doesn't fit into memory: a folder of its own in the system's temporary one, removed with everything in it.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ExitError, exitCodes, messageOf } from "../../core/errors.ts";

/** Rejects (ExitError) where there can be none. */
export async function spillFolder(): Promise<AsyncDisposable & { readonly path: string }> {
	try {
		const path = await mkdtemp(join(tmpdir(), "pockaffe-verify-"));
		return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
	} catch (cause) {
		throw new ExitError(exitCodes.found, "spill", `can't make a folder in ${tmpdir()} (TMPDIR): ${messageOf(cause)}`, { cause });
	}
}
