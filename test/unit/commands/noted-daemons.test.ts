import { execFileSync } from "node:child_process";
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { noteDaemon, notedDaemons } from "../../../src/commands/process/noted-daemons.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** Beyond what any system gives. */
const GONE = 2 ** 31 - 1;
const daemon = { url: "http://127.0.0.1:4000", group: "g" };
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let notes: string;

beforeEach(async () => {
	folder = await temporaryFolder();
	notes = join(folder.path, ".pockaffe", "daemons");
});
afterEach(() => folder[Symbol.asyncDispose]());

const note = (path: string, pid: unknown, over = {}) => writeFile(path, JSON.stringify({ ...daemon, pid, ...over }), { mode: 0o600 });

it("finds who runs, and takes away what was left over", async () => {
	const forget = await noteDaemon(folder.path, daemon);
	await note(join(notes, `${GONE}.json`), GONE);
	// Another user's, as far as signals go, or root's own.
	const another = { url: "http://127.0.0.1:4001", group: "other" };
	await note(join(notes, "1.json"), 1, another);
	const byUrl = [...(await notedDaemons(folder.path))].sort((left, right) => left.url.localeCompare(right.url));
	expect(byUrl).toEqual([daemon, another]);
	expect((await readdir(notes)).sort()).toEqual(["1.json", `${process.pid}.json`].sort());
	await forget();
	expect(await notedDaemons(folder.path)).toEqual([another]);
});

it.each([".pockaffe/daemons", ".pockaffe"])("removes nothing behind a link in place of %s", async (planted) => {
	const theirs = join(folder.path, "theirs");
	const files = planted === ".pockaffe" ? join(theirs, "daemons") : theirs;
	await mkdir(files, { recursive: true, mode: 0o700 });
	if (planted !== ".pockaffe") await mkdir(join(folder.path, ".pockaffe"), { mode: 0o700 });
	await symlink(theirs, join(folder.path, planted));
	await note(join(files, `${GONE}.json`), GONE);
	expect(await notedDaemons(folder.path)).toEqual([]);
	expect(await readdir(files)).toEqual([`${GONE}.json`]);
});

it("leaves alone what is no note: other names, other contents, a pipe", async () => {
	await mkdir(notes, { recursive: true, mode: 0o700 });
	const files = { "package.json": GONE, [`${GONE - 1}.json`]: GONE, "0.json": 0, "7.json": "7", "8.json": undefined };
	for (const [name, pid] of Object.entries(files)) await note(join(notes, name), pid);
	execFileSync("mkfifo", ["-m", "600", join(notes, "9.json")]);
	expect(await notedDaemons(folder.path)).toEqual([]);
	expect((await readdir(notes)).sort()).toEqual([...Object.keys(files), "9.json"].sort());
});
