import type { Fate, HostileCase, HostileKind } from "../hostile-case.ts";

const value = (what: string, message: string | Buffer, culprit: Fate): HostileCase => ({
	what: `is sent ${what}`,
	message: { value: message },
	culprit,
});
const good = '"n":5,"doc":[5]';

/** `pockaffe:json` runs no code of yours: here the messages are hostile. */
export const jsonMessages: HostileKind = {
	title: "is `pockaffe:json`, and gets hostile messages",
	happens:
		"a value that is no JSON object, or that the table can't hold, becomes a dead letter; `__proto__` and the like are ordinary field names",
	costs: "a dead letter for that message",
	cases: [
		{ ...value("`__proto__`", `{"__proto__":{"delete":true,"table":"x"},${good}}`, "row") },
		value("a constructor's prototype", `{"constructor":{"prototype":{"delete":true}},${good}}`, "row"),
		value("the names of methods", `{"hasOwnProperty":1,"toString":null,"then":1,"toJSON":1,${good}}`, "row"),
		value("invalid JSON", "{", "letter"),
		value("an empty value", "", "letter"),
		value("a list", "[1]", "letter"),
		value("a number", "5", "letter"),
		value("a byte order mark", `\ufeff{${good}}`, "row or letter"),
		value("bytes that are not UTF-8", Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), "letter"),
		value("lists nested 100,000 deep", `{"n":5,"doc":${"[".repeat(1e5)}${"]".repeat(1e5)}}`, "letter"),
		value("a number that no column holds", '{"n":1e400,"doc":[5]}', "letter"),
		value("a fraction for an integer", '{"n":5.5,"doc":[5]}', "any"),
		value("a NUL", '{"n":5,"doc":["a\\u0000b"]}', "letter"),
		value("half a surrogate pair", '{"n":5,"doc":["\\ud800"]}', "letter"),
		value("an object for a number", '{"n":{"m":5},"doc":[5]}', "letter"),
		{ what: "is sent no key", message: { key: null, value: `{${good}}` }, culprit: "letter" },
	],
};
