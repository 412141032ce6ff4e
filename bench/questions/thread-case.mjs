/**
 * One case of `bench thread`, in a process of its own as a handler has a thread of its own: what V8 has seen of one makes another slower.
 * Plain JavaScript on dist, for what goes through tsx is wrapped. Takes the case as v8 serialized it on stdin, answers as JSON with the CPU
 * of the process per message, µs: of the thread's work, and of the handler's function alone where it is a user's.
 */
import { deserialize } from "node:v8";
import { messageAt } from "../../dist/core/messages/message-codec.js";
import { loadHandler } from "../../dist/worker/inside/handler-loader.js";
import { beginRun } from "../../dist/worker/inside/handler-runs.js";
import { OutcomeCollector } from "../../dist/worker/inside/outcome-collector.js";
import { SharedProgress } from "../../dist/worker/thread/thread-protocol.js";

/** V8 compiles what is hot on the way. */
const WARM_UP = 100_000;

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { module, messages, lanes, tables, runs } = deserialize(Buffer.concat(chunks));
const result = await loadHandler(module);
if (!result.ok) throw new Error(result.failure.message);
const { handler, readsBytes } = result.loaded;
const partition = { topic: "t", partition: 0 };
const parts = { tables, lanes, maxBytes: 2 ** 24 };
const state = await handler.init?.({ ...partition, purpose: "run", tables: tables.map(({ name }) => name) }, {}, parts);
const results = new OutcomeCollector({ tables, maxOutcomeBytes: 2 ** 24, lenient: readsBytes, lanes });
const constant = {
	...{ handler, partition, from: 0, rule: "free", concurrency: 1, results },
	...{ progress: SharedProgress.forCalls(1), reader: readsBytes ? state.reader : null, state: () => state, looksFull: () => false },
};

await microsOf(WARM_UP, runThrough);
const micros = await microsOf(messages, runThrough);
process.stdout.write(JSON.stringify({ micros, alone: readsBytes ? null : await handlerAlone() }));

async function runThrough(batch) {
	results.begin({ from: 0, offsets: batch.offsets, timestamps: batch.timestamps });
	const run = beginRun({ ...constant, batch });
	for (let reply = await run.first; "goesOn" in reply; reply = await run.parts.ask());
}

/** Garbage that others collect counts. */
async function microsOf(count, run) {
	const before = process.cpuUsage();
	let done = 0;
	for (let time = 0; done < count; time++) {
		const batch = runs[time % runs.length];
		await run(batch);
		done += batch.length;
	}
	const { user, system } = process.cpuUsage(before);
	return (user + system) / done;
}

async function handlerAlone() {
	const made = new Map(runs.map((batch) => [batch, Array.from(batch.offsets, (_, index) => messageAt(batch, index))]));
	const call = (batch) => {
		for (const message of made.get(batch)) handler.handleMessage(message, state);
	};
	await microsOf(WARM_UP, call);
	return microsOf(messages, call);
}
