import type { HostileCase, HostileKind } from "../hostile-case.ts";

const returnsFields = (fields: string) => `const { id, fields } = ROW(message); return { id, fields: ${fields} };`;
const returnsDoc = (doc: string) => returnsFields(`{ ...fields, doc: ${doc} }`);

const cases: readonly HostileCase[] = [
	{ what: "forgets an await", act: returnsFields("Promise.resolve(fields)"), culprit: "letter", words: /await/, short: true },
	{ what: "returns fields as a Map", act: returnsFields("new Map(Object.entries(fields))"), culprit: "letter", words: /Map/ },
	{ what: "returns fields as a Set", act: returnsFields("new Set([1])"), culprit: "letter", words: /Set/ },
	{ what: "returns fields as a typed array", act: returnsFields("new Float64Array(2)"), culprit: "letter" },
	{ what: "returns fields as a list", act: returnsFields("[fields]"), culprit: "letter" },
	{ what: "returns fields as a text", act: returnsFields('"n"'), culprit: "letter" },
	{ what: "returns fields as a function", act: returnsFields("() => fields"), culprit: "letter" },
	{ what: "returns no fields", act: "return { id: ROW(message).id };", culprit: "letter" },
	{
		what: "returns an entity whose columns are getters",
		top: "class Entity { #row; constructor(row) { this.#row = row; } get n() { return this.#row.n; } get doc() { return this.#row.doc; } }",
		act: returnsFields("new Entity(fields)"),
		culprit: "row or letter",
	},
	{ what: "returns fields that inherit defaults", act: returnsFields("Object.create(fields)"), culprit: "row or letter" },
	{ what: "returns fields without a prototype", act: returnsFields("Object.assign(Object.create(null), fields)"), culprit: "row" },
	{ what: "returns fields that throw", act: returnsFields('{ ...fields, get doc() { throw new Error("no"); } }'), culprit: "letter" },
	{ what: "returns fields through a proxy", act: returnsFields("new Proxy(fields, {})"), culprit: "row or letter" },
	{
		what: "returns fields through a revoked proxy",
		act: "const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy;",
		culprit: "letter",
	},
	{ what: "returns a promise in a json column", act: returnsDoc("Promise.resolve([5])"), culprit: "letter", words: /await/ },
	{ what: "returns a Map in a json column", act: returnsDoc("new Map([[1, 2]])"), culprit: "letter" },
	{ what: "returns a Set in a json column", act: returnsDoc("new Set([1])"), culprit: "letter" },
	{ what: "returns a promise deep in a json column", act: returnsDoc("{ a: [Promise.resolve(5)] }"), culprit: "letter" },
	{
		what: "returns a cycle in a json column",
		act: returnsDoc("fields").replace("return", "fields.self = fields; return"),
		culprit: "letter",
	},
	{ what: "returns a bigint in a json column", act: returnsDoc("[5n]"), culprit: "letter" },
	{
		what: "returns lists nested 100,000 deep in a json column",
		act: returnsDoc("(() => { let deep = []; for (let i = 0; i < 1e5; i++) deep = [deep]; return deep; })()"),
		culprit: "letter",
	},
	{ what: "returns a NUL in a json column", act: returnsDoc('["a\\u0000b"]'), culprit: "letter" },
	{ what: "returns half a surrogate pair in a json column", act: returnsDoc('["\\ud800"]'), culprit: "any" },
	{ what: "returns an Error in a json column", act: returnsDoc('new Error("no")'), culprit: "letter" },
	{ what: "returns a function in a json column", act: returnsDoc("() => 5"), culprit: "letter" },
	{ what: "returns a promise for a number", act: returnsFields("{ ...fields, n: Promise.resolve(5) }"), culprit: "letter", words: /await/ },
	{ what: "returns NaN for a number", act: returnsFields("{ ...fields, n: NaN }"), culprit: "letter" },
	{ what: "returns a number that its column can't hold", act: returnsFields("{ ...fields, n: 1e30 }"), culprit: "letter" },
	{ what: "returns a promise in a list", act: "return [Promise.resolve(ROW(message))];", culprit: "letter", words: /await/ },
	{ what: "returns a Date in a json column", act: returnsDoc("new Date(0)"), culprit: "any" },
	{
		what: "returns a row with `table`, `delete` and `reject` undefined",
		act: "return { ...ROW(message), table: undefined, delete: undefined, reject: undefined };",
		culprit: "row",
	},
];

/** A refusal in words, or the values; never NULLs. */
export const fields: HostileKind = {
	title: "returns fields that are not a plain object",
	happens:
		"a failed attempt; the error says what was returned (`fields is a Promise: is an await missing?`), also inside json columns; never a NULL by accident",
	costs: "a dead letter for that message",
	cases,
};
