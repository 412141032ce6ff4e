import { everyWay, type HostileCase, type HostileKind } from "../hostile-case.ts";

const importExec = 'import { execSync } from "node:child_process";';
/** Longer than the case takes: the thread is to be there when it is looked for. */
const SLEEP = 'execSync("sleep 40");';
const makePipe =
	'import { execSync } from "node:child_process"; import { existsSync, readFileSync } from "node:fs"; const pipe = new URL("./pipe", import.meta.url).pathname; if (!existsSync(pipe)) execSync("mkfifo " + pipe + " 2>/dev/null || true");';
const ownWorker = 'import { Worker } from "node:worker_threads"; const waits = `require("node:child_process").execSync("sleep 40")`;';
const SPARSE = "const byId = []; byId[4_100_000_000] = 1;";

const cases: readonly HostileCase[] = [
	{ what: "filters a sparse list", act: `${SPARSE} byId.filter((each) => each);`, culprit: "letter", stuck: "burns", also: everyWay },
	{ what: "maps a sparse list", act: `${SPARSE} byId.map((each) => each);`, culprit: "letter", stuck: "burns" },
	{ what: "walks over a sparse list", act: `${SPARSE} byId.forEach(() => {});`, culprit: "letter", stuck: "burns" },
	{ what: "searches a sparse list", act: `${SPARSE} byId.indexOf(2);`, culprit: "letter", stuck: "burns" },
	{ what: "sums a sparse list", act: `${SPARSE} byId.reduce((sum) => sum, 0);`, culprit: "letter", stuck: "burns" },
	{ what: "waits for a child process", top: importExec, act: SLEEP, culprit: "letter", stuck: "waits", also: everyWay, short: true },
	{ what: "reads a pipe that nobody writes to", top: makePipe, act: "readFileSync(pipe);", culprit: "letter", stuck: "waits" },
	{
		what: "derives a key for minutes",
		top: 'import { pbkdf2Sync } from "node:crypto";',
		act: 'pbkdf2Sync("a", "b", 100_000_000, 64, "sha512");',
		culprit: "letter",
		stuck: "burns",
	},
	{
		what: "waits for a Worker of its own that never answers",
		top: ownWorker,
		act: "new Worker(waits, { eval: true }); return new Promise(() => {});",
		culprit: "letter",
		stuck: "waits",
	},
	{
		what: "waits for a child process between two calls",
		top: importExec,
		act: `setImmediate(() => { ${SLEEP} });`,
		culprit: "row or letter",
		stuck: "waits",
	},
	{
		what: "returns a list with billions of holes",
		act: "const rows = []; rows[4_100_000_000] = ROW(message); return rows;",
		culprit: "letter",
		also: everyWay,
	},
	{
		what: "waits for a child process in terminate",
		source: `
			import { execSync } from "node:child_process";
			export const init = ({ partition }) => ({ partition });
			export function handleMessage({ key, value }) { const { n } = JSON.parse(value); return { id: String(key), fields: { n, doc: [n] } }; }
			export const terminate = (_, { partition }) => { if (partition === 0) execSync("sleep 40"); };`,
		culprit: "row",
	},
	{
		what: "starts a Worker of its own and never settles",
		top: ownWorker,
		act: 'new Worker("for (;;);", { eval: true }); return new Promise(() => {});',
		culprit: "letter",
	},
];

export const notInterruptible: HostileKind = {
	title: "can't be interrupted",
	happens:
		"a failed attempt at `handler.timeoutMs`, like any other call; a second later a new thread works beside the old one; `/readyz` says `thread_stuck` while the old one lives. A stop does not wait for it",
	costs: "a dead letter; the memory that the thread holds until it ends; with too many such threads the daemon ends (exit 6)",
	cases,
};
