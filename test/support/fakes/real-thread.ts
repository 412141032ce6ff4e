/** A real worker thread for a handler's source, as the daemon makes it, and messages to hand to it. Runs the built entry in dist/. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Header, ReceivedMessage } from "../../../src/core/messages/message.ts";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import type { BatchOutcome, HandlerThread, RunReply, StateRule } from "../../../src/worker/thread/handler-thread.ts";
import type { LeftOut, PrintedLine } from "../../../src/worker/thread/output-quota.ts";
import { createHandlerThreads } from "../../../src/worker/thread/worker-thread.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { wholeOutcome } from "./whole-outcome.ts";

/** A table with a column of each kind that matters here. */
export const events: TableLayout = {
	name: "events",
	id: { column: "id", type: "text" },
	columns: [
		{ name: "name", type: "text", path: ["name"], nullable: true },
		{ name: "amount", type: "bigint", path: ["price", "amount"], nullable: true },
		{ name: "doc", type: "jsonb", path: ["doc"], nullable: true },
	],
	version: { kind: "timestamp" },
	withTopic: false,
	maxFutureMs: 86_400_000,
	create: false,
};

export interface ThreadOptions {
	readonly tables?: readonly TableLayout[];
	readonly options?: unknown;
	readonly maxOutcomeBytes?: number;
	readonly maxHeapMb?: number;
	readonly concurrency?: number;
	/** Another partition has a share of the thread, and has been started there. */
	readonly isShared?: boolean;
	readonly printed?: (line: PrintedLine) => void;
	readonly leftOut?: (leftOut: LeftOut) => void;
	/** A module that isn't written: a path in the folder, or a built-in's name. */
	readonly module?: string;
	/** More files of the folder, by name. */
	readonly files?: Readonly<Record<string, string>>;
}

/** A thread that was not started yet; use with `await using`. */
export interface RealThread extends AsyncDisposable {
	readonly thread: HandlerThread;
	readonly module: string;
}

/** Writes `source` as handler.mjs into a folder of its own and makes the thread for it. */
export async function threadFor(
	source: string | null,
	{ tables = [events], module, files = {}, ...options }: ThreadOptions = {},
): Promise<RealThread> {
	const folder = await temporaryFolder();
	const path = module?.startsWith("pockaffe:") ? module : join(folder.path, module ?? "handler.mjs");
	for (const [name, text] of Object.entries(files)) await writeFile(join(folder.path, name), text);
	if (source !== null) await writeFile(path, source);
	const threads = createHandlerThreads({
		handler: {
			module: path,
			options: options.options ?? {},
			maxOutcomeBytes: options.maxOutcomeBytes ?? 1_000_000,
			concurrency: options.concurrency ?? 1,
		},
		tables,
		maxHeapMb: options.maxHeapMb ?? 64,
		maxThreads: 1,
		...(options.printed
			? {
					printed: ({ lines, leftOut }) => {
						for (const line of lines) options.printed?.(line);
						for (const each of leftOut) options.leftOut?.(each);
					},
				}
			: {}),
	});
	const other = options.isShared ? threads.lease({ topic: "orders", partition: 1 }).open() : null;
	await other?.start();
	const thread = threads.lease({ topic: "orders", partition: 2 }).open();
	const dispose = async () => {
		await other?.kill();
		await thread.kill();
		await folder[Symbol.asyncDispose]();
	};
	return { thread, module: path, [Symbol.asyncDispose]: dispose };
}

/** A message as the client gives it. */
export function received(
	offset: number,
	over: { key?: Buffer | string | null; value?: Buffer | string | null; headers?: Header[] } = {},
): ReceivedMessage {
	const bytes = (content: Buffer | string | null) => (typeof content === "string" ? Buffer.from(content) : content);
	const { key = `key-${offset}`, value = `value-${offset}`, headers = [] } = over;
	return { topic: "orders", partition: 2, offset, timestamp: 1_000 + offset, key: bytes(key), value: bytes(value), headers };
}

/** Hands messages over in one run, and answers with what all of it came to; with `handled`, that is told what it came to on its way. */
export async function runAll(
	thread: HandlerThread,
	messages: readonly ReceivedMessage[],
	state: StateRule = "free",
	handled?: (part: BatchOutcome) => void,
): Promise<RunReply> {
	const parts: BatchOutcome[] = [];
	const reply = await thread.run(packMessages(messages), 0, messages.length, state, handled ?? ((part) => parts.push(part)));
	return handled ? reply : { ...reply, outcome: wholeOutcome([...parts, reply.outcome]) };
}
