/** Where the password of a connection comes from, and what is said where it can't be had. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PocKaffeError } from "../../../src/core/errors.ts";
import { knownSecrets } from "../../../src/core/text/secret-mask.ts";
import type { ConnectionSettings, Host } from "../../../src/sink/database/connecting/connection-settings.ts";
import { type PasswordSource, passwordFor } from "../../../src/sink/database/connecting/passwords.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeEach(async () => {
	folder = await temporaryFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

async function file(text: string, mode = 0o600): Promise<string> {
	const path = join(folder.path, "passwords");
	await writeFile(path, text);
	await chmod(path, mode);
	return path;
}

const server = { name: "db.example", address: "db.example", port: 5432 } as Host;

interface Asked {
	readonly source?: PasswordSource;
	readonly password?: string | null;
	readonly libpq?: string;
	readonly isNamed?: boolean;
	readonly host?: Host;
}

const ask = ({ source = {}, password = null, libpq = "/nowhere", isNamed = false, host = server }: Asked) =>
	passwordFor(
		source,
		{ password, passwordFile: { value: libpq, isNamed }, user: "app", database: "shop" } as unknown as ConnectionSettings,
		host,
	);
const refusal = (asked: Asked) =>
	ask(asked).then(
		(password) => `it is ${password}`,
		({ code, message }: PocKaffeError) => `${code}: ${message}`,
	);

describe("a password", () => {
	it("is the first line of its file, before all others, and is never printed from then on", async () => {
		const passwordFile = await file("from-the-file\r\nsecond\n");
		expect(await ask({ source: { passwordFile }, password: "from-the-url" })).toBe("from-the-file");
		expect(knownSecrets.mask("it was from-the-file")).not.toContain("from-the-file");
	});

	it("is the first line that its command prints, before that of the URL", async () => {
		expect(await ask({ source: { passwordCommand: "echo one; echo two" }, password: "from-the-url" })).toBe("one");
	});

	it("is that of the URL, also an empty one, before that of libpq's file", async () => {
		const libpq = await file("*:*:*:*:from-libpq");
		expect([await ask({ password: "", libpq }), await ask({ libpq })]).toEqual(["", "from-libpq"]);
	});

	it("is empty where there is none", async () => {
		expect(await ask({})).toBe("");
	});
});

describe("what can't be had is told, and what a command printed is not", () => {
	it("of a file", async () => {
		expect(await refusal({ source: { passwordFile: join(folder.path, "none") } })).toMatch(
			/^ERR_PASSWORD: database\.passwordFile can't be read: .*ENOENT/,
		);
	});

	it("of a command that fails", async () => {
		expect(await refusal({ source: { passwordCommand: "echo s3cret; exit 3" } })).toBe(
			"ERR_PASSWORD: database.passwordCommand ended with 3",
		);
	});

	it("of libpq's file: one that is named must be there, and be private", async () => {
		const none = join(folder.path, "none");
		expect(await refusal({ libpq: none, isNamed: true })).toBe(`ERR_PASSWORD: the password file ${none} is not there`);
		await mkdir(join(folder.path, "folder"));
		expect(await refusal({ libpq: join(folder.path, "folder"), isNamed: true })).toContain("is not there");
		for (const mode of [0o640, 0o604, 0o620]) {
			const libpq = await file("*:*:*:*:p", mode);
			expect(await refusal({ libpq })).toBe(`ERR_PASSWORD: the password file ${libpq} may be read by others: chmod 0600 it`);
		}
	});
});

describe("a line of libpq's password file", () => {
	it.each<[line: string, password: string]>([
		["db.example:5432:shop:app:p", "p"],
		["*:*:*:*:p", "p"],
		["other:5432:shop:app:p", ""],
		["db.example:5433:shop:app:p", ""],
		["db.example:5432:other:app:p", ""],
		["db.example:5432:shop:other:p", ""],
		["localhost:5432:shop:app:p", ""],
		["#db.example:5432:shop:app:p", ""],
		["db.example:5432:shop:app", ""],
		["*:*:*:*:", ""],
		[String.raw`*:*:*:*:a\:b\\c`, String.raw`a:b\c`],
		["*:*:*:*:a\\", "a\\"],
		[String.raw`db\.example:5432:shop:app:p`, "p"],
	])("%s", async (line, password) => {
		expect(await ask({ libpq: await file(`${line}\n`) })).toBe(password);
	});

	it("counts where it is the first that fits", async () => {
		const libpq = await file("# ours\r\nother:*:*:*:a\r\n*:*:shop:app:b\r\n*:*:*:*:c\r\n");
		expect(await ask({ libpq })).toBe("b");
	});

	it("for localhost is for a socket, too", async () => {
		const host = { name: "/run/postgresql", address: "/run/postgresql/.s.PGSQL.5432", port: 5432 } as Host;
		expect(await ask({ libpq: await file("localhost:5432:shop:app:p\n"), host })).toBe("p");
		expect(await ask({ libpq: await file("/run/postgresql:5432:shop:app:q\n"), host })).toBe("q");
	});
});
