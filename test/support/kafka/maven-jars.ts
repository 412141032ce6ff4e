/** Jars from Maven Central into a folder of .cache/, once. */
import { execFile } from "node:child_process";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const cache = new URL("../../../.cache/", import.meta.url).pathname;

/** Where the jars of this name are kept. */
export function jarFolder(name: string): string {
	return join(cache, name);
}

/** Why there can be none here, null where they are there or can be fetched. In CI a missing one is a failure. */
export async function jarsMissing(name: string): Promise<string | null> {
	try {
		await run("java", ["-version"]);
		if (!(await exists(jarFolder(name)))) await run("mvn", ["-v"]);
		return null;
	} catch (cause) {
		const reason = `java and mvn are needed for ${name}, and are not here`;
		if (process.env.CI) throw new Error(reason, { cause });
		return reason;
	}
}

/**
 * Resolves with the folder of the jars that `pom` depends on, with these Maven properties. `prepare` may change it once, before anybody
 * sees it. Into a folder of this process, renamed when whole: several runs may fetch at once.
 */
export async function fetchJars(
	name: string,
	pom: string,
	prepare: (folder: string) => Promise<unknown> = async () => {},
	properties: readonly string[] = [],
): Promise<string> {
	const jars = jarFolder(name);
	if (await exists(jars)) return jars;
	const fresh = `${jars}.${process.pid}`;
	await mkdir(fresh, { recursive: true });
	const goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${fresh}`];
	await run("mvn", ["-q", "-B", "-f", pom, ...properties, ...goal]);
	await prepare(fresh);
	await rename(fresh, jars).catch(async (error) => {
		if (!(await exists(jars))) throw error;
		await rm(fresh, { recursive: true, force: true });
	});
	return jars;
}

function exists(path: string): Promise<boolean> {
	return stat(path).then(
		() => true,
		() => false,
	);
}
