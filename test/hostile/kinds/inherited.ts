import { everyWay, type HostileCase, type HostileKind } from "../hostile-case.ts";

/** What rows and answers have, and what our own code and Node's read of objects that may lack it. */
const names = [
	...["id", "fields", "table", "delete", "reject", "then", "outcomes", "finishedTo", "toJSON", "length", "message", "stack"],
	...["failure", "finished", "together", "goesOn", "heldMb", "handled", "terminated", "fault", "bytes", "ok", "kind"],
	...["get", "set", "value", "writable", "transfer", "signal", "type", "constructor", "0"],
];

const merges = (name: string): HostileCase => ({
	what: `every object inherits \`${name}\` by a careless merge`,
	act: `const merge = (to, from) => { for (const key of Object.keys(from)) typeof from[key] === "object" && from[key] ? merge(to[key] ?? (to[key] = {}), from[key]) : (to[key] = from[key]); return to; };
		merge({}, parse('{"__proto__":{"${name}":true}}'));`,
	culprit: "row or letter",
	...(["delete", "then", "finishedTo"].includes(name) ? { also: everyWay } : {}),
	...(name === "delete" ? { short: true } : {}),
});

/** What is inherited is not said. */
export const inherited: HostileKind = {
	title: "pollutes prototypes",
	happens: "only own properties of an outcome and of its `fields` count",
	costs: "nothing; if the thread can't go on with it, a new thread and maybe a dead letter for the message",
	cases: [
		...names.map(merges),
		{
			what: "every object inherits a column's name",
			act: 'Object.prototype.doc = "everybody\'s";',
			culprit: "row or letter",
			also: everyWay,
		},
		{
			what: "every object inherits a setter",
			act: 'Object.defineProperty(Object.prototype, "fields", { set() {}, get() { return { n: 7 }; }, configurable: true });',
			culprit: "row or letter",
		},
		{ what: "lists inherit nothing", act: "Object.setPrototypeOf(Array.prototype, null);", culprit: "row or letter" },
	],
};
