/** Files that are renewed on disk: taken once they have settled and can be used, and never half of them. */
import { readFileSync } from "node:fs";
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { RenewedFiles } from "../../../../src/kafka/connecting/renewed-files.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let clock: ManualClock;
let told: string[];
let usable: boolean;
let renew: () => Promise<boolean>;
let files: RenewedFiles;

const put = (name: string, contents: string) => writeFile(join(folder.path, name), contents);

async function watch(...names: readonly string[]): Promise<void> {
	files = new RenewedFiles({
		clock,
		files: names.map((name) => join(folder.path, name)),
		check: () => {
			for (const name of names) readFileSync(join(folder.path, name));
			if (!usable) throw new Error("kafka.tls.key is not the key of kafka.tls.cert");
		},
		renew: () => renew(),
		listener: {
			renewed: (changed) => told.push(`renewed ${changed.map((file) => file.slice(folder.path.length + 1))}`),
			refused: (_, why) => told.push(`refused: ${why}`),
		},
	});
	await files.start();
}

/** One look; files are read meanwhile. */
async function look(ms: number): Promise<void> {
	await clock.advance(ms);
	await expect.poll(() => clock.pending).toHaveLength(1);
}

beforeEach(async () => {
	folder = await temporaryFolder();
	clock = new ManualClock();
	told = [];
	usable = true;
	renew = async () => {
		told.push("joined anew");
		return true;
	};
	await put("cert", "one");
	await put("key", "one");
});

afterEach(async () => {
	files.dispose();
	await folder[Symbol.asyncDispose]();
});

it("are taken once they have stopped changing, and only once", async () => {
	await watch("cert", "key");
	await look(10_000);
	await put("cert", "two");
	await look(10_000);
	await put("key", "two");
	await look(1_000);
	expect(told).toEqual([]);
	await look(1_000);
	expect(told).toEqual(["joined anew", "renewed cert,key"]);
	await look(10_000);
	await look(10_000);
	expect(told).toHaveLength(2);
});

it("are taken where a link above them changes, as in a mounted secret", async () => {
	for (const version of ["v1", "v2"]) {
		await mkdir(join(folder.path, version));
		await put(`${version}/cert`, version);
	}
	await symlink("v1", join(folder.path, "data"));
	await watch("data/cert");
	await symlink("v2", join(folder.path, "next"));
	await rename(join(folder.path, "next"), join(folder.path, "data"));
	await look(10_000);
	await look(1_000);
	expect(told).toEqual(["joined anew", "renewed data/cert"]);
});

it("that can't be used, or whose client is not let in, are told once, and taken once that is mended", async () => {
	usable = false;
	await watch("cert", "key");
	await put("cert", "two");
	await look(10_000);
	await look(1_000);
	expect(told).toEqual(["refused: kafka.tls.key is not the key of kafka.tls.cert"]);
	usable = true;
	const accepted = renew;
	renew = () => Promise.reject(new Error("the client certificate has expired"));
	for (let times = 0; times < 2; times++) {
		await look(10_000);
		await look(1_000);
	}
	expect(told.slice(1)).toEqual(["refused: the client certificate has expired"]);
	renew = accepted;
	await look(10_000);
	await look(1_000);
	expect(told.slice(2)).toEqual(["joined anew", "renewed cert"]);
});

it.each([
	["taken", "three"],
	["put back", "one"],
])("that are refused for the same reason after they were %s are told again", async (_, next) => {
	usable = false;
	await watch("cert");
	await put("cert", "two");
	await look(10_000);
	await look(1_000);
	usable = true;
	await put("cert", next);
	await look(10_000);
	if (next !== "one") await look(1_000);
	usable = false;
	await put("cert", "four");
	await look(10_000);
	await look(1_000);
	const refused = "refused: kafka.tls.key is not the key of kafka.tls.cert";
	expect(told).toEqual([refused, ...(next === "one" ? [] : ["joined anew", "renewed cert"]), refused]);
});

it("wait where there is no member to join anew yet", async () => {
	renew = async () => false;
	await watch("cert");
	await put("cert", "two");
	await look(10_000);
	await look(1_000);
	expect(told).toEqual([]);
	renew = async () => true;
	await look(10_000);
	await look(1_000);
	expect(told).toEqual(["renewed cert"]);
});

it("that vanish are a change too, and told with what can't be read", async () => {
	await watch("cert", "key");
	await rm(join(folder.path, "key"));
	await look(10_000);
	await look(1_000);
	expect(told).toEqual([expect.stringMatching(/^refused: ENOENT: no such file or directory, open '.*key'$/)]);
});
