import { existsSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const { pruneBuild } = (await import("../../../config/prune-build.mjs" as string)) as { pruneBuild(folder: string): number };
const elf = Buffer.from("7f454c46000000", "hex");

const left = {
	"deps/librdkafka/src/rdkafka.c": "int main;",
	"deps/librdkafka/configure": "#!/bin/sh",
	"deps/librdkafka/packaging/a.zip": "PK",
	"deps/librdkafka/empty": "",
	"build/deps/librdkafka.so.1": elf,
	"build/deps/include/rdkafka.h": "",
	"build/Release/node-librdkafka.node": elf,
	"build/Makefile": "",
};
const taken = {
	"deps/librdkafka/src/rdkafka.o": elf,
	"deps/librdkafka/src/librdkafka.a": "!<arch>\n",
	"deps/librdkafka/src/librdkafka.so.1": elf,
	"deps/librdkafka/examples/producer": elf,
	"build/deps/librdkafka.a": "!<arch>\n",
	"build/Release/obj.target/node.o": elf,
	"build/Release/.deps/node.d": "x",
};

it("takes away what compiling left behind, and nothing that is loaded or compiled again", async () => {
	await using folder = await temporaryFolder();
	const there = (files: object) => Object.keys(files).filter((name) => existsSync(join(folder.path, name)));
	for (const [name, content] of Object.entries({ ...left, ...taken })) {
		await mkdir(dirname(join(folder.path, name)), { recursive: true });
		await writeFile(join(folder.path, name), content);
	}
	await symlink("librdkafka.so.1", join(folder.path, "build/deps/librdkafka.so"));
	await symlink("/dev/zero", join(folder.path, "deps/never-read"));
	expect(pruneBuild(folder.path)).toBe(Object.values(taken).reduce((sum, content) => sum + content.length, 0));
	expect(there(left)).toEqual(Object.keys(left));
	expect(there(taken)).toEqual([]);
	expect(pruneBuild(folder.path)).toBe(0);
});

it("does nothing where nothing is installed", () => {
	expect(pruneBuild("/nowhere")).toBe(0);
});
