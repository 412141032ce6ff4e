/**
 * Question: what does a handler's thread take for a message, from packed messages to packed rows? The thread's own code alone, in this
 * process: no server, no crossing between threads. A handler in JavaScript beside the same function called in a loop, so that what surrounds
 * it can be told.
 */
import type { PackedBatch } from "../src/core/packed-batch.ts";
import type { TableLayout } from "../src/core/rows.ts";
import { eventLog } from "../test/support/event-log.ts";
import { defineBench } from "./bench.ts";
import { type BuiltThread, builtThread, messageAt, packMessages } from "./built-thread.ts";
import { handlerFile } from "./daemon-contender.ts";
import { type Measure, measures, Tally } from "./figures.ts";
import { amount, number } from "./options.ts";
import { layoutFor, narrowRow } from "./row-shapes.ts";

/** Messages of a run: what the daemon hands over at once. */
const RUN = 2_000;
/** V8 compiles what is hot on the way. */
const WARM_UP = 100_000;
/** Different runs. */
const RUNS = 20;

const surrounding: Measure = { label: "around the handler µs/message", unit: "µs", digits: 2 };
const layout: TableLayout = layoutFor("thread_rows", narrowRow);

export const threadBench = defineBench({
	name: "thread",
	question: "packed messages → a handler's thread → packed rows, without servers and crossings",
	options: {
		messages: amount("--messages <count>", "messages of a case", 1_000_000),
		ids: number("--ids <count>", "different ids", 100_000),
		hotIds: number("--hot-ids <count>", "different ids where some are hot", 10_000),
		lanes: number("--lanes <count>", "the writer's lanes; 4 for 2 connections", 4),
	},
	async run({ messages, ids, hotIds, lanes }, setting) {
		const tally = new Tally();
		const logs = { uniform: runsOf({ ids }), "hot ids": runsOf({ ids: hotIds, zipf: 1 }) };
		const cases: Record<string, BuiltThread> = {
			"pockaffe:json": await builtThread("pockaffe:json", [layout], lanes),
			"handler in JavaScript": await builtThread(handlerFile("json-row.mjs"), [layout], lanes),
			"outcome nothing": await builtThread(handlerFile("nothing.mjs"), [layout], lanes),
		};
		for (let round = 1; round <= setting.repeats; round++) {
			setting.say(`round ${round} of ${setting.repeats}`);
			for (const [name, thread] of Object.entries(cases)) {
				for (const [kind, runs] of Object.entries(logs)) {
					await microsOf(runs, WARM_UP, thread.run);
					const micros = await microsOf(runs, messages, thread.run);
					tally.note(`${name}, ${kind}`, measures.cpuMicros, micros);
					if (name.startsWith("pockaffe:")) continue;
					tally.note(`${name}, ${kind}`, surrounding, micros - (await handlerAlone(thread, runs, messages)));
				}
			}
		}
		const notes = ["Runs of 2,000 messages. Around the handler: less what the same calls take in a loop, with messages that are there."];
		return { broker: null, database: null, figures: tally.figures(), courses: [], notes, findings: [] };
	},
});

function runsOf(kind: { readonly ids: number; readonly zipf?: number }): PackedBatch[] {
	const events = eventLog({ topic: "t", count: RUNS * RUN, partitions: 1, seed: 1, wander: false, deletes: 0, ...kind });
	const received = Array.from(events, ({ key, value, timestamp, partition, topic }, offset) => ({
		...{ topic, partition, timestamp, offset, headers: [] },
		...{ key: Buffer.from(key), value: value === null ? null : Buffer.from(value) },
	}));
	return Array.from({ length: RUNS }, (_, run) => packMessages(received.slice(run * RUN, (run + 1) * RUN)));
}

/** CPU of the process per message, µs: garbage that others collect counts. */
async function microsOf(runs: readonly PackedBatch[], messages: number, run: (batch: PackedBatch) => unknown): Promise<number> {
	const before = process.cpuUsage();
	const times = Math.ceil(messages / RUN);
	for (let time = 0; time < times; time++) await run(runs[time % runs.length] as PackedBatch);
	const { user, system } = process.cpuUsage(before);
	return (user + system) / (times * RUN);
}

async function handlerAlone({ handleMessage, state }: BuiltThread, runs: readonly PackedBatch[], messages: number): Promise<number> {
	const made = new Map(runs.map((batch) => [batch, Array.from({ length: batch.length }, (_, index) => messageAt(batch, index))]));
	return microsOf(runs, messages, (batch) => {
		for (const message of made.get(batch) ?? []) handleMessage(message, state);
	});
}
