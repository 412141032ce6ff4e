import { everyWay, type HostileKind } from "../hostile-case.ts";

const culprit = "row or letter";

/** Work that nobody waits for and that keeps the thread: between two calls, or after the last. */
export const betweenCalls: HostileKind = {
	title: "keeps working between calls",
	happens:
		"a thread that does not answer for `handler.timeoutMs` is killed and replaced; messages that it had not answered are handled again, at first one by one",
	costs:
		"the partition stands still for `handler.timeoutMs` each time; the message that left the work behind may become a dead letter although its own call succeeded",
	cases: [
		{ what: "loops in a timer", act: "setTimeout(() => { for (;;); });", culprit, also: everyWay, short: true },
		{ what: "loops in an immediate", act: "setImmediate(() => { for (;;); });", culprit },
		{ what: "loops in a microtask", act: "queueMicrotask(() => { for (;;); });", culprit, also: everyWay },
		{ what: "makes endless microtasks", act: "const spin = () => Promise.resolve().then(spin); spin();", culprit },
		{ what: "makes endless ticks", act: "const spin = () => process.nextTick(spin); spin();", culprit },
		{ what: "loops in work it does not await", act: "(async () => { await null; for (;;); })();", culprit, also: everyWay },
		{ what: "runs a regular expression without end in a timer", act: 'setTimeout(() => /^(a+)+$/.test("a".repeat(60) + "b"));', culprit },
		{
			what: "waits on shared memory in a timer",
			act: "setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));",
			culprit,
		},
		{ what: "breaks `then` of all promises", act: "Promise.prototype.then = () => new Promise(() => {});", culprit, also: everyWay },
		{ what: "replaces Promise", act: "globalThis.Promise = class { then() { return this; } };", culprit },
		{
			what: "breaks queueMicrotask and setImmediate",
			act: "globalThis.queueMicrotask = globalThis.setImmediate = globalThis.setTimeout = () => {};",
			culprit,
		},
		{ what: "throws in a timer between two calls", act: 'setTimeout(() => { throw new Error("late"); }, 5);', culprit, also: everyWay },
		{ what: "rejects later, unhandled", act: 'setTimeout(() => Promise.reject(new Error("late")), 5);', culprit },
		{ what: "ends the thread in a timer", act: "setTimeout(() => process.exit(0), 5);", culprit },
		{ what: "prints in an interval for ever", act: 'setInterval(() => console.log("tick"), 5);', culprit },
	],
};
