/**
 * The simulation finds what is broken on purpose, by the invariant that it breaks: a mutation each, in a copy of the source, within 1,000
 * seeds.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { type Mutation, mutations } from "./mutations.ts";

const project = new URL("../..", import.meta.url).pathname;
const SEEDS = 1_000;

/** Below the project's folder, so that packages are found. */
async function mutant({ edits }: Mutation, name: string): Promise<string> {
	const folder = join(project, ".cache", "mutants", `${process.pid}-${name}`);
	await mkdir(folder, { recursive: true });
	await cp(join(project, "src"), join(folder, "src"), { recursive: true });
	await cp(join(project, "test", "simulation"), join(folder, "test", "simulation"), { recursive: true });
	await cp(join(project, "test/support/script-options.ts"), join(folder, "test/support/script-options.ts"));
	await cp(join(project, "package.json"), join(folder, "package.json"));
	for (const { file, from, to } of edits) {
		const path = join(folder, file);
		const source = await readFile(path, "utf8");
		await writeFile(
			path,
			source.replace(from, () => to),
		);
	}
	return folder;
}

/** What was found until a seed broke the invariant. */
async function findings(folder: string, { breaks, kinds = "" }: Mutation): Promise<string> {
	const main = join(folder, "test/simulation/main.ts");
	const command = ["--import", "tsx", main, "--seeds", String(SEEDS), "--until", breaks, "--kinds", kinds];
	try {
		const { stdout } = await promisify(execFile)(process.execPath, command, { cwd: folder });
		return `nothing was found: ${stdout}`;
	} catch (error) {
		return (error as { stdout: string }).stdout;
	}
}

describe("the simulation finds that", () => {
	it.each(mutations.map((mutation, index) => [mutation.what, mutation, String(index)] as const))(
		"%s",
		// Up to 1,000 runs: half a minute of a free processor, minutes of a shared one.
		{ timeout: 600_000 },
		async (_, mutation, name) => {
			const folder = await mutant(mutation, name);
			try {
				expect(await findings(folder, mutation)).toMatch(new RegExp(`^seed \\d+ \\(.*\\): ${mutation.breaks}: `, "m"));
			} finally {
				await rm(folder, { recursive: true, force: true });
			}
		},
	);
});
