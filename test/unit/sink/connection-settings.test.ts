/** What a URL, a service and the environment come to: as libpq reads them, or an error. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Environment } from "../../../src/core/environment.ts";
import { connectionSettings, describeTarget } from "../../../src/sink/database/connecting/connection-settings.ts";

const home = mkdtempSync(join(tmpdir(), "pockaffe-home-"));
afterAll(() => rmSync(home, { recursive: true }));

const settings = (url: string, environment: Environment = {}) => connectionSettings(url, { HOME: home, ...environment });
const hosts = (url: string, environment?: Environment) =>
	settings(url, environment).hosts.map(({ name, address, port }) => (name === address ? `${name}|${port}` : `${name}=${address}|${port}`));

describe("hosts", () => {
	it.each([
		["postgres://u:p@db.example:5433/name", ["db.example|5433"]],
		["postgresql://db.example", ["db.example|5432"]],
		["postgres:///name", ["localhost|5432"]],
		["postgres://u@[::1]:5433/db", ["::1|5433"]],
		["postgres://u@[2001:db8::1]/db", ["2001:db8::1|5432"]],
		["postgres://a,b:5433,[::1]:5434/db", ["a|5432", "b|5433", "::1|5434"]],
		["postgres:///db?host=/var/run/postgresql", ["/var/run/postgresql|5432"]],
		["postgres://%2Fvar%2Frun%2Fpostgresql/db?port=5433", ["/var/run/postgresql|5433"]],
		["postgres:///db?host=a,b&port=5433", ["a|5433", "b|5433"]],
		["postgres:///db?host=a,b&port=5433,5434", ["a|5433", "b|5434"]],
		["postgres://name.example/db?hostaddr=10.0.0.7", ["name.example=10.0.0.7|5432"]],
		["postgres:///db?hostaddr=10.0.0.7", ["10.0.0.7|5432"]],
	])("of %s", (url, expected) => {
		expect(hosts(url)).toEqual(expected);
	});

	it("come from the environment where the URL names none", () => {
		expect(hosts("postgres:///db", { PGHOST: "other", PGPORT: "6000" })).toEqual(["other|6000"]);
		expect(hosts("postgres://mine/db", { PGHOST: "other", PGPORT: "6000" })).toEqual(["mine|6000"]);
	});
});

describe("who logs in, and where", () => {
	it.each([
		["postgres://u:p@h/d", { user: "u", password: "p", database: "d" }],
		["postgres://u%40corp:p%2F%3A%40@h/d%20b", { user: "u@corp", password: "p/:@", database: "d b" }],
		["postgres://u:p:q@h/d", { user: "u", password: "p:q", database: "d" }],
		["postgres://u:p@ss@h/d", { user: "u", password: "p@ss", database: "d" }],
		["postgres://u@h", { user: "u", password: null, database: "u" }],
		["postgres://h/d?user=u&password=p", { user: "u", password: "p", database: "d" }],
		["postgres://h/", { user: userInfo().username, database: userInfo().username }],
		["postgres://u:a+b@h/d", { password: "a+b" }],
	])("of %s", (url, expected) => {
		expect(settings(url)).toMatchObject(expected);
	});

	it("come from the environment, and behind a service's entry", () => {
		writeFileSync(
			join(home, ".pg_service.conf"),
			"# mine\n[other]\nhost=no\n[prod]\nhost = db.prod\nuser=svc\nsslmode=require\n\n[last]\nhost=no\n",
		);
		const environment = { PGUSER: "env", PGPASSWORD: "secret", PGSERVICE: "prod", PGSSLMODE: "disable" };
		expect(settings("postgres:///d", environment)).toMatchObject({
			user: "svc",
			password: "secret",
			hosts: [{ name: "db.prod" }],
			tls: { mode: "require" },
		});
		expect(settings("postgres://u@h/d?service=prod")).toMatchObject({ user: "u", hosts: [{ name: "h" }], tls: { mode: "require" } });
	});
});

describe("TLS", () => {
	it.each([
		["", {}, "prefer"],
		["?sslmode=require", {}, "require"],
		["?sslmode=%72equire", {}, "require"],
		["?ssl=true", {}, "require"],
		["?sslrootcert=system", {}, "verify-full"],
		["", { PGSSLMODE: "verify-full" }, "verify-full"],
		["?sslmode=disable", { PGSSLMODE: "verify-full" }, "disable"],
		["", { PGREQUIRESSL: "1" }, "require"],
		["", { PGSSLROOTCERT: "system" }, "verify-full"],
	])("mode of %s with %j is %s", (query, environment, mode) => {
		expect(settings(`postgres://h/d${query}`, environment).tls.mode).toBe(mode);
	});

	it("is as the URL asks for, each in its place", () => {
		const versions = "ssl_min_protocol_version=TLSv1.2&ssl_max_protocol_version=TLSv1.3";
		const query = `sslmode=verify-ca&sslnegotiation=direct&sslsni=0&sslpassword=s3cret&sslkey=/a.key&sslcrl=/a.crl&${versions}`;
		expect(settings(`postgres://h/d?${query}`).tls).toMatchObject({
			mode: "verify-ca",
			direct: true,
			sni: false,
			key: { value: "/a.key", isNamed: true },
			crl: { value: "/a.crl", isNamed: true },
			keyPassword: "s3cret",
			minVersion: "TLSv1.2",
			maxVersion: "TLSv1.3",
		});
		expect(settings("postgres://h/d").tls).toMatchObject({
			direct: false,
			sni: true,
			keyPassword: null,
			minVersion: null,
			maxVersion: null,
		});
	});

	it("files are those of the URL or the environment, else those in the home folder where they are", () => {
		const given = settings("postgres://h/d?sslrootcert=/ca.pem", { PGSSLCERT: "/me.crt" }).tls;
		expect([given.rootCert, given.cert]).toEqual([
			{ value: "/ca.pem", isNamed: true },
			{ value: "/me.crt", isNamed: true },
		]);
		expect(given.key).toEqual({ value: join(home, ".postgresql/postgresql.key"), isNamed: false });
	});
});

describe("the rest", () => {
	it.each([
		["?connect_timeout=7", { connectTimeoutMs: 7_000 }],
		["?connect_timeout=1", { connectTimeoutMs: 2_000 }],
		["?connect_timeout=0", { connectTimeoutMs: 86_400_000 }],
		["", { connectTimeoutMs: 5_000, applicationName: "pockaffe", options: "", needsWritable: false, random: false }],
		["?application_name=me&options=-c%20geqo%3Doff", { applicationName: "me", options: "-c geqo=off" }],
		["?target_session_attrs=read-write", { needsWritable: true }],
		["?target_session_attrs=primary&load_balance_hosts=random", { needsWritable: true, random: true }],
		["?channel_binding=prefer&gssencmode=disable&client_encoding=UTF8", {}],
		...["false", "off", "no", "0"].map((value) => [`?replication=${value}`, {}] as [string, object]),
		["?keepalives=1&gssdelegation=0&tcp_user_timeout=0&sslcompression=0&sslcertmode=allow", {}],
		["?channel_binding=disable&gssencmode=prefer&min_protocol_version=3.0&max_protocol_version=latest", {}],
	])("of %s", (query, expected) => {
		expect(settings(`postgres://h/d${query}`)).toMatchObject(expected);
	});
});

describe("what is wrong or can't be had is an error, and never passed over", () => {
	it.each([
		["postgres://h/d?sslmode=Require", {}, "sslmode=Require is none of disable, allow, prefer, require, verify-ca, verify-full"],
		["postgres://h/d?ssl_mode=require", {}, "ssl_mode is no parameter of a connection (did you mean sslmode?)"],
		["postgres://h/d?TimeZone=UTC", {}, "TimeZone is no parameter of a connection"],
		["postgres://h/d?ssl=1", {}, "ssl=1: say it with sslmode"],
		["postgres://h/d?sslmode", {}, "a parameter without ="],
		["postgres://h/d?sslmode=%zz", {}, "sslmode: a % that begins no two hexadecimal digits"],
		["postgres://h/d?channel_binding=require", {}, "channel_binding=require is not supported"],
		["postgres://h/d?require_auth=scram-sha-256", {}, "require_auth is not supported"],
		["postgres://h/d?gssencmode=require", {}, "gssencmode=require is not supported"],
		["postgres://h/d?target_session_attrs=standby", {}, "target_session_attrs=standby is none of any, read-write, primary"],
		["postgres://h/d?sslmode=require&sslrootcert=system", {}, "sslmode=require with sslrootcert=system"],
		["postgres://h/d?sslnegotiation=direct", {}, "sslnegotiation=direct with sslmode=prefer"],
		["postgres://h:0/d", {}, "port 0 is no number from 1 to 65535"],
		["postgres://h:99999/d", {}, "port 99999 is no number from 1 to 65535"],
		["postgres://a,b/d?port=1,2,3", {}, "2 hosts and 3 ports"],
		["postgres://[::1/d", {}, "a host is neither host:port nor [IPv6]:port"],
		["postgres://h/d?connect_timeout=soon", {}, "connect_timeout=soon is no number of seconds"],
		["postgres://h/d?service=nope", {}, "service nope is in none of "],
		[
			"postgres://h/d",
			{ PGSSLMODE: "strict" },
			"sslmode=strict is none of disable, allow, prefer, require, verify-ca, verify-full (from PGSSLMODE)",
		],
		["postgres://h/d", { PGREQUIREAUTH: "scram-sha-256" }, "require_auth is not supported (from PGREQUIREAUTH)"],
		["mysql://h/d", {}, "must be postgres://"],
	])("%s %j", (url, environment, words) => {
		expect(() => settings(url, environment as Environment)).toThrow(words);
	});

	it("is told without anything secret of the URL", () => {
		const told = () => settings("postgres://me:hunter2@h/d?sslpassword=hunter3&nope=1");
		expect(told).toThrow(/^database\.url: \*\*\* – nope is no parameter/);
		expect(told).not.toThrow(/hunter/);
	});
});

it("a target is described without user, password and parameters", () => {
	const describeIt = (url: string) => describeTarget(url, { HOME: home });
	expect(describeIt("postgres://u:p@a,[::1]:5433/d?sslmode=require")).toBe("postgres://a:5432,[::1]:5433/d");
	expect(describeIt("postgres:///d?host=/run/pg")).toBe("postgres:///run/pg:5432/d");
	expect(describeIt("nothing")).toBe("");
});
