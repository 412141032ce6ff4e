/** What another user of the machine planted where the embedded database keeps its things: never used, never written through. */
import { chmod, chown, link, lstat, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { readEmbeddedFile, writeEmbeddedFile } from "../../../src/embedded/embedded-file.ts";
import { EmbeddedPostgres } from "../../../src/embedded/embedded-postgres.ts";
import { readableNative } from "../../../src/embedded/postgres-binary.ts";
import { connectDatabase, probeDatabase } from "../../../src/sink/database/database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NOBODY = 65_534;
/** Only root can give files to somebody else, and only root's server runs as another user. */
const asRoot = describe.runIf(process.getuid?.() === 0);

function start(folder: string, log: (message: string) => void = () => {}): Promise<EmbeddedPostgres> {
	return EmbeddedPostgres.start({ folder, clock: systemClock, probe: (url) => probeDatabase(url, systemClock), log });
}

const refused = (words: RegExp) => ({ exitCode: 2, code: "unsafe_path", message: expect.stringMatching(words) });

/** A working folder with `.pockaffe/postgres` in it, ours. */
async function ownFolders() {
	const folder = await temporaryFolder();
	const postgres = join(folder.path, ".pockaffe", "postgres");
	await mkdir(postgres, { recursive: true, mode: 0o711 });
	return { cwd: folder.path, postgres, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

asRoot("what another user planted for the embedded database", () => {
	it("is refused as the folder itself", async () => {
		await using folder = await temporaryFolder();
		await mkdir(join(folder.path, ".pockaffe"));
		await chown(join(folder.path, ".pockaffe"), NOBODY, NOBODY);
		await expect(start(join(folder.path, ".pockaffe", "postgres"))).rejects.toMatchObject(refused(/belongs to the user with id 65534/));
	});

	it("is refused as a link to a folder", async () => {
		await using folder = await temporaryFolder();
		await mkdir(join(folder.path, "elsewhere"));
		await symlink("elsewhere", join(folder.path, ".pockaffe"));
		await expect(start(join(folder.path, ".pockaffe", "postgres"))).rejects.toMatchObject(refused(/is a symbolic link/));
	});

	it("is refused as a folder that anybody may write to", async () => {
		await using folders = await ownFolders();
		await chmod(folders.postgres, 0o777);
		await expect(start(folders.postgres)).rejects.toMatchObject(refused(/may be written by others/));
	});

	it.each(["password", "port", "owner.pid", "place"])("is refused as the file %s", async (name) => {
		await using folders = await ownFolders();
		await chmod(folders.cwd, name === "place" ? 0o700 : 0o755);
		await writeFile(join(folders.postgres, name), "planted", { mode: 0o644 });
		await chown(join(folders.postgres, name), NOBODY, NOBODY);
		const started = start(folders.postgres);
		// Who the owner is, is only asked where a server is left behind; then it is written.
		await expect(started).rejects.toMatchObject(refused(/belongs to the user with id 65534/));
	});

	it.each(["password", "port", "owner.pid", "server.log"])("is not written through the link %s", async (name) => {
		await using folders = await ownFolders();
		const target = join(folders.cwd, "target");
		await writeFile(target, "");
		await symlink(target, join(folders.postgres, name));
		await expect(start(folders.postgres)).rejects.toMatchObject(refused(/is a symbolic link/));
		expect(await readFile(target, "utf8")).toBe("");
	});

	it("is not written through a hard link", async () => {
		await using folders = await ownFolders();
		const target = join(folders.cwd, "target");
		await writeFile(target, "mine");
		await link(target, join(folders.postgres, "server.log"));
		await expect(start(folders.postgres)).rejects.toMatchObject(refused(/second name/));
		expect(await readFile(target, "utf8")).toBe("mine");
	});

	it("is refused as the data", async () => {
		await using folders = await ownFolders();
		await mkdir(join(folders.postgres, "data"), { mode: 0o700 });
		await writeFile(join(folders.postgres, "data", "PG_VERSION"), "18\n");
		await chown(join(folders.postgres, "data"), NOBODY, NOBODY);
		await expect(start(folders.postgres)).rejects.toMatchObject(refused(/belongs to the user with id 65534/));
	});

	it.each(["native-1", `native-1.${process.pid}.new`])("is not run: programs in the place of their copy (%s)", async (name) => {
		await using folders = await ownFolders();
		const programs = join(folders.cwd, "native");
		await mkdir(join(programs, "bin"), { recursive: true });
		await writeFile(join(programs, "bin", "initdb"), "ours");
		await chmod(programs, 0o700);
		const user = { uid: NOBODY, gid: NOBODY };
		const planted = join(folders.postgres, name);
		await mkdir(join(planted, "bin"), { recursive: true });
		await writeFile(join(planted, "bin", "initdb"), "planted");
		await chown(planted, NOBODY, NOBODY);
		const copied = readableNative(programs, "1", user, folders.postgres);
		// What is half made is begun anew.
		if (name.endsWith(".new")) expect(await readFile(join(await copied, "bin", "initdb"), "utf8")).toBe("ours");
		else await expect(copied).rejects.toMatchObject(refused(/belongs to the user with id 65534/));
	});

	it("is not found in the temporary folder: the server of a folder that its user can't reach has one with a name nobody can guess", async () => {
		await using folders = await ownFolders();
		await chmod(folders.cwd, 0o700);
		const log: string[] = [];
		const first = await start(folders.postgres, (message) => log.push(message));
		const place = (await readFile(join(folders.postgres, "place"), "utf8")).trim();
		try {
			expect(place).toMatch(new RegExp(`^${tmpdir()}/pockaffe-[A-Za-z0-9]{6}$`));
			expect(log[0]).toContain(`the data is kept in ${place}`);
			expect((await stat(place)).mode & 0o777).toBe(0o711);
			expect((await stat(join(place, "data"))).mode & 0o777).toBe(0o700);
			// What only we need is with us, and the log for nobody else.
			for (const name of ["password", "server.log", "owner.pid", "port"]) {
				const { mode, uid } = await stat(join(folders.postgres, name));
				expect([name, mode & 0o777, uid]).toEqual([name, 0o600, 0]);
			}
			const database = connectDatabase({ url: first.url, connections: 1, clock: systemClock });
			await database.query("create table kept as select 42 as answer");
			await database.close();
		} finally {
			await first[Symbol.asyncDispose]();
		}
		const again: string[] = [];
		await using second = await start(folders.postgres, (message) => again.push(message));
		const database = connectDatabase({ url: second.url, connections: 1, clock: systemClock });
		expect([await database.query("select answer from kept"), again]).toEqual([[{ answer: 42 }], []]);
		await database.close();
		await second[Symbol.asyncDispose]();
		// Somebody else's folder in its place is not taken for it.
		const { rename, rm } = await import("node:fs/promises");
		await rename(place, `${place}.moved`);
		await mkdir(place);
		await chown(place, NOBODY, NOBODY);
		await expect(start(folders.postgres)).rejects.toMatchObject(refused(/belongs to the user with id 65534/));
		await rm(place, { recursive: true });
		await rm(`${place}.moved`, { recursive: true });
	});
});

asRoot("the addresses of an embedded daemon", () => {
	const addresses = { brokers: ["127.0.0.1:1"], databaseUrl: "postgres://x", http: null, pid: 1, startedAt: "", config: "" };

	it("that another user wrote are not believed", async () => {
		await using folders = await ownFolders();
		await writeEmbeddedFile(folders.cwd, addresses);
		expect(await readEmbeddedFile(folders.cwd)).toEqual(addresses);
		const file = join(folders.cwd, ".pockaffe", "embedded.json");
		expect((await lstat(file)).mode & 0o777).toBe(0o600);
		await chown(file, NOBODY, NOBODY);
		expect(await readEmbeddedFile(folders.cwd)).toBeNull();
		await expect(writeEmbeddedFile(folders.cwd, addresses)).rejects.toMatchObject(refused(/belongs to/));
	});
});
