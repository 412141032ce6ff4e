import type { HostileCase, HostileKind } from "../hostile-case.ts";

const grows = (body: string) => `const all = []; ${body}`;
const config = { workers: { maxHeapMb: 64 }, handler: { timeoutMs: 8_000 } };

/** Ends the thread, or the whole process: V8 looks at its limit only now and then. */
const gluttons: readonly HostileCase[] = [
	{ what: "fills an array", act: grows("for (;;) all.push(new Array(1e5).fill(Math.random()));") },
	{ what: "fills a Map", act: "const all = new Map(); for (let i = 0; ; i++) all.set(i, { i });" },
	{ what: "fills a Set", act: "const all = new Set(); for (let i = 0; ; i++) all.add(i);" },
	{ what: "fills an object", act: 'const all = {}; for (let i = 0; ; i++) all["key" + i] = i;' },
	{ what: "parses a huge text", act: 'JSON.parse("[" + "[1],".repeat(3e7) + "1]");' },
	{ what: "splits a huge text", act: '"a,".repeat(1e8).split(",");' },
	{ what: "spreads a list into itself", act: "let all = [1, 2, 3]; for (;;) all = [...all, ...all];" },
	{ what: "joins a list to itself", act: "let all = [1.5]; for (;;) all = all.concat(all);" },
	{ what: "fills huge arrays", act: grows("for (;;) all.push(new Array(3e7).fill(1.5));") },
	{ what: "makes a huge list with `Array.from`", act: "Array.from({ length: 5e8 }, (_, i) => ({ i }));" },
	{ what: "pushes numbers", act: grows("for (let i = 0.5; ; i++) all.push(i);") },
].map((each) => ({ ...each, config, culprit: "letter", mayEndProcess: true }) as const);

export const memory: HostileKind = {
	title: "uses up its memory",
	happens:
		"a thread that grows above three quarters of `workers.maxHeapMb` over many runs is replaced between two runs. One call that allocates without end is stopped by V8's limit or by `handler.timeoutMs`; V8 may end the whole process instead of the thread",
	costs: "a dead letter; if V8 ends the process, all partitions stand still until the daemon is started again",
	cases: [
		...gluttons,
		{ what: "keeps Buffers", act: grows("for (;;) all.push(Buffer.alloc(1e6, 1));"), config, culprit: "letter" },
		{
			what: "leaks with every message and over many runs",
			source: `
			const kept = [];
			export function handleMessage({ key, value }) {
				for (let i = 0; i < 4; i++) kept.push(new Array(1e5).fill(i));
				const { n } = JSON.parse(value);
				return { id: String(key), fields: { n, doc: [n] } };
			}`,
			config,
			culprit: "row",
			disturbs: true,
		},
		{
			what: "makes rows ten thousand times as large as its messages",
			source: `
			export function handleMessage({ key, value }) {
				const { n } = JSON.parse(value);
				return { id: String(key), fields: { n, doc: [n], note: String(n % 10).repeat(500_000) } };
			}`,
			config: { workers: { maxHeapMb: 32 } },
			culprit: "row",
			short: true,
		},
	],
};
