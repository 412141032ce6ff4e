/**
 * A handler that changes what JavaScript is made of, and our own code in its thread with it: no row of another message is lost by it,
 * whoever came before or shares the thread. Real threads under real partition workers.
 */
import { describe, expect, it } from "vitest";
import { realWorkers } from "../support/fakes/real-worker.ts";

const COUNT = 8;
const CULPRIT = 3;

/** Each of them makes lists come out short, or empty, in the code that packs rows, or other texts of the same values. */
const losing: readonly [what: string, change: string][] = [
	["Array.prototype.map", "Array.prototype.map = () => [];"],
	["Array.prototype.push", "Array.prototype.push = () => 0;"],
	["Array.prototype.flatMap", "Array.prototype.flatMap = () => [];"],
	["Array.prototype.filter", "Array.prototype.filter = () => [];"],
	["Array.from", "Array.from = () => [];"],
	["the JSON of all lists", "Array.prototype.toJSON = () => 'patched';"],
	["what texts include", "String.prototype.includes = () => true;"],
	["Map.prototype.values", "Map.prototype.values = () => [][Symbol.iterator]();"],
	["the iterator of lists", "Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({ done: true });"],
	["an index of all lists", "Object.defineProperty(Array.prototype, 0, { set() {}, get() { return 7; }, configurable: true });"],
];

const changing = (change: string) => `export function handleMessage({ partition, offset }) {
	note(partition, offset);
	if (partition === 0 && offset === ${CULPRIT}) { ${change} }
	return { id: offset, fields: { name: offset, doc: [offset] } };
}`;

/** What the handler makes of each message but these, in order. */
const rowsWithout = (...lost: readonly number[]) =>
	Array.from({ length: COUNT }, (_, offset) => offset)
		.filter((offset) => !lost.includes(offset))
		.map((offset) => `${offset} ${offset} ${JSON.stringify([`${offset}`, null, `[${offset}]`])}`);

describe("a handler that changes built-ins at each attempt of a message", () => {
	it.each(losing)("%s: that message alone is given up, and no other's row is lost", async (_, change) => {
		await using workers = await realWorkers({ source: changing(change), maxAttempts: 2 });
		const { victim } = workers;
		victim.deliver(0, COUNT);
		await victim.done(COUNT);
		expect(victim.events.filter((event) => event.startsWith("dead letter"))).toEqual([`dead letter ${CULPRIT}`]);
		expect(victim.finished).toEqual(Array.from({ length: COUNT }, (__, offset) => offset));
		expect(victim.rows).toEqual(rowsWithout(CULPRIT));
		expect(victim.crashes.filter(({ attempt }) => attempt > 0).map(({ coordinates }) => coordinates?.offset)).toEqual([CULPRIT, CULPRIT]);
	});

	it("on a thread that two share: the other partition begins anew and has all its rows", async () => {
		const change = "Array.prototype.flatMap = () => [];";
		await using workers = await realWorkers({ source: changing(change), maxAttempts: 2, maxThreads: 1 });
		const { victim, sibling } = workers;
		victim.deliver(0, COUNT);
		sibling.deliver(0, COUNT);
		await Promise.all([victim.done(COUNT), sibling.done(COUNT)]);
		expect([victim, sibling].map(({ events }) => events.filter((event) => event.startsWith("dead letter")))).toEqual([
			[`dead letter ${CULPRIT}`],
			[],
		]);
		expect([victim.rows, sibling.rows]).toEqual([rowsWithout(CULPRIT), rowsWithout()]);
		expect(sibling.crashes.filter(({ attempt }) => attempt > 0)).toEqual([]);
	});
});

/** What the handler itself uses: innocents fail in its own code, in a thread that goes on. */
const harmful: readonly [what: string, change: string][] = [
	["Array.isArray", "Array.isArray = () => false;"],
	["Buffer.from", "Buffer.from = () => { throw new Error('no buffers'); };"],
	["a global", "globalThis.limit = 0;"],
	["the module's state", "known.clear();"],
];

const usesAll = (change: string) => `
	globalThis.limit = 10;
	const known = new Set(["a"]);
	export function handleMessage({ partition, offset }) {
		if (!Array.isArray([]) || globalThis.limit < 10 || !known.has("a")) throw new Error("out of order");
		Buffer.from("x");
		if (partition === 0 && offset === ${CULPRIT}) { ${change} }
		return { id: String(offset), fields: {} };
	}`;

describe("a thread that a message has put out of order", () => {
	it.each(harmful)("by %s: innocents behind it are handled in a new thread, and none becomes poison", async (_, change) => {
		await using workers = await realWorkers({ source: usesAll(change), maxAttempts: 3, retryBackoffMs: 1, maxRestarts: 0 });
		const { victim } = workers;
		victim.deliver(0, COUNT);
		await victim.done(COUNT);
		expect(victim.events).toEqual(["started", "restarted last_attempt", "started"]);
		expect(victim.crashes.map(({ attempt, coordinates }) => [attempt, coordinates?.offset])).toEqual([
			[1, CULPRIT + 1],
			[2, CULPRIT + 1],
		]);
	});

	it("costs the partitions that share it no message either: all begin anew", async () => {
		const source = usesAll("Array.isArray = () => false;");
		await using workers = await realWorkers({ source, maxAttempts: 2, retryBackoffMs: 1, maxRestarts: 0, maxThreads: 1 });
		const { victim, sibling } = workers;
		victim.deliver(0, CULPRIT + 1);
		await victim.done(CULPRIT + 1);
		sibling.deliver(0, COUNT);
		await sibling.done(COUNT);
		victim.deliver(CULPRIT + 1, COUNT);
		await victim.done(COUNT);
		expect([victim, sibling].map(({ events }) => events.filter((event) => event.startsWith("dead letter")))).toEqual([[], []]);
		expect(sibling.events).toEqual(["started", "restarted last_attempt", "started"]);
	});
});

it("a thread that another partition's handler broke charges no message that never came to the handler", async () => {
	// What is asked first of the next request: whose share it is for.
	const patched = 'function (key) { if (typeof key === "number") throw new Error("patched"); return get.call(this, key); }';
	const source = changing(`const { get } = Map.prototype; Map.prototype.get = ${patched};`);
	await using workers = await realWorkers({ source, maxThreads: 1 });
	const { victim, sibling } = workers;
	sibling.deliver(0, 1);
	await sibling.done(1);
	victim.deliver(0, CULPRIT + 1);
	await victim.done(CULPRIT + 1);
	sibling.deliver(1, 2);
	await sibling.done(2);
	expect(sibling.crashes.map(({ attempt, coordinates }) => [attempt, coordinates?.offset])).toEqual([[0, 1]]);
});

describe("a handler that changes built-ins which our own code keeps or has no need of", () => {
	it.each([
		["String", "globalThis.String = () => 'x';"],
		["Object.hasOwn", "Object.hasOwn = () => false;"],
		["Math.max", "Math.max = () => 3;"],
		["Array.isArray", "Array.isArray = () => true;"],
		["Buffer.from", "Buffer.from = () => { throw new Error('patched'); };"],
		["JSON.stringify", "JSON.stringify = () => '{}';"],
		["Int32Array.from", "Int32Array.from = () => new Int32Array(0);"],
	])("%s: every row is what it would be without", async (_, change) => {
		await using workers = await realWorkers({ source: changing(change) });
		workers.victim.deliver(0, COUNT);
		await workers.victim.done(COUNT);
		const { events, crashes, rows } = workers.victim;
		expect([events, crashes, rows]).toEqual([["started"], [], rowsWithout()]);
	});
});
