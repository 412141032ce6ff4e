/** The ways to a database: several hosts, sockets, IPv6, servers that take no writes, passwords that change. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, connect as dial, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase, type Database, type DatabaseLogin } from "../../../src/sink/database/database.ts";
import { TlsPostgres } from "../../support/postgres/tls-postgres.ts";
import { waitFor } from "../../support/wait-for.ts";

const folder = mkdtempSync(join(tmpdir(), "pockaffe-ways-"));
let first: TlsPostgres;
let second: TlsPostgres;
const servers: Server[] = [];
const databases: Database[] = [];

beforeAll(async () => {
	chmodSync(folder, 0o755);
	[first, second] = await Promise.all([TlsPostgres.start(join(folder, "first")), TlsPostgres.start(join(folder, "second"))]);
	for (const server of [first, second]) {
		await server.query("create role walker login password 'se:cret'");
		await server.query("create table steps(server text)");
		await server.query("grant select, insert on steps to walker");
		await server.query(`insert into steps values ('${server === first ? "first" : "second"}')`);
	}
});

afterEach(async () => {
	for (const database of databases.splice(0)) await database.close();
	for (const server of servers.splice(0)) server.close();
});

afterAll(async () => {
	await first?.[Symbol.asyncDispose]();
	await second?.[Symbol.asyncDispose]();
	rmSync(folder, { recursive: true, force: true });
});

const portOf = (server: TlsPostgres) => Number(new URL(server.url("127.0.0.1")).port);
const login = "walker:se%3Acret";
const at = (hosts: string, query = "") => `postgres://${login}@${hosts}/postgres${query}`;

function opened(reached: string | DatabaseLogin): Database {
	const database = connectDatabase({ ...(typeof reached === "string" ? { url: reached } : reached), connections: 2, clock: systemClock });
	databases.push(database);
	return database;
}

/** Which server answers. */
async function whoAnswers(database: Database): Promise<unknown> {
	return (await database.query("select min(server) as server from steps where server in ('first', 'second')"))[0]?.server;
}

/** Something that takes connections there; `onward` null: and says nothing. */
async function listening(
	where: { path: string } | { host: string; port: number },
	onward: TlsPostgres | null,
	hangsUp = false,
): Promise<number> {
	const server = createServer((socket) => {
		socket.on("error", () => {});
		if (hangsUp) socket.end();
		if (onward === null) return;
		const other = dial(portOf(onward), "127.0.0.1");
		other.on("error", () => socket.destroy());
		socket.pipe(other).pipe(socket);
	});
	servers.push(server);
	await new Promise<void>((resolve, reject) => server.once("error", reject).listen(where, resolve));
	return (server.address() as AddressInfo).port;
}

describe("hosts", () => {
	it("are tried in order: one that is away is passed over", async () => {
		expect(await whoAnswers(opened(at(`127.0.0.1:1,127.0.0.1:${portOf(second)}`)))).toBe("second");
		expect(await whoAnswers(opened(at(`127.0.0.1:${portOf(first)},127.0.0.1:${portOf(second)}`)))).toBe("first");
	});

	it("are tried in order: one that takes connections and says nothing is passed over in its time", async () => {
		const silent = await listening({ host: "127.0.0.1", port: 0 }, null);
		expect(await whoAnswers(opened(at(`127.0.0.1:${silent},127.0.0.1:${portOf(second)}`, "?connect_timeout=2")))).toBe("second");
	});

	it.each([
		["says nothing", false],
		["hangs up", true],
	])("are tried in order: one that takes connections in plain and %s is passed over", async (_, hangsUp) => {
		const silent = await listening({ host: "127.0.0.1", port: 0 }, null, hangsUp);
		const database = opened(at(`127.0.0.1:${silent},127.0.0.1:${portOf(second)}`, "?sslmode=disable"));
		expect(await waitFor("the other host", () => whoAnswers(database))).toBe("second");
	});

	it("are all named where none answers", async () => {
		const error = await opened(at("127.0.0.1:1,127.0.0.1:2"))
			.query("select 1")
			.catch((each: Error & { code: string }) => each);
		expect(error).toMatchObject({ code: "ECONNREFUSED", message: expect.stringMatching(/127\.0\.0\.1:1.*; .*127\.0\.0\.1:2/) });
	});

	it("a socket by its folder, in the host's place and as a parameter", async () => {
		await listening({ path: join(folder, ".s.PGSQL.5432") }, first);
		expect(await whoAnswers(opened(at("", `?host=${folder}`)))).toBe("first");
		expect(await whoAnswers(opened(at(encodeURIComponent(folder))))).toBe("first");
		// As for libpq a socket is not encrypted, whatever is asked for.
		expect(await whoAnswers(opened(at("", `?host=${folder}&sslmode=require`)))).toBe("first");
	});

	it("an IPv6 address in brackets", async (context) => {
		const port = await listening({ host: "::1", port: 0 }, first).catch(() => null);
		if (port === null) return context.skip("this machine has no IPv6");
		expect(await whoAnswers(opened(at(`[::1]:${port}`)))).toBe("first");
	});

	it("an address beside the name", async () => {
		expect(await whoAnswers(opened(at(`db.invalid:${portOf(first)}`, "?hostaddr=127.0.0.1")))).toBe("first");
	});
});

describe("a server that takes no writes", () => {
	const setReadOnly = async (server: TlsPostgres, isReadOnly: boolean) => {
		await server.query(`alter system set default_transaction_read_only = ${isReadOnly ? "on" : "off"}`);
		await server.query("select pg_reload_conf()");
		await waitFor("the setting is there", async () => {
			return (await server.query("show default_transaction_read_only"))[0]?.default_transaction_read_only === (isReadOnly ? "on" : "off");
		});
	};
	const both = () => `127.0.0.1:${portOf(first)},127.0.0.1:${portOf(second)}`;

	afterEach(async () => {
		for (const server of [first, second]) await setReadOnly(server, false);
	});

	it.each(["read-write", "primary"])("is passed over where target_session_attrs=%s asks for another", async (wanted) => {
		await setReadOnly(first, true);
		expect(await whoAnswers(opened(at(both(), `?target_session_attrs=${wanted}`)))).toBe("second");
	});

	it("is told where there is no other", async () => {
		await setReadOnly(first, true);
		await setReadOnly(second, true);
		const asked = opened(at(both(), "?target_session_attrs=read-write")).query("select 1");
		await expect(asked).rejects.toMatchObject({ code: "25006", message: expect.stringContaining("takes no writes") });
	});

	it("is left for the next host at the write that it refuses", async () => {
		const database = opened(at(both()));
		expect(await whoAnswers(database)).toBe("first");
		await setReadOnly(first, true);
		await expect(database.query("insert into steps values ('third')")).rejects.toMatchObject({ code: "25006" });
		expect(await whoAnswers(database)).toBe("second");
		await database.query("insert into steps values ('third')");
	});
});

describe("a password", () => {
	const without = (query = "") => `postgres://walker@127.0.0.1:${portOf(first)}/postgres${query}`;
	const file = join(folder, "secret");

	it("comes from a file, read anew at each connection", async () => {
		writeFileSync(file, "wrong\n");
		const database = opened({ url: without(), passwordFile: file });
		await expect(database.query("select 1")).rejects.toMatchObject({ code: "28P01" });
		writeFileSync(file, "se:cret\n");
		expect(await whoAnswers(database)).toBe("first");
	});

	it("comes from a command, run anew at each connection", async () => {
		writeFileSync(file, "wrong\n");
		const database = opened({ url: without(), passwordCommand: `cat '${file}'` });
		await expect(database.query("select 1")).rejects.toMatchObject({ code: "28P01" });
		writeFileSync(file, "se:cret");
		expect(await whoAnswers(database)).toBe("first");
	});

	it.each<[what: string, login: Omit<DatabaseLogin, "url">, words: RegExp]>([
		["a file that is not there", { passwordFile: "/nowhere" }, /database\.passwordFile can't be read: .*nowhere/],
		[
			"a command that fails, of whose output nothing is told",
			{ passwordCommand: "echo hunter2 >&2; exit 7" },
			/^database\.passwordCommand ended with 7$/,
		],
	])("of %s is told", async (_, source, words) => {
		await expect(opened({ url: without(), ...source }).query("select 1")).rejects.toMatchObject({
			code: "ERR_PASSWORD",
			message: expect.stringMatching(words),
		});
	});

	it("comes from libpq's file, by the line that fits first", async () => {
		const port = portOf(first);
		writeFileSync(
			file,
			`# mine\nelsewhere:*:*:*:no\n127.0.0.1:${port}:other:walker:no\n127.0.0.1:${port}:*:walker:se\\:cret\n*:*:*:*:no\n`,
		);
		chmodSync(file, 0o600);
		expect(await whoAnswers(opened(without(`?passfile=${file}`)))).toBe("first");
		chmodSync(file, 0o644);
		await expect(opened(without(`?passfile=${file}`)).query("select 1")).rejects.toThrow(/may be read by others: chmod 0600/);
	});
});

it("a database that is closed while a connection is being made waits for nobody, and leaves nothing", async () => {
	const silent = await listening({ host: "127.0.0.1", port: 0 }, null);
	const database = opened(at(`127.0.0.1:${silent}`));
	const asked = database.query("select 1").catch((error: { code: string }) => error.code);
	await database.close();
	expect(await asked).toMatch(/CONNECTION_(DESTROYED|ENDED)/);
	const [server] = servers;
	await waitFor(
		"no connection",
		async () => (await new Promise<number>((resolve) => server?.getConnections((_, count) => resolve(count)))) === 0,
	);
});
