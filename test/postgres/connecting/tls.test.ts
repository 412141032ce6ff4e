/** What each sslmode looks at, on a real server with certificates of every kind; beside it what `psql` answers, which CI has. */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { Authority, type Certificate, encryptedKey, joined } from "../../support/certificates.ts";
import { TlsPostgres } from "../../support/postgres/tls-postgres.ts";

const folder = mkdtempSync(join(tmpdir(), "pockaffe-tls-"));
const hasPsql = process.env.CI === "true" || spawnSync("psql", ["--version"]).status === 0;

let server: TlsPostgres;
let certificates: Readonly<Record<string, Certificate>>;
let ca: string;
let otherCa: string;
let client: Certificate;
let strangerClient: Certificate;

beforeAll(async () => {
	chmodSync(folder, 0o755);
	const authority = Authority.create(folder, "authority");
	const other = Authority.create(join(folder, "other"), "other-authority");
	const between = authority.intermediate("between");
	const behind = between.sign("behind", { name: "localhost", names: ["DNS:localhost", "IP:127.0.0.1"] });
	[ca, otherCa] = [authority.certificate.cert, other.certificate.cert];
	certificates = {
		right: authority.sign("right", { name: "localhost", names: ["DNS:localhost", "IP:127.0.0.1"] }),
		"of the name alone": authority.sign("name", { name: "localhost", names: ["DNS:localhost"] }),
		"of the address alone": authority.sign("address", { name: "nobody", names: ["IP:127.0.0.1"] }),
		"of another name": authority.sign("another", { name: "elsewhere", names: ["DNS:elsewhere.example"] }),
		"with a common name only": authority.sign("common", { name: "localhost" }),
		"of another authority": other.sign("foreign", { name: "localhost", names: ["DNS:localhost", "IP:127.0.0.1"] }),
		expired: authority.sign("expired", { name: "localhost", names: ["DNS:localhost", "IP:127.0.0.1"], days: -1 }),
		"behind another one": { cert: joined(join(folder, "chain.crt"), behind.cert, between.certificate.cert), key: behind.key },
	};
	client = authority.sign("client", { name: "certified" });
	strangerClient = other.sign("stranger", { name: "certified" });
	server = await TlsPostgres.start(join(folder, "postgres"));
	await server.query("create role certified login");
	await server.query("create role plain login password 'secret'");
	await server.admit("hostssl all certified all cert", "hostnossl all plain all scram-sha-256", "host all plain all reject");
});

afterAll(async () => {
	await server?.[Symbol.asyncDispose]();
	rmSync(folder, { recursive: true, force: true });
});

/** `TLS`, `plain`, or the error. */
async function connect(url: string): Promise<string> {
	const database = connectDatabase({ url, connections: 1, clock: systemClock });
	try {
		const [row] = await database.query("select ssl from pg_stat_ssl where pid = pg_backend_pid()");
		return row?.ssl ? "TLS" : "plain";
	} catch (error) {
		return (error as Error).message;
	} finally {
		await database.close();
	}
}

function psql(url: string): string {
	const asked = ["-XAtc", "select case when ssl then 'TLS' else 'plain' end from pg_stat_ssl where pid = pg_backend_pid()", url];
	const { status, stdout } = spawnSync("psql", asked, {
		encoding: "utf8",
		env: { PATH: process.env.PATH, HOME: folder, PGCONNECT_TIMEOUT: "5" },
	});
	return status === 0 ? stdout.trim() : "refused";
}

const unknown = /of a CA that is not known here/;
const otherName = /not for this name/;
const expired = /has expired/;

describe("a server's certificate", () => {
	/** By certificate: what verify-ca says, and verify-full by name and by address. Null: taken. */
	it.each<[string, RegExp | null, RegExp | null, RegExp | null]>([
		["right", null, null, null],
		["of the name alone", null, null, otherName],
		["of the address alone", null, otherName, null],
		["of another name", null, otherName, otherName],
		["with a common name only", null, null, otherName],
		["of another authority", unknown, unknown, unknown],
		["expired", expired, expired, expired],
		["behind another one", null, null, null],
	])("%s", async (kind, byCa, byName, byAddress) => {
		await server.present(certificates[kind] as Certificate);
		const cases: [host: string, query: string, refused: RegExp | null][] = [
			["localhost", "?sslmode=disable", null],
			["localhost", "?sslmode=prefer", null],
			["localhost", "?sslmode=require", null],
			["localhost", `?sslmode=require&sslrootcert=${ca}`, byCa],
			["localhost", `?sslmode=verify-ca&sslrootcert=${ca}`, byCa],
			["localhost", `?sslmode=verify-full&sslrootcert=${ca}`, byName],
			["127.0.0.1", `?sslmode=verify-full&sslrootcert=${ca}`, byAddress],
			// Nobody named the authority.
			["localhost", "?sslmode=verify-full", kind === "expired" ? /expired|not known/ : unknown],
		];
		for (const [host, query, refused] of cases) {
			const url = server.url(host, query);
			const answer = await connect(url);
			const wanted = refused ?? (query.includes("disable") ? /^plain$/ : /^TLS$/);
			expect(answer, `${host}${query}`).toMatch(wanted);
			if (hasPsql) expect(psql(url), `psql: ${host}${query}`).toBe(refused ? "refused" : answer);
		}
	});

	it("is asked for by the environment, too", async () => {
		await server.present(certificates["of another name"] as Certificate);
		process.env.PGSSLMODE = "verify-full";
		process.env.PGSSLROOTCERT = ca;
		try {
			expect(await connect(server.url("localhost"))).toMatch(otherName);
			expect(await connect(server.url("localhost", "?sslmode=require&sslrootcert=/nowhere.pem"))).toMatch(
				/sslrootcert can't be read: .*nowhere\.pem/,
			);
		} finally {
			delete process.env.PGSSLMODE;
			delete process.env.PGSSLROOTCERT;
		}
	});

	it("that is renewed, and a CA's on disk, are taken by the next connection", async () => {
		const known = join(folder, "known.pem");
		copyFileSync(certificates["of another authority"]?.cert as string, known);
		await server.present(certificates.right as Certificate);
		const database = connectDatabase({
			url: server.url("localhost", `?sslmode=verify-full&sslrootcert=${known}`),
			connections: 1,
			clock: systemClock,
		});
		try {
			await expect(database.query("select 1")).rejects.toThrow(unknown);
			copyFileSync(ca, known);
			expect(await database.query("select 1 as one")).toEqual([{ one: 1 }]);
			// The server's is of another authority now; what this client trusted before does not count.
			await server.present(certificates["of another authority"] as Certificate);
			await database.query("select pg_terminate_backend(pg_backend_pid())").catch(() => {});
			await expect(database.query("select 1")).rejects.toThrow(unknown);
			copyFileSync(otherCa, known);
			expect(await database.query("select 1 as one")).toEqual([{ one: 1 }]);
		} finally {
			await database.close();
		}
	});
});

describe("a server without TLS", () => {
	it.each([
		["?sslmode=disable", /^plain$/],
		["?sslmode=allow", /^plain$/],
		["?sslmode=prefer", /^plain$/],
		["", /^plain$/],
		["?sslmode=require", /the server has no TLS, and sslmode=require asks for it/],
		["?ssl=true", /the server has no TLS/],
		["?sslmode=verify-full", /the server has no TLS/],
	])("with %s", async (query, answer) => {
		await server.present(null);
		expect(await connect(server.url("localhost", query))).toMatch(answer);
	});
});

describe("a client's certificate", () => {
	const login = (query: string) => server.url("localhost", `?${query}sslmode=require`, "certified");

	it("lets in, also with an encrypted key and as PEM text", async () => {
		await server.present(certificates.right as Certificate, ca);
		chmodSync(client.key, 0o600);
		const encrypted = encryptedKey(client, "kept");
		chmodSync(encrypted, 0o600);
		expect(await connect(login(`sslcert=${client.cert}&sslkey=${client.key}&`))).toBe("TLS");
		expect(await connect(login(`sslcert=${client.cert}&sslkey=${encrypted}&sslpassword=kept&`))).toBe("TLS");
	});

	it.each([
		["not given", () => "", /connection requires a valid client certificate/],
		[
			"of an authority that the server doesn't know",
			() => `sslcert=${strangerClient.cert}&sslkey=${strangerClient.key}&`,
			/server does not know the CA of the client certificate|perhaps it does not accept the client certificate/,
		],
		[
			"whose key is another's",
			() => `sslcert=${client.cert}&sslkey=${strangerClient.key}&`,
			/sslkey .*stranger\.key is not the key of sslcert .*client\.crt/,
		],
		[
			"whose key is encrypted",
			() => `sslcert=${client.cert}&sslkey=${client.key}.encrypted&`,
			/sslkey .*client\.key\.encrypted is encrypted: give sslpassword/,
		],
		[
			"whose key's password is wrong",
			() => `sslcert=${client.cert}&sslkey=${client.key}.encrypted&sslpassword=no&`,
			/can't be decrypted with sslpassword/,
		],
		["without its key", () => `sslcert=${client.cert}&sslkey=/nowhere.key&`, /sslkey can't be read: .*nowhere\.key/],
		["that is no PEM", () => `sslcert=${client.key}&sslkey=${client.key}&`, /is not PEM that OpenSSL accepts/],
	])("%s is refused in words", async (_, query, words) => {
		await server.present(certificates.right as Certificate, ca);
		for (const key of [client.key, strangerClient.key]) chmodSync(key, 0o600);
		encryptedKey(client, "kept");
		chmodSync(`${client.key}.encrypted`, 0o600);
		expect(await connect(login(query()))).toMatch(words);
	});

	it("whose key others may read is refused", async () => {
		await server.present(certificates.right as Certificate, ca);
		chmodSync(client.key, 0o644);
		expect(await connect(login(`sslcert=${client.cert}&sslkey=${client.key}&`))).toMatch(/sslkey .* may be read by others: chmod 0600/);
	});
});
