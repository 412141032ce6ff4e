import { existsSync, readFileSync, statSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const { replaceFiles } = (await import("../../../config/build.mjs" as string)) as { replaceFiles(from: string, to: string): number };

async function write(folder: string, files: Record<string, string>): Promise<void> {
	for (const [name, text] of Object.entries(files)) {
		await mkdir(dirname(join(folder, name)), { recursive: true });
		await writeFile(join(folder, name), text);
	}
}

it("touches no file of a build that didn't change, puts whole files in place of those that did, and removes what is no more", async () => {
	await using folder = await temporaryFolder();
	const [made, dist] = [join(folder.path, "made"), join(folder.path, "dist")];
	await write(made, { "main.js": "1", "deep/er/a.js": "1", "gone.js": "1" });
	expect(replaceFiles(made, dist)).toBe(3);
	const file = (name: string) => statSync(join(dist, name)).ino;
	const [main, deep] = [file("main.js"), file("deep/er/a.js")];
	await write(made, { "main.js": "1", "deep/er/a.js": "2" });
	expect(replaceFiles(made, dist)).toBe(2);
	expect([file("main.js") === main, file("deep/er/a.js") === deep]).toEqual([true, false]);
	expect([readFileSync(join(dist, "deep/er/a.js"), "utf8"), existsSync(join(dist, "gone.js"))]).toEqual(["2", false]);
	await write(made, { "main.js": "1", "deep/er/a.js": "2" });
	expect(replaceFiles(made, dist)).toBe(0);
});

it("keeps a file executable that `npm link` made so", async () => {
	await using folder = await temporaryFolder();
	const [made, dist] = [join(folder.path, "made"), join(folder.path, "dist")];
	await write(dist, { "main.js": "1" });
	await chmod(join(dist, "main.js"), 0o755);
	await write(made, { "main.js": "2" });
	expect(replaceFiles(made, dist)).toBe(1);
	expect(statSync(join(dist, "main.js")).mode & 0o777).toBe(0o755);
});
