/** What log records are kept free of: each secret of a configuration, by a rule of its own. */
import { expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { isSecret, secretsOf } from "../../../src/config/secrets.ts";

const secretsBy = (environment: Record<string, string>) => secretsOf(loadConfig({ environment, cwd: "/nowhere" }).config);

it.each<readonly [string, Record<string, string>, readonly string[]]>([
	["the password of the database's URL", { POCKAFFE_DATABASE_URL: "postgres://u:pa%24s@h/d" }, ["pa%24s", "pa$s"]],
	["one that the URL has as a parameter", { POCKAFFE_DATABASE_URL: "postgres:///d?user=u&password=pa%24s&host=h" }, ["pa%24s", "pa$s"]],
	["a token", { POCKAFFE_HTTP_TOKEN: "t0ken" }, ["t0ken"]],
	[
		"the password of SASL, and not the user",
		{ POCKAFFE_KAFKA_SASL_MECHANISM: "PLAIN", POCKAFFE_KAFKA_SASL_USERNAME: "user", POCKAFFE_KAFKA_SASL_PASSWORD: "pass" },
		["pass"],
	],
	[
		"a key, and not its certificate",
		{ POCKAFFE_KAFKA_TLS_KEY: "-----BEGIN KEY", POCKAFFE_KAFKA_TLS_CERT: "-----BEGIN CERT" },
		["-----BEGIN KEY"],
	],
	...[
		"ssl.truststore.password",
		"oauth.client.secret",
		"ssl.key.pem",
		"my.token",
		"sasl.login.config",
		"my.credentials",
		"SSL.KEY.PEM",
	].map(
		(name) =>
			[`a client's property by its name: ${name}`, { POCKAFFE_KAFKA_PROPERTIES: JSON.stringify({ [name]: "one" }) }, ["one"]] as const,
	),
	["of a client's properties no others", { POCKAFFE_KAFKA_PROPERTIES: '{"client.id":"none","fetch.wait.max.ms":7}' }, []],
	["nothing where there is none", { POCKAFFE_DATABASE_URL: "postgres://u@h/d" }, []],
])("%s", (_, environment, secrets) => {
	expect(new Set(secretsBy(environment))).toEqual(new Set(secrets));
});

it.each(["PGPASSWORD", "PGSSLPASSWORD"])("libpq's %s", (name) => {
	expect(secretsOf(loadConfig({ environment: {}, cwd: "/nowhere" }).config, { [name]: "pass" })).toEqual(["pass"]);
});

it.each(
	[
		["database.url", "database.passwordCommand", "kafka.sasl.password", "kafka.tls.key", "http.token"],
		["kafka.properties.my.secret", "kafka.properties.ssl.key.pem", "kafka.properties.sasl.login.config"],
		["", "database", "kafka", "kafka.sasl", "kafka.tls", "kafka.properties", "http"],
	].flat(),
)("an error never shows the value of %j", (key) => {
	expect(isSecret(key)).toBe(true);
});

it.each(["database.passwordFile", "kafka.sasl.username", "kafka.tls.cert", "http.port", "kafka.properties.client.id", "handler"])(
	"an error shows the value of %s",
	(key) => {
		expect(isSecret(key)).toBe(false);
	},
);
