/**
 * A message is as it came, each time: what a handler writes to the bytes it was given, or gives away, is seen by no other call. And what
 * it makes leaves the thread before it is too much to hold. Real threads.
 */
import { describe, expect, it } from "vitest";
import type { BatchOutcome } from "../../src/worker/thread/handler-thread.ts";
import { events, received, runAll, type ThreadOptions, threadFor } from "../support/fakes/real-thread.ts";
import { columnOf, idsOf } from "../support/fakes/row-blocks.ts";

const MESSAGES = Array.from({ length: 8 }, (_, offset) => received(offset));

/** Ids, and what the rows say of their messages' values, over all parts of a run; and its last answer. */
async function run(source: string, options: ThreadOptions = {}, messages = MESSAGES) {
	await using real = await threadFor(source, options);
	const started = await real.thread.start();
	if (!started.ok) throw new Error(started.failure.message);
	const parts: BatchOutcome[] = [];
	const reply = await runAll(real.thread, messages, "free", (part) => parts.push(part));
	const blocks = [...parts, reply.outcome].flatMap((part) => part.blocks);
	const docs = blocks.flatMap((block) => columnOf(block, 2).map((doc) => JSON.parse(doc ?? "null") as unknown));
	return { reply, ids: blocks.flatMap((block) => idsOf(block)), docs, parts };
}

/** Writes over whatever it is given, behind a look at it. */
const scribble = `
	const said = (message) => message.key + " " + message.value + " " + message.headers.map(([, value]) => String(value));
	const spoil = ({ key, value, headers }) => { key.fill(33); value.fill(33); for (const [, each] of headers) each.fill(33); };`;
const withHeaders = MESSAGES.map(({ offset }) => received(offset, { headers: [["h", Buffer.from(`header-${offset}`)]] }));
const asTheyCame = withHeaders.map(({ offset }) => ({ said: `key-${offset} value-${offset} header-${offset}` }));

describe("messages that a handler writes to", () => {
	it("are as they came when a failed call of several is halved", async () => {
		const source = `${scribble}
			export function handleMessages(batch) {
				const outcomes = batch.map((message) => ({ id: String(message.offset), fields: { doc: { said: said(message) } } }));
				batch.forEach(spoil);
				if (batch.length > 1) throw new Error("too many");
				return outcomes;
			}`;
		const { reply, docs } = await run(source, {}, withHeaders);
		expect([reply.ok, docs]).toEqual([true, asTheyCame]);
	});

	it("are as they came behind a call that failed for one of them", async () => {
		const source = `${scribble}
			export function handleMessages(batch) {
				const outcomes = batch.map((message) => ({ id: String(message.offset), fields: { doc: { said: said(message) } } }));
				batch.forEach(spoil);
				if (batch.some(({ offset }) => offset === 5)) throw new Error("five");
				return outcomes;
			}`;
		const { reply, docs } = await run(source, {}, withHeaders);
		expect([reply.ok, "failed" in reply && reply.failed, docs]).toEqual([false, 5, asTheyCame.slice(0, 5)]);
	});
});

describe("memory of messages that a handler gives away", () => {
	const away = "structuredClone(value.buffer, { transfer: [value.buffer] })";
	const ways: readonly [string, string, ThreadOptions][] = [
		[
			"one by one",
			`export function handleMessage({ offset, value }) { const doc = { said: String(value) }; ${away}; return { id: String(offset), fields: { doc } }; }`,
			{},
		],
		[
			// Memory that is gone is not given away once more: Node 24 throws there, and then the handler has failed.
			"in calls that overlap",
			`export async function handleMessage({ offset, value }) {
				const doc = { said: String(value) };
				if (offset % 2 === 1) { await new Promise((resolve) => setTimeout(resolve, 5)); if (value.buffer.byteLength > 0) ${away}; }
				return { id: String(offset), fields: { doc } };
			}`,
			{ concurrency: 2 },
		],
		[
			"in a call that fails",
			`export function handleMessages(batch) {
				const outcomes = batch.map(({ offset, value }) => ({ id: String(offset), fields: { doc: { said: String(value) } } }));
				const { value } = batch[0];
				${away};
				if (batch.length > 3) throw new Error("too many");
				return outcomes;
			}`,
			{},
		],
	];

	it.each(ways)("%s: the messages behind come again, and nobody fails", async (_, source, options) => {
		const { reply, docs } = await run(source, options);
		expect(reply).toMatchObject({ ok: true });
		const said = docs.map((doc) => (doc as { said: string }).said);
		expect(said.sort()).toEqual(MESSAGES.map(({ offset }) => `value-${offset}`));
	});
});

describe("rows much larger than their messages", () => {
	it.each([1, 3])("leave the thread before a run of them is more than it can hold (concurrency %i)", async (concurrency) => {
		const mib = 2 ** 20;
		const source = `export function handleMessage({ offset }) { return { id: String(offset), fields: { doc: { fill: "x".repeat(${mib}) } } }; }`;
		const { reply, ids, parts } = await run(source, { tables: [events], maxOutcomeBytes: 2 * mib, concurrency });
		expect([reply.ok, ids.length]).toEqual([true, MESSAGES.length]);
		const sizes = [...parts, reply.outcome].map(({ blocks }) => blocks.reduce((sum, { length }) => sum + length, 0));
		// Four and a bit are 4 MiB.
		expect(Math.max(...sizes)).toBeLessThanOrEqual(4);
	});
});
