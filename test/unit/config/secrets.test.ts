/** What log records are kept free of: each secret of a configuration, by a rule of its own. */
import { expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { secretsOf } from "../../../src/config/secrets.ts";

const secretsBy = (environment: Record<string, string>) => secretsOf(loadConfig({ environment, cwd: "/nowhere" }).config);

it.each([
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
	[
		"a client's properties by their names, and no others",
		{
			POCKAFFE_KAFKA_PROPERTIES:
				'{"ssl.key.password":"one","sasl.oauthbearer.client.secret":"two","client.id":"none","ssl.key.pem":"three"}',
		},
		["one", "two", "three"],
	],
	["nothing where there is none", { POCKAFFE_DATABASE_URL: "postgres://u@h/d" }, []],
])("%s", (_, environment, secrets) => {
	expect(new Set(secretsBy(environment))).toEqual(new Set(secrets));
});
