import { everyWay, type HostileCase, type HostileKind } from "../hostile-case.ts";

const importPort = 'import { parentPort } from "node:worker_threads";';
const onPort = (what: string, act: string): HostileCase => ({ what, top: importPort, act, culprit: "row or letter" });

export const output: HostileKind = {
	title: "prints too much, or reports huge errors",
	happens:
		"at most 500 lines or 256 KiB a second of a thread's output go to the log, and a warning counts the rest; the text of an error or a `reject` is cut to a maximum length; each thread talks to the daemon over a port of its own",
	costs: "the lines that were left out; a new thread if it closed or flooded its port",
	cases: [
		{ what: "prints for ever", act: "for (;;) console.log(message);", culprit: "letter", also: everyWay, short: true },
		{
			what: "prints for ever in a timer",
			act: "setInterval(() => { for (let i = 0; i < 1e4; i++) console.log(i); });",
			culprit: "row or letter",
			worksOn: true,
			config: { workers: { maxHeapMb: 128 } },
		},
		{ what: "prints a huge text", act: 'process.stdout.write("x".repeat(4e8));', culprit: "row or letter" },
		{ what: "prints without a line feed", act: 'for (let i = 0; i < 1e5; i++) process.stdout.write("x".repeat(100));', culprit: "row" },
		{
			what: "prints what can't be printed",
			act: "try { process.stdout.write(null); } catch {} process.stderr.write(Buffer.of(0, 255, 27));",
			culprit: "row or letter",
		},
		{ what: "closes its output", act: "process.stdout.end(); process.stderr.destroy();", culprit: "row or letter" },
		{ what: "rejects with a huge text", act: 'return { reject: "x".repeat(2e7) };', culprit: "letter" },
		{ what: "rejects with what can't be stored", act: 'return { reject: "a\\u0000b\\ud800" };', culprit: "letter" },
		{ what: "throws an error with a huge text", act: 'throw new Error("x".repeat(2e7));', culprit: "letter" },
		{
			what: "throws an error that is its own cause",
			act: "const error = new Error('no'); error.cause = error; throw error;",
			culprit: "letter",
		},
		{ what: "warns for ever", act: 'for (let i = 0; i < 1e4; i++) process.emitWarning("w" + i);', culprit: "row or letter" },
		onPort("closes its port", "parentPort.close();"),
		onPort("writes to its port", "for (let i = 0; i < 1000; i++) parentPort.postMessage({ i });"),
		onPort("writes null to its port", "parentPort.postMessage(null);"),
		onPort("removes the listeners of its port", "parentPort.removeAllListeners();"),
		onPort("listens to its port", "parentPort.on('message', () => { throw new Error('heard'); });"),
		onPort("replaces its port's `postMessage`", "parentPort.postMessage = () => {};"),
	],
};
