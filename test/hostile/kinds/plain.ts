import { everyWay, type HostileCase, type HostileKind } from "../hostile-case.ts";

const handle =
	"export function handleMessage({ key, value }) { const { n } = JSON.parse(value); return { id: String(key), fields: { n, doc: [n] } }; }";
/** True the first time in this folder, whatever thread asks. */
const once =
	'import { writeFileSync } from "node:fs"; const isFirst = (name) => { try { writeFileSync(new URL("./" + name, import.meta.url), "", { flag: "wx" }); return true; } catch { return false; } };';

const throws = (what: string, thrown: string): HostileCase => ({ what: `throws ${what}`, act: `throw ${thrown};`, culprit: "letter" });

const failing: readonly HostileCase[] = [
	{ what: "throws", short: true, act: 'throw new Error("boom");', culprit: "letter", words: /boom/, also: everyWay },
	throws("null", "null"),
	throws("undefined", "undefined"),
	throws("a symbol", "Symbol('no')"),
	throws("a promise that rejects", "Promise.reject(new Error('later'))"),
	throws("a proxy that throws", "new Proxy({}, { get() { throw new Error('no'); }, getPrototypeOf() { throw new Error('no'); } })"),
	throws("an error whose message throws", "Object.defineProperty(new Error(), 'message', { get() { throw new Error('no'); } })"),
	throws("an error without a message", "Object.assign(Object.create(Error.prototype), { message: 5, stack: {}, name: null })"),
	{ what: "rejects", act: 'return Promise.reject(new Error("boom"));', culprit: "letter", words: /boom/, also: everyWay },
	{ what: "recurses without end", act: "const deeper = () => deeper() + 1; deeper();", culprit: "letter" },
	{ what: "loops", act: "for (;;);", culprit: "letter", also: everyWay },
	{ what: "runs a regular expression without end", act: '/^(a+)+$/.test("a".repeat(60) + "b");', culprit: "letter" },
	{ what: "waits on shared memory", act: "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);", culprit: "letter" },
	{ what: "never settles", act: "return new Promise(() => {});", culprit: "letter", also: everyWay },
	{ what: "ends the thread", act: "process.exit(3);", culprit: "letter", also: everyWay },
	{ what: "aborts", act: "process.abort();", culprit: "letter" },
	{ what: "changes the working directory", act: "process.chdir('/');", culprit: "letter" },
	{ what: "imports a module that does not exist", act: "return import('./nowhere.mjs');", culprit: "letter" },
];

const states: readonly HostileCase[] = [
	{ what: "does not load the first time", top: `${once} if (isFirst("load")) throw new Error("not yet");`, culprit: "row", disturbs: true },
	{ what: "loads slowly", top: "await new Promise((resolve) => setTimeout(resolve, 500));", culprit: "row" },
	{ what: "hangs while it loads the first time", top: `${once} if (isFirst("load")) for (;;);`, culprit: "row", disturbs: true },
	{
		what: "fails in init the first time",
		source: `${once} export const init = () => { if (isFirst("init")) throw new Error("not yet"); }; ${handle}`,
		culprit: "row",
		disturbs: true,
	},
	{
		what: "hangs in init the first time",
		source: `${once} export const init = () => { if (isFirst("init")) for (;;); }; ${handle}`,
		culprit: "row",
		disturbs: true,
	},
	{ what: "fails in terminate", source: `export const terminate = () => { throw new Error("no"); }; ${handle}`, culprit: "row" },
	{ what: "hangs in terminate", source: `export const terminate = () => { for (;;); }; ${handle}`, culprit: "row" },
];

const surroundings: readonly HostileCase[] = [
	{
		what: "freezes the built-ins",
		act: "for (const each of [Object, Array, Map, Promise, String]) { Object.freeze(each); Object.freeze(each.prototype); }",
		culprit: "row",
		also: everyWay,
	},
	{
		what: "fakes the timers and the clock",
		act: "globalThis.setTimeout = globalThis.setImmediate = () => 0; globalThis.Date = class {}; globalThis.performance = { now: () => -1 };",
		culprit: "row or letter",
		also: everyWay,
	},
	{
		what: "changes the environment",
		act: "for (const name of Object.keys(process.env)) delete process.env[name]; process.env.TZ = 'x';",
		culprit: "row",
	},
	{
		what: "listens for all errors of the process",
		act: "process.on('uncaughtException', () => {}); process.on('unhandledRejection', () => {}); process.on('exit', () => { for (;;); });",
		culprit: "row",
	},
	{ what: "removes all listeners of the process", act: "process.removeAllListeners();", culprit: "row or letter" },
];

/** What held from the beginning. */
export const plain: HostileKind = {
	title: "fails in the usual ways",
	happens:
		"a failed attempt, tried again; poison after `handler.maxAttempts`. A dead thread is replaced; a module that does not load, or whose `init` fails, is loaded again with back-off",
	costs: "a dead letter for that message; the partition stands still during back-offs, and for `handler.timeoutMs` if a call hangs",
	cases: [...failing, ...states, ...surroundings],
};
