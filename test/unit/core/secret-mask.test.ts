import { describe, expect, it } from "vitest";
import type { Config } from "../../../src/config/config.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { secretsOf } from "../../../src/config/secrets.ts";
import { maskedFailure, SecretMask } from "../../../src/core/text/secret-mask.ts";

const defaults = loadConfig({ environment: {}, cwd: "/nowhere" }).config;
const withUrl = (url: string): Config => ({ ...defaults, database: { ...defaults.database, url } });

const secretMask = (secrets: readonly string[]) => new SecretMask(secrets).mask;

describe("a secret in a text", () => {
	it.each([
		["as it was written", "p%40ss%22%2fword"],
		["decoded", 'p@ss"/word'],
		["in a URL", "p%40ss%22%2Fword"],
		["in a URL whose separators stay", "p@ss%22/word"],
		["in JSON", String.raw`p@ss\"/word`],
	])("is blanked out: the URL's password %s", (_, spelling) => {
		const mask = secretMask(secretsOf(withUrl("postgres://u:p%40ss%22%2fword@h/d"), {}));
		expect(mask(`can't connect with ${spelling} there`)).toBe("can't connect with *** there");
		expect(mask("pass the word")).toBe("pass the word");
	});

	it.each([
		["a parameter of the URL", withUrl("postgres://h/d?user=u&password=s3cret%21"), {}, "s3cret!"],
		["a parameter of the URL for the key", withUrl("postgres://h/d?user=u&sslpassword=k3y-of%21"), {}, "k3y-of!"],
		["a variable of libpq's", defaults, { PGPASSWORD: "fr0m-env" }, "fr0m-env"],
		["the token", { ...defaults, http: { ...defaults.http, token: "t0ken-value" } }, {}, "t0ken-value"],
		[
			"the password for Kafka",
			{ ...defaults, kafka: { ...defaults.kafka, sasl: { mechanism: "PLAIN", username: "u", password: "k4fka-pass" } } },
			{},
			"k4fka-pass",
		],
		["a property", { ...defaults, kafka: { ...defaults.kafka, properties: { "ssl.keystore.password": "k3ystore" } } }, {}, "k3ystore"],
		[
			"a line of a key",
			{
				...defaults,
				kafka: {
					...defaults.kafka,
					tls: { ...defaults.kafka.tls, key: "-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END KEY-----" },
				},
			},
			{},
			"BgkqhkiG9w0B",
		],
	] as [string, Config, Record<string, string>, string][])("is blanked out: %s", (_, config, environment, secret) => {
		expect(secretMask(secretsOf(config, environment))(`it was ${secret}.`)).toBe("it was ***.");
	});

	it("is blanked out in every URL, known or not", () => {
		const mask = secretMask([]);
		expect(mask("postgres://a:b@h/d and kafka://c:d@h")).toBe("postgres://a:***@h/d and kafka://c:***@h");
		expect(mask("postgres://h/d?user=u&password=xyz&sslmode=require")).toBe("postgres://h/d?user=u&password=***&sslmode=require");
	});

	it("of few characters is blanked out as a word of its own, a longer one as a piece too", () => {
		expect(secretMask(["pass"])("the password is pass, or 'pass'")).toBe("the password is ***, or '***'");
		expect(secretMask(["a+b."])("xa+b.y a+b. a1b.")).toBe("xa+b.y *** a1b.");
		expect(secretMask(["longsecret"])("xlongsecrety")).toBe("x***y");
		expect(secretMask(["secret78"])("xsecret78y")).toBe("x***y");
		expect(secretMask(["secret7"])("xsecret7y")).toBe("xsecret7y");
	});

	it("leaves no rest of one that begins like another", () => {
		const secrets = new SecretMask(["hunter-one"]);
		secrets.add("hunter-one-and-more", "one-and-more");
		expect(secrets.mask("hunter-one-and-more, hunter-one")).toBe("***, ***");
	});

	it("is blanked out from when it is known, whoever was handed the mask before; one that it takes the place of, too", () => {
		const secrets = new SecretMask(["first-one"]);
		const { mask } = secrets;
		expect(mask("first-one second-one")).toBe("*** second-one");
		secrets.add("second-one");
		expect(mask("first-one second-one")).toBe("*** ***");
	});

	it("of three characters is none: it would blank out words", () => {
		expect(secretMask(["abc"])("abc, 'abc' and abcdef")).toBe("abc, 'abc' and abcdef");
	});
});

it("a failure goes on with its words and its stack masked; what else it says stays", () => {
	const mask = secretMask(["hunter2-long"]);
	const failure = { error: "no hunter2-long", stack: "at hunter2-long", attempts: 2 };
	const masked = maskedFailure(failure, mask);
	expect(masked).toEqual({ error: mask(failure.error), stack: mask(failure.stack), attempts: 2 });
	expect(JSON.stringify(masked)).not.toContain("hunter2");
	expect(maskedFailure({ error: "hunter2-long", stack: null }, mask)).toEqual({ error: mask("hunter2-long"), stack: null });
});
