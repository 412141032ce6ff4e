/**
 * What a handler's thread does with a run, in this process: from dist, as a thread loads it. The benches' own files go through tsx, which
 * wraps functions to keep their names; what is measured must not.
 */
import type { PackedBatch } from "../src/core/packed-batch.ts";
import type { TableLayout } from "../src/core/rows.ts";
import type { JsonState } from "../src/worker/json/json-handler.ts";

type JsonHandler = typeof import("../src/worker/json/json-handler.ts");
type Codec = typeof import("../src/core/message-codec.ts");

const built = (file: string) => import(new URL(`../dist/worker/${file}.js`, import.meta.url).href);

export const { messageAt, packMessages } = (await built("../core/message-codec")) as Codec;

/** One partition's share of a thread that does not exist. */
export interface BuiltThread {
	/** One run, from packed messages to packed rows. */
	run(batch: PackedBatch): Promise<void>;
	/** The handler's function, and its state. */
	readonly handleMessage: (message: unknown, state: unknown) => unknown;
	readonly state: unknown;
}

/** For a module that exports handleMessage. */
export async function builtThread(module: string, tables: readonly TableLayout[], lanes: number): Promise<BuiltThread> {
	const { loadHandler } = (await built("handler-loader")) as typeof import("../src/worker/handler-loader.ts");
	const { OutcomeCollector } = (await built("outcome-collector")) as typeof import("../src/worker/outcome-collector.ts");
	const { beginRun } = (await built("handler-runs")) as typeof import("../src/worker/handler-runs.ts");
	const { SharedProgress } = (await built("thread-protocol")) as typeof import("../src/worker/thread-protocol.ts");
	const result = await loadHandler(module);
	if (!result.ok) throw new Error(result.failure.message);
	const { handler, readsBytes } = result.loaded;
	const maxBytes = 16 * 2 ** 20;
	const partition = { topic: "t", partition: 0 };
	const info = { ...partition, purpose: "run", tables: tables.map(({ name }) => name) } as const;
	const state = readsBytes ? (handler as JsonHandler).init(info, {}, { tables, lanes, maxBytes }) : await handler.init?.(info, {});
	const results = new OutcomeCollector({ tables, maxOutcomeBytes: maxBytes, lenient: readsBytes, lanes });
	const reader = readsBytes ? (state as JsonState).reader : null;
	const progress = SharedProgress.forCalls(1);
	const constant = {
		handler,
		partition,
		from: 0,
		rule: "free",
		concurrency: 1,
		results,
		progress,
		reader,
	} as const;
	return {
		state,
		handleMessage: handler.handleMessage as BuiltThread["handleMessage"],
		async run(batch) {
			results.begin({ from: 0, offsets: batch.offsets, timestamps: batch.timestamps });
			const { parts, first } = beginRun({
				...{ ...constant, batch, state: () => state, looksFull: () => false },
				renew: () => Promise.reject(new Error("no renewal")),
			});
			for (let reply = await first; "goesOn" in reply; reply = await parts.ask());
		},
	};
}
