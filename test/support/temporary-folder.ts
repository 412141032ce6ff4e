/** A folder of a test's own, gone after it. */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Use with `await using`. Readable for everybody, as the embedded Postgres of a root user needs it. */
export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
	const path = await mkdtemp(join(tmpdir(), "pockaffe-test-"));
	await chmod(path, 0o755);
	return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
