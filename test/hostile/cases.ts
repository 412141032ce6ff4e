/**
 * Handlers that misbehave, a few lines each: add yours here. `act` runs at the sixth message of partition 0; hostile-scene.ts has the oracle.
 */
import type { HostileCase } from "./hostile-scene.ts";

const shared = { workers: { maxThreads: 1 } };
const overlapping = { handler: { concurrency: 4 } };

const importExec = 'import { execSync } from "node:child_process";';
/** Longer than the case takes: the thread is to be there when it is looked for. */
const SLEEP = 'execSync("sleep 40");';
const makePipe =
	'import { execSync } from "node:child_process"; import { existsSync, readFileSync } from "node:fs"; const pipe = new URL("./pipe", import.meta.url).pathname; if (!existsSync(pipe)) execSync("mkfifo " + pipe + " 2>/dev/null || true");';
const ownWorker = 'import { Worker } from "node:worker_threads"; const waits = `require("node:child_process").execSync("sleep 40")`;';

/** Code that `worker.terminate()` doesn't end: the thread stays behind, and the next one begins beside it. */
const notInterruptible: readonly HostileCase[] = [
	...[
		{ what: "walks over a sparse list", act: "const byId = []; byId[4_100_000_000] = 1; byId.filter((each) => each);" },
		{ what: "searches a sparse list", act: "const byId = []; byId[4_100_000_000] = 1; byId.indexOf(2);" },
		{ what: "waits for a child process", top: importExec, act: SLEEP },
		{ what: "reads a pipe that nobody writes to", top: makePipe, act: "readFileSync(pipe);" },
		{
			what: "derives a key for minutes",
			top: 'import { pbkdf2Sync } from "node:crypto";',
			act: 'pbkdf2Sync("a", "b", 100_000_000, 64, "sha512");',
		},
		{ what: "waits for a child process in a thread that others share", top: importExec, act: SLEEP, config: shared },
		{ what: "waits for a child process beside overlapping calls", top: importExec, act: SLEEP, config: overlapping },
		{
			what: "has a Worker of its own that waits, and waits for it",
			top: ownWorker,
			act: "new Worker(waits, { eval: true }); return new Promise(() => {});",
		},
	].map((each): HostileCase => ({ ...each, culprit: "letter", stuck: true })),
	{
		what: "waits for a child process between two calls",
		top: importExec,
		act: `setImmediate(() => { ${SLEEP} });`,
		culprit: "row or letter",
		stuck: true,
	},
	{
		what: "returns a list with billions of holes",
		act: "const rows = []; rows[4_100_000_000] = ROW(message); return rows;",
		culprit: "letter",
	},
	{
		what: "waits for a child process in terminate",
		source: `
			import { execSync } from "node:child_process";
			export const init = ({ partition }) => ({ partition });
			export function handleMessage({ key, value }) { const { n } = JSON.parse(value); return { id: String(key), fields: { n, doc: [n] } }; }
			export const terminate = (_, { partition }) => { if (partition === 0) execSync("sleep 40"); };`,
		act: "",
		culprit: "row",
	},
	{
		what: "has a Worker of its own and never settles",
		top: ownWorker,
		act: 'new Worker("for (;;);", { eval: true }); return new Promise(() => {});',
		culprit: "letter",
	},
];

/** Work that nobody waits for and that keeps the thread: between two calls, or after the last. */
const betweenCalls: readonly HostileCase[] = [
	{ what: "loops in a timer", act: "setTimeout(() => { for (;;); });", culprit: "row or letter" },
	{ what: "loops in an immediate", act: "setImmediate(() => { for (;;); });", culprit: "row or letter" },
	{ what: "loops in a microtask", act: "queueMicrotask(() => { for (;;); });", culprit: "row or letter" },
	{ what: "makes endless microtasks", act: "const spin = () => Promise.resolve().then(spin); spin();", culprit: "row or letter" },
	{ what: "makes endless ticks", act: "const spin = () => process.nextTick(spin); spin();", culprit: "row or letter" },
	{ what: "loops in work it does not await", act: "(async () => { await null; for (;;); })();", culprit: "row or letter" },
	{ what: "loops in a timer of a shared thread", act: "setTimeout(() => { for (;;); });", culprit: "row or letter", config: shared },
	{
		what: "loops in a timer beside overlapping calls",
		act: "setTimeout(() => { for (;;); });",
		culprit: "row or letter",
		config: overlapping,
	},
	{
		what: "looks for a pattern for ever in a timer",
		act: 'setTimeout(() => /^(a+)+$/.test("a".repeat(60) + "b"));',
		culprit: "row or letter",
	},
	{
		what: "breaks then of all promises",
		act: "Promise.prototype.then = () => new Promise(() => {});",
		culprit: "row or letter",
	},
	{
		what: "breaks queueMicrotask and setImmediate",
		act: "globalThis.queueMicrotask = globalThis.setImmediate = globalThis.setTimeout = () => {};",
		culprit: "row or letter",
	},
	{ what: "throws in a timer between two calls", act: 'setTimeout(() => { throw new Error("late"); }, 5);', culprit: "row or letter" },
	{ what: "rejects later and unhandled", act: 'setTimeout(() => Promise.reject(new Error("late")), 5);', culprit: "row or letter" },
];

/** Ways to use up the heap: some end the process, and then the next start must know whose fault it was. */
const grows = (body: string) => `const all = []; ${body}`;
const memory: readonly HostileCase[] = [
	{ what: "fills an array", act: grows("for (;;) all.push(new Array(1e5).fill(Math.random()));"), culprit: "letter" },
	{ what: "fills a Map", act: "const all = new Map(); for (let i = 0; ; i++) all.set(i, { i });", culprit: "letter" },
	{ what: "fills a Set", act: "const all = new Set(); for (let i = 0; ; i++) all.add(i);", culprit: "letter" },
	{ what: "fills an object", act: 'const all = {}; for (let i = 0; ; i++) all["key" + i] = i;', culprit: "letter" },
	{ what: "parses a giant", act: 'JSON.parse("[" + "[1],".repeat(3e7) + "1]");', culprit: "letter" },
	{ what: "splits a giant", act: '"a,".repeat(1e8).split(",");', culprit: "letter" },
	{ what: "spreads a list into itself", act: "let all = [1, 2, 3]; for (;;) all = [...all, ...all];", culprit: "letter" },
	{ what: "makes a list from a length", act: "Array.from({ length: 5e8 }, (_, i) => ({ i }));", culprit: "letter" },
	{ what: "pushes numbers", act: grows("for (let i = 0.5; ; i++) all.push(i);"), culprit: "letter" },
	{ what: "keeps Buffers", act: grows("for (;;) all.push(Buffer.alloc(1e6, 1));"), culprit: "letter" },
	{
		what: "leaks with every message and over many runs",
		top: "const kept = [];",
		act: "for (let i = 0; i < 40; i++) kept.push(new Array(1e5).fill(i));",
		culprit: "row or letter",
	},
].map(
	(each) =>
		({ ...each, config: { workers: { maxHeapMb: 64 }, handler: { timeoutMs: 8_000 } }, culprit: each.culprit as "letter" }) as HostileCase,
);

/** Built-ins put out of order for good: rows said must be rows packed. */
const builtIns: readonly HostileCase[] = [
	["Array.prototype.map", "Array.prototype.map = () => [];"],
	["Array.prototype.push", "Array.prototype.push = () => 0;"],
	["Array.prototype.flatMap", "Array.prototype.flatMap = () => [];"],
	["Array.prototype.filter", "Array.prototype.filter = () => [];"],
	["Array.prototype.entries", "Array.prototype.entries = () => [][Symbol.iterator]();"],
	["Array.prototype.join", 'Array.prototype.join = () => "";'],
	["Array.prototype.at", "Array.prototype.at = () => undefined;"],
	["Array.from", "Array.from = () => [];"],
	["Map.prototype.values", "Map.prototype.values = () => [][Symbol.iterator]();"],
	["Map.prototype.get", "Map.prototype.get = () => undefined;"],
	["Int32Array.from", "Int32Array.from = () => new Int32Array(0);"],
	["Float64Array.from", "Float64Array.from = () => new Float64Array(0);"],
	["String", "globalThis.String = () => 'x';"],
	["Object.hasOwn", "Object.hasOwn = () => false;"],
	["Object.keys", "Object.keys = () => [];"],
	["Object.entries", "Object.entries = () => [];"],
	["Math.max", "Math.max = () => 3;"],
	["Math.min", "Math.min = () => 3;"],
	["Array.isArray", "Array.isArray = () => true;"],
	["the array iterator", "Array.prototype[Symbol.iterator] = function* () {};"],
	["the iterator's next", "Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({ done: true });"],
	["Buffer.from", "Buffer.from = () => { throw new Error('patched'); };"],
	["String.prototype.replaceAll", "String.prototype.replaceAll = () => '';"],
	["RegExp.prototype.test", "RegExp.prototype.test = () => true;"],
	["JSON.stringify", "JSON.stringify = () => '{}';"],
	["performance.now", "performance.now = () => NaN;"],
	["Date", "globalThis.Date = class { static now() { return 0; } };"],
	["Number.isInteger", "Number.isInteger = Number.isSafeInteger = () => false;"],
	["Atomics", "Atomics.store = Atomics.add = Atomics.load = () => 0;"],
	["Array's species", "Object.defineProperty(Array, Symbol.species, { value: Set });"],
	["an index setter", "Object.defineProperty(Array.prototype, 0, { set() {}, get() { return 7; }, configurable: true });"],
].map(([name, act]) => ({
	what: `puts ${name} out of order`,
	act: act as string,
	culprit: "row or letter" as const,
}));

/** What is inherited is not said. */
const inherited: readonly HostileCase[] = [
	...["delete", "reject", "table", "then", "id", "fields"].map((name) => ({
		what: `merges carelessly: every object inherits ${name}`,
		act: `const merge = (to, from) => { for (const key of Object.keys(from)) typeof from[key] === "object" && from[key] ? merge(to[key] ?? (to[key] = {}), from[key]) : (to[key] = from[key]); return to; };
			merge({}, parse('{"__proto__":{"${name}":true}}'));`,
		culprit: "row or letter" as const,
	})),
	{ what: "gives every object a column's name", act: 'Object.prototype.doc = "everybody\'s";', culprit: "row or letter" },
];

/** `fields` that are no plain object: a refusal in words, or the values; never NULLs. */
const noPlainFields: readonly HostileCase[] = [
	{
		what: "forgets an await",
		act: "const { id, fields } = ROW(message); return { id, fields: Promise.resolve(fields) };",
		culprit: "letter",
		words: /await/,
	},
	{
		what: "returns fields as a Map",
		act: "const { id, fields } = ROW(message); return { id, fields: new Map(Object.entries(fields)) };",
		culprit: "letter",
		words: /Map/,
	},
	{
		what: "returns fields as a Set",
		act: "const { id } = ROW(message); return { id, fields: new Set([1]) };",
		culprit: "letter",
		words: /Set/,
	},
	{
		what: "returns fields as a typed array",
		act: "const { id } = ROW(message); return { id, fields: new Float64Array(2) };",
		culprit: "letter",
	},
	{
		what: "returns an entity whose columns are getters",
		top: "class Entity { #row; constructor(row) { this.#row = row; } get n() { return this.#row.n; } get doc() { return this.#row.doc; } }",
		act: "const { id, fields } = ROW(message); return { id, fields: new Entity(fields) };",
		culprit: "row or letter",
	},
	{
		what: "returns fields over defaults",
		act: "const { id, fields } = ROW(message); return { id, fields: Object.create(fields) };",
		culprit: "row or letter",
	},
	{
		what: "returns fields without a prototype",
		act: "const { id, fields } = ROW(message); return { id, fields: Object.assign(Object.create(null), fields) };",
		culprit: "row",
	},
	{
		what: "returns a promise in a json column",
		act: "const { id, fields } = ROW(message); return { id, fields: { ...fields, doc: Promise.resolve([5]) } };",
		culprit: "letter",
		words: /await/,
	},
	{
		what: "returns a Map in a json column",
		act: "const { id, fields } = ROW(message); return { id, fields: { ...fields, doc: new Map([[1, 2]]) } };",
		culprit: "letter",
	},
	{
		what: "returns a promise deep in a json column",
		act: "const { id, fields } = ROW(message); return { id, fields: { ...fields, doc: { a: [Promise.resolve(5)] } } };",
		culprit: "letter",
	},
	{ what: "returns a promise in a list", act: "return [Promise.resolve(ROW(message))];", culprit: "letter", words: /await/ },
	{
		what: "returns a Date in a json column",
		act: "const { id, fields } = ROW(message); return { id, fields: { ...fields, doc: new Date(0) } };",
		culprit: "any",
	},
	{
		what: "returns undefined beside a row's fields",
		act: "return { ...ROW(message), table: undefined, delete: undefined, reject: undefined };",
		culprit: "row",
	},
];

/** A message is as it came, each time. */
const changedMessages: readonly HostileCase[] = [
	{
		what: "writes into its key while calls overlap",
		act: "message.key.fill(120); return Promise.resolve(ROW({ key: '0-5', value: message.value }));",
		culprit: "row",
		config: overlapping,
	},
	{
		what: "writes into every key while calls overlap",
		source: `
		export async function handleMessage({ key, value }) { const id = key.toString(); const { n } = JSON.parse(value); await null; key.fill(0); value.fill(0); return { id, fields: { n, doc: [n] } }; }`,
		act: "",
		culprit: "row",
		config: overlapping,
	},
	{
		what: "writes into a value, and fails once",
		top: "let failed = false;",
		act: "if (!failed) { failed = true; message.value.fill(57); throw new Error('once'); }",
		culprit: "row",
	},
	{
		what: "writes into the values of a batch, and fails",
		source: `
			let failures = 0;
			export function handleMessages(batch) {
				return batch.map((message) => {
					const { n } = JSON.parse(message.value.toString());
					message.value.fill(57);
					if (message.partition === 0 && message.offset === 5) throw new Error("no");
					return { id: message.key.toString(), fields: { n, doc: [n] } };
				});
			}`,
		act: "",
		culprit: "letter",
	},
	{
		what: "transfers the bytes away",
		top: 'import { MessageChannel } from "node:worker_threads"; const { port1 } = new MessageChannel();',
		act: "const row = ROW(message); try { port1.postMessage(null, [message.value.buffer]); } catch {} return row;",
		culprit: "row or letter",
	},
	{
		what: "changes the batch's list",
		source: `
		export function handleMessages(batch) {
			const rows = batch.map(({ key, value }) => { const { n } = JSON.parse(value); return { id: String(key), fields: { n, doc: [n] } }; });
			batch.length = 0; return rows;
		}`,
		act: "",
		culprit: "row",
	},
];

/** Lists that answer in their own way. */
const ownLists: readonly HostileCase[] = [
	{
		what: "returns a list whose map gives nothing",
		top: "class Rows extends Array { map() { return []; } }",
		act: "const rows = new Rows(); rows.push(ROW(message)); return rows;",
		culprit: "row or letter",
	},
	{
		what: "returns a list of an own species",
		top: "class Rows extends Array { static get [Symbol.species]() { throw new Error('no'); } }",
		act: "const rows = new Rows(); rows.push(ROW(message)); return rows;",
		culprit: "row or letter",
	},
	{
		what: "returns a list whose iterator is empty",
		act: "const rows = [ROW(message)]; rows[Symbol.iterator] = function* () {}; return rows;",
		culprit: "row or letter",
	},
	{
		what: "returns a proxy of a list",
		act: "return new Proxy([ROW(message)], { get: (list, name) => name === 'length' ? (list.reads = (list.reads ?? 0) + 1) > 1 ? 0 : 1 : list[name] });",
		culprit: "row or letter",
	},
	{ what: "returns a list with holes", act: "const rows = [ROW(message)]; rows.length = 3; return rows;", culprit: "row or letter" },
	{
		what: "returns rows that change when they are read twice",
		act: "let reads = 0; const row = ROW(message); return { id: row.id, get fields() { return reads++ === 0 ? row.fields : {}; } };",
		culprit: "row or letter",
	},
	{
		what: "returns a batch answer of an own class",
		source: `
		class Rows extends Array { map() { return []; } }
		export function handleMessages(batch) { const rows = new Rows(); for (const { key, value } of batch) { const { n } = JSON.parse(value); rows.push({ id: String(key), fields: { n, doc: [n] } }); } return rows; }`,
		act: "",
		culprit: "row",
	},
	{ what: "returns a thenable that throws", act: "return { then() { throw new Error('no'); } };", culprit: "letter" },
	{
		what: "returns a thenable that throws while calls overlap",
		act: "return { get then() { throw new Error('no'); } };",
		culprit: "letter",
		config: overlapping,
	},
	{
		what: "returns a thenable that settles twice",
		act: "const row = ROW(message); return { then(resolve, reject) { resolve(row); resolve(row); reject(new Error('late')); } };",
		culprit: "row",
	},
];

const output: readonly HostileCase[] = [
	{ what: "prints for ever", act: "for (;;) console.log(message);", culprit: "letter" },
	{
		what: "prints for ever in a timer",
		act: "setInterval(() => { for (let i = 0; i < 1e4; i++) console.log(i); });",
		culprit: "row or letter",
		config: { workers: { maxHeapMb: 128 } },
	},
	{ what: "prints a giant", act: 'process.stdout.write("x".repeat(4e8));', culprit: "row or letter" },
	{ what: "rejects with a giant", act: 'return { reject: "x".repeat(2e7) };', culprit: "letter" },
	{ what: "throws a giant", act: 'throw new Error("x".repeat(2e7));', culprit: "letter" },
	{
		what: "closes its port",
		top: 'import { parentPort } from "node:worker_threads";',
		act: "parentPort.close();",
		culprit: "row or letter",
	},
	{
		what: "writes to its port",
		top: 'import { parentPort } from "node:worker_threads";',
		act: "for (let i = 0; i < 1000; i++) parentPort.postMessage({ i });",
		culprit: "row or letter",
	},
];

/** What held before, to keep. */
const plain: readonly HostileCase[] = [
	{ what: "throws", short: true, act: 'throw new Error("boom");', culprit: "letter", words: /boom/ },
	{ what: "loops", act: "for (;;);", culprit: "letter" },
	{ what: "waits on shared memory", act: "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);", culprit: "letter" },
	{ what: "never settles", act: "return new Promise(() => {});", culprit: "letter" },
	{ what: "ends the thread", act: "process.exit(3);", culprit: "letter" },
	{
		what: "freezes what is built in",
		act: "for (const each of [Object, Array, Map, Promise, String]) { Object.freeze(each); Object.freeze(each.prototype); }",
		culprit: "row",
	},
	{ what: "returns a number", act: "return 5;", culprit: "letter" },
	{
		what: "reuses its outcome",
		top: "const row = { id: '', fields: {} };",
		source: `
		const row = { id: "", fields: {} };
		export function handleMessage({ key, value }) { const { n } = JSON.parse(value); row.id = String(key); row.fields = { n, doc: [n] }; return row; }`,
		act: "",
		culprit: "row",
	},
	{
		what: "fakes the timers and the clock",
		act: "globalThis.setTimeout = globalThis.setImmediate = () => 0; globalThis.Date = class {}; globalThis.performance = { now: () => -1 };",
		culprit: "row or letter",
	},
];

/** All kinds. */
export const hostileCases: Readonly<Record<string, readonly HostileCase[]>> = {
	"can't be interrupted": notInterruptible,
	"works on between calls": betweenCalls,
	"uses up its memory": memory,
	"puts built-ins out of order": builtIns,
	"spoils what objects inherit": inherited,
	"returns fields that are no plain object": noPlainFields,
	"changes its messages": changedMessages,
	"returns lists of its own kind": ownLists,
	"prints and says too much": output,
	"fails in plain ways": plain,
};
