import { everyWay, type HostileCase, type HostileKind } from "../hostile-case.ts";

const rows = "class Rows extends Array { map() { return []; } }";
const handled = "const { n } = JSON.parse(value);";

const lists: readonly HostileCase[] = [
	{
		what: "returns a list whose map gives nothing",
		top: rows,
		act: "const rows = new Rows(); rows.push(ROW(message)); return rows;",
		culprit: "row",
		also: everyWay,
		short: true,
	},
	{
		what: "returns a list with a species of its own",
		top: "class Rows extends Array { static get [Symbol.species]() { throw new Error('no'); } }",
		act: "const rows = new Rows(); rows.push(ROW(message)); return rows;",
		culprit: "row",
	},
	{
		what: "returns a list whose iterator is empty",
		act: "const rows = [ROW(message)]; rows[Symbol.iterator] = function* () {}; return rows;",
		culprit: "row",
	},
	{
		what: "returns a proxy of a list",
		act: "return new Proxy([ROW(message)], { get: (list, name) => name === 'length' ? (list.reads = (list.reads ?? 0) + 1) > 1 ? 0 : 1 : list[name] });",
		culprit: "row or letter",
	},
	{ what: "returns a list with holes", act: "const rows = [ROW(message)]; rows.length = 3; return rows;", culprit: "letter" },
	{ what: "returns a list of lists", act: "return [[ROW(message)]];", culprit: "letter" },
	{ what: "returns an empty list", act: "return [];", culprit: "none" },
	{
		what: "returns a batch answer of its own class",
		source: `
		${rows}
		export function handleMessages(batch) { const rows = new Rows(); for (const { key, value } of batch) { ${handled} rows.push({ id: String(key), fields: { n, doc: [n] } }); } return rows; }`,
		culprit: "row",
		way: "batches",
	},
	...["[]", "null", "{}", "{ outcomes: 5 }", "{ finishedTo: 'all' }", "new Map()"].map(
		(answer): HostileCase => ({
			what: `answers a batch with \`${answer}\``,
			source: `
			export function handleMessages(batch) {
				const rows = batch.map(({ key, value }) => { ${handled} return { id: String(key), fields: { n, doc: [n] } }; });
				return batch.some(({ partition, offset }) => partition === 0 && offset === 5) ? ${answer} : rows;
			}`,
			culprit: "letter",
			way: "batches",
		}),
	),
];

const thenables: readonly HostileCase[] = [
	{ what: "returns a thenable that throws", act: "return { then() { throw new Error('no'); } };", culprit: "letter", also: everyWay },
	{
		what: "returns a thenable whose `then` throws when it is read",
		act: "return { get then() { throw new Error('no'); } };",
		culprit: "letter",
		also: everyWay,
	},
	{
		what: "returns a thenable that settles twice",
		act: "const row = ROW(message); return { then(resolve, reject) { resolve(row); resolve(row); reject(new Error('late')); } };",
		culprit: "row",
		also: everyWay,
	},
	{ what: "returns a thenable that never settles", act: "return { then() {} };", culprit: "letter" },
	{
		what: "returns a thenable that resolves to thenables without end",
		act: "const endless = { then(resolve) { resolve(endless); } }; return endless;",
		culprit: "letter",
	},
];

const odd: readonly HostileCase[] = [
	{
		what: "returns rows that change when they are read twice",
		act: "let reads = 0; const row = ROW(message); return { id: row.id, get fields() { return reads++ === 0 ? row.fields : {}; } };",
		culprit: "row or letter",
		also: everyWay,
	},
	...[
		"5",
		'"row"',
		"true",
		"Symbol('row')",
		"() => ROW(message)",
		"new Date(0)",
		"new Map()",
		"(function* () { yield ROW(message); })()",
		"new (class Row {})()",
	].map((result): HostileCase => ({ what: `returns \`${result}\``, act: `return ${result};`, culprit: "letter" })),
	{ what: "returns a frozen row", act: "const row = ROW(message); Object.freeze(row.fields); return Object.freeze(row);", culprit: "row" },
	{
		what: "returns a row with a field that is no column",
		act: "return { ...ROW(message), fields: { ...ROW(message).fields, m: 1 } };",
		culprit: "letter",
	},
	{ what: "returns a row for no table", act: "return { ...ROW(message), table: 'nowhere' };", culprit: "letter" },
	{ what: "returns a row for the table __proto__", act: "return { ...ROW(message), table: '__proto__' };", culprit: "letter" },
	{ what: "returns a row without an id", act: "return { ...ROW(message), id: undefined };", culprit: "letter" },
	{ what: "returns an id of 3 MB", act: "return { ...ROW(message), id: 'x'.repeat(3e6) };", culprit: "letter" },
	{ what: "returns reject without a reason", act: "return { reject: undefined };", culprit: "letter" },
	{ what: "forgets its return", act: "ROW(message); return;", culprit: "none" },
	{
		what: "uses one outcome for all messages",
		source: `
		const row = { id: "", fields: {} };
		export function handleMessage({ key, value }) { ${handled} row.id = String(key); row.fields = { n, doc: [n] }; return row; }`,
		culprit: "row",
	},
];

/** Outcomes that answer in their own way. */
export const ownResults: HostileKind = {
	title: "returns unusual results",
	happens:
		"lists are read by index, and their length only once; methods of the list are never called; anything that is no outcome is a failed attempt, and the error says what it was",
	costs:
		'a dead letter if it is no outcome. A handler that forgets its `return` for one message in a hundred makes no row for that one, and only `outcome="none"` counts it',
	cases: [...lists, ...thenables, ...odd],
};
