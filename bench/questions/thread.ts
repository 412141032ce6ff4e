/**
 * Question: what does a handler's thread take for a message, from packed messages to packed rows? The thread's own code alone, in a
 * process: no server, no crossing between threads. A handler in JavaScript beside the same function called in a loop, so that what
 * surrounds it can be told.
 */
import { spawn } from "node:child_process";
import { json } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { serialize } from "node:v8";
import { packMessages } from "../../src/core/messages/message-codec.ts";
import type { PackedBatch } from "../../src/core/messages/packed-batch.ts";
import { eventLog } from "../../test/support/daemons/event-log.ts";
import { defineBench } from "../bench.ts";
import { handlerFile } from "../contenders/daemon-contender.ts";
import { layoutFor, narrowRow } from "../measuring/row-shapes.ts";
import { amount, number } from "../options.ts";
import { type Measure, measures, Tally } from "../report/figures.ts";

/** Messages of a run: what the daemon hands over at once. */
const RUN = 2_000;
/** Different runs. */
const RUNS = 20;

const surrounding: Measure = { label: "around the handler µs/message", unit: "µs", digits: 2 };
const handlers = {
	"pockaffe:json": "pockaffe:json",
	"handler in JavaScript": handlerFile("json-row.mjs"),
	"outcome nothing": handlerFile("nothing.mjs"),
};

export const threadBench = defineBench({
	name: "thread",
	question: "packed messages → a handler's thread → packed rows, without servers and without passing data between threads",
	options: {
		messages: amount("--messages <count>", "messages of a case", 1_000_000),
		ids: number("--ids <count>", "different ids", 100_000),
		hotIds: number("--hot-ids <count>", "different ids where some are hot", 10_000),
		lanes: number("--lanes <count>", "the writer's lanes; a daemon has one for each connection", 4),
	},
	async run({ messages, ids, hotIds, lanes }, setting) {
		const tally = new Tally();
		const logs = { uniform: packedRuns({ ids }), "hot ids": packedRuns({ ids: hotIds, zipf: 1 }) };
		const tables = [layoutFor("thread_rows", narrowRow)];
		for (let round = 1; round <= setting.repeats; round++) {
			setting.say(`round ${round} of ${setting.repeats}`);
			for (const [name, module] of Object.entries(handlers)) {
				for (const [kind, runs] of Object.entries(logs)) {
					const { micros, alone } = await measured({ module, messages, lanes, tables, runs });
					tally.note(`${name}, ${kind}`, measures.cpuMicros, micros);
					if (alone !== null) tally.note(`${name}, ${kind}`, surrounding, micros - alone);
				}
			}
		}
		const notes = ["Runs of 2,000 messages. Around the handler: less what the same calls take in a loop, with messages that are there."];
		return { broker: null, database: null, figures: tally.figures(), courses: [], notes, findings: [] };
	},
});

function packedRuns(kind: { readonly ids: number; readonly zipf?: number }): PackedBatch[] {
	const events = eventLog({ topic: "t", count: RUNS * RUN, partitions: 1, seed: 1, wander: false, deletes: 0, ...kind });
	const received = Array.from(events, ({ key, value, timestamp, partition, topic }, offset) => ({
		...{ topic, partition, timestamp, offset, headers: [] },
		...{ key: Buffer.from(key), value: value === null ? null : Buffer.from(value) },
	}));
	return Array.from({ length: RUNS }, (_, run) => packMessages(received.slice(run * RUN, (run + 1) * RUN)));
}

/** CPU per message, µs: of the thread's work, and of the handler's function alone where it is a user's. */
async function measured(of: Record<string, unknown>): Promise<{ micros: number; alone: number | null }> {
	// Without the options that this process has for tsx.
	const child = spawn(process.execPath, [fileURLToPath(new URL("./thread-case.mjs", import.meta.url))], {
		stdio: ["pipe", "pipe", "inherit"],
		env: { ...process.env, NODE_OPTIONS: "" },
	});
	child.stdin.end(serialize(of));
	return (await json(child.stdout)) as { micros: number; alone: number | null };
}
