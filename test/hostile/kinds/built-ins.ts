import { everyWay, type HostileCase, type HostileKind } from "../hostile-case.ts";

/** Put out of order for good. What is not undone by a new thread would be found out by a neighbour's row. */
const lists: Readonly<Record<string, string>> = {
	"Array.prototype.map": "Array.prototype.map = () => [];",
	"Array.prototype.push": "Array.prototype.push = () => 0;",
	"Array.prototype.flatMap": "Array.prototype.flatMap = () => [];",
	"Array.prototype.filter": "Array.prototype.filter = () => [];",
	"Array.prototype.entries": "Array.prototype.entries = () => [][Symbol.iterator]();",
	"Array.prototype.join": 'Array.prototype.join = () => "";',
	"Array.prototype.at": "Array.prototype.at = () => undefined;",
	"Array.prototype.slice": "Array.prototype.slice = () => [];",
	"Array.prototype.sort": "Array.prototype.sort = function () { return this.reverse(); };",
	"Array.prototype.some": "Array.prototype.some = () => true;",
	"Array.from": "Array.from = () => [];",
	"Array.isArray": "Array.isArray = () => true;",
	"the array iterator": "Array.prototype[Symbol.iterator] = function* () {};",
	"the iterator's next": "Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({ done: true });",
	"Array's species": "Object.defineProperty(Array, Symbol.species, { value: Set });",
	"an index setter": "Object.defineProperty(Array.prototype, 0, { set() {}, get() { return 7; }, configurable: true });",
	"Array.prototype.toJSON": "Array.prototype.toJSON = () => 'patched';",
};

const others: Readonly<Record<string, string>> = {
	"Map.prototype.values": "Map.prototype.values = () => [][Symbol.iterator]();",
	"Map.prototype.get": "Map.prototype.get = () => undefined;",
	"Map.prototype.set": "Map.prototype.set = function () { return this; };",
	"Set.prototype.has": "Set.prototype.has = () => true;",
	"Int32Array.from": "Int32Array.from = () => new Int32Array(0);",
	"Float64Array.from": "Float64Array.from = () => new Float64Array(0);",
	"the typed arrays' set": "Object.getPrototypeOf(Int8Array.prototype).set = () => {};",
	"the typed arrays' subarray": "Object.getPrototypeOf(Int8Array.prototype).subarray = () => new Uint8Array(8);",
	"the typed arrays' slice": "Object.getPrototypeOf(Int8Array.prototype).slice = () => new Uint8Array(8);",
	String: "globalThis.String = () => 'x';",
	"String.prototype.slice": "String.prototype.slice = () => 'x';",
	"String.prototype.replaceAll": "String.prototype.replaceAll = () => '';",
	"String.prototype.includes": "String.prototype.includes = () => false;",
	"RegExp.prototype.test": "RegExp.prototype.test = () => true;",
	"RegExp.prototype.exec": "RegExp.prototype.exec = () => null;",
	"Object.hasOwn": "Object.hasOwn = () => false;",
	"Object.keys": "Object.keys = () => [];",
	"Object.entries": "Object.entries = () => [];",
	"Object.getPrototypeOf": "Object.getPrototypeOf = () => Array.prototype;",
	"Object.prototype.toJSON": "Object.prototype.toJSON = () => 'patched';",
	"Math.max": "Math.max = () => 3;",
	"Math.min": "Math.min = () => 3;",
	"Buffer.from": "Buffer.from = () => { throw new Error('patched'); };",
	"Buffer.prototype.toString": "Buffer.prototype.toString = () => 'x';",
	"Buffer.concat": "Buffer.concat = () => Buffer.alloc(0);",
	Buffer: "globalThis.Buffer = undefined; globalThis.Uint8Array = Array;",
	"JSON.stringify": "JSON.stringify = () => '{}';",
	"performance.now": "performance.now = () => NaN;",
	Date: "globalThis.Date = class { static now() { return 0; } };",
	"Number.isInteger": "Number.isInteger = Number.isSafeInteger = () => false;",
	Atomics: "Atomics.store = Atomics.add = Atomics.load = () => 0;",
	"Function.prototype.call": "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => undefined;",
	Error: "globalThis.Error = globalThis.TypeError = globalThis.RangeError = undefined; ",
	"the stacks of errors": "Error.prepareStackTrace = () => { throw 1; }; Error.stackTraceLimit = 0;",
	instanceof:
		"Object.defineProperty(Date, Symbol.hasInstance, { value: () => true }); Object.defineProperty(Uint8Array, Symbol.hasInstance, { value: () => true });",
	process: "globalThis.process = undefined;",
};

/** Also where others depend on the thread, and where all of a run is one call. */
const tried = [
	"Array.prototype.map",
	"Array.prototype.push",
	"the iterator's next",
	"the lists' JSON",
	"Map.prototype.get",
	"Math.max",
	"Object.keys",
];

export const builtIns: HostileKind = {
	title: "breaks built-ins",
	happens:
		"each answer of the thread is checked: its rows are counted a second time, and values with a known result are encoded beside them. If anything differs, the answer is thrown away, the thread is replaced, and its messages are handled again one by one. PocKaffe's own code uses copies of the most important built-ins, made before your module loads",
	costs: "a new thread, and maybe a dead letter for the message; in a shared thread the other partitions start again too",
	cases: Object.entries({ ...lists, ...others }).map(
		([name, act]): HostileCase => ({
			what: name.includes(" ") ? name : `\`${name}\``,
			act,
			culprit: "row or letter",
			...(tried.includes(name) ? { also: everyWay } : {}),
			...(name === "Array.prototype.map" ? { short: true } : {}),
		}),
	),
};
