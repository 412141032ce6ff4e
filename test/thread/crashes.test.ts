/** Every way a handler can fail, in a real thread: what the main thread is told of it, and that the next thread works. */
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { received, runAll, threadFor } from "../support/fakes/real-thread.ts";

async function failureOf(body: string, options = {}) {
	await using real = await threadFor(`export function handleMessage({ offset }, state) { if (offset === 1) { ${body} } }`, options);
	await real.thread.start();
	return await runAll(real.thread, [received(0), received(1), received(2)]);
}

describe("a handler that fails in a live thread", () => {
	it.each([
		["throws an Error", 'throw new RangeError("boom")', "RangeError", "boom"],
		["rejects", 'return Promise.reject(new RangeError("boom"))', "RangeError", "boom"],
		["overflows the stack", "(function f() { f(); })()", "RangeError", /call stack/],
		["calls process.abort, which threads are refused", "process.abort()", "TypeError", /process\.abort\(\) is not supported in workers/],
		["throws null", "throw null", "NonError", /^threw null/],
		["throws undefined", "throw undefined", "NonError", /^threw undefined/],
		["throws a string, which may hold a value", 'throw "secret value"', "NonError", "threw a string instead of an Error"],
		[
			"throws an object with hostile getters",
			"throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 } })",
			"NonError",
			/^threw/,
		],
		[
			"throws an error with a cause",
			'throw new Error("outer", { cause: new TypeError("inner") })',
			"Error",
			/^outer \(caused by TypeError: inner\)$/,
		],
	])("%s: the messages before it count, it is named, those behind it wait", async (_, body, name, message) => {
		const reply = await failureOf(body);
		expect(reply).toMatchObject({
			ok: false,
			failed: 1,
			failure: { kind: "exception", name, message: expect.stringMatching(message) },
		});
		expect(reply.outcome).toMatchObject({ from: 0, to: 1 });
	});

	it.each([
		["an unknown field", 'return { id: "1", fields: { nmae: 1 } }', /no column for the field "nmae".*name/],
		["no id", "return { fields: {} }", /an outcome is nothing/],
		["a number", "return 5", /an outcome is nothing/],
		["a key it doesn't know", 'return { id: "1", fields: {}, upsert: true }', /no upsert/],
		["an id that is an object", "return { id: {}, fields: {} }", /an id must be/],
		["a function as a value", 'return { id: "1", fields: { name: () => {} } }', /function/],
		["a symbol as a value", 'return { id: "1", fields: { name: Symbol("x") } }', /symbol/],
		["a promise inside a row", 'return { id: "1", fields: { name: Promise.resolve(1) } }', /name.* a Promise: is an await missing\?/],
		["an unknown table", 'return { id: "1", fields: {}, table: "evnets" }', /"evnets" is no configured table \(events\)/],
		["a reason that is no string", "return { reject: 5 }", /reject must be a string/],
		["a cycle in a document", 'const a = {}; a.a = a; return { id: "1", fields: { doc: a } }', /doc.* what can't be made JSON/],
		["too much", 'return { id: "1", fields: { name: "x".repeat(2000) } }', /more than handler.maxOutcomeBytes \(1000\)/],
	])("returns %s: a bad outcome that says so", async (_, body, message) => {
		const reply = await failureOf(body, { maxOutcomeBytes: 1_000 });
		expect(reply).toMatchObject({ ok: false, failed: 1, failure: { kind: "bad_outcome", message: expect.stringMatching(message) } });
	});

	it("returns a list of the wrong length from handleMessages", async () => {
		await using real = await threadFor("export const handleMessages = () => [null, null, null];");
		await real.thread.start();
		const reply = await runAll(real.thread, [received(0), received(1)]);
		expect(reply).toMatchObject({
			ok: false,
			failed: 0,
			batched: true,
			failure: { kind: "bad_outcome", message: expect.stringContaining("got 1 message and returned 3") },
		});
	});
});

describe("a stack", () => {
	it("names the file and the line that the user wrote, by the module's source map", async () => {
		// What `tsc --inlineSourceMap` makes of a handler.ts whose line 4 throws.
		const map = { version: 3, sources: ["handler.ts"], names: [], mappings: "AAAA;AAGA" };
		const source = [
			"export function handleMessage() {",
			'throw new Error("boom"); }',
			`//# sourceMappingURL=data:application/json;base64,${Buffer.from(JSON.stringify(map)).toString("base64")}`,
		].join("\n");
		await using real = await threadFor(source);
		await real.thread.start();
		const reply = await runAll(real.thread, [received(0)]);
		expect(reply).toMatchObject({ ok: false, failure: { stack: expect.stringMatching(/handler\.ts:4:/) } });
	});
});

describe("a handler that takes its thread along", () => {
	it.each([
		["an uncaught exception in a timer", 'return new Promise(() => setTimeout(() => { throw new Error("later") }))', "exception", /later/],
		["an unhandled rejection", 'Promise.reject(new Error("nobody waits")); return new Promise(() => {})', "exception", /nobody waits/],
		["process.exit", "process.exit(7)", "exit", /process\.exit\(7\)/],
		["out of memory", "const all = []; for (;;) all.push(new Array(100000).fill(Math.random()))", "out_of_memory", /workers\.maxHeapMb/],
	])("%s is told with its reason", async (_, body, reason, message) => {
		await expect(failureOf(body, { maxHeapMb: 32 })).rejects.toMatchObject({ death: { reason, message: expect.stringMatching(message) } });
	});

	it("by a busy loop: where it stands can be read, and it can be killed", async () => {
		await using real = await threadFor("export function handleMessage({ offset }) { if (offset === 1) for (;;); }");
		await real.thread.start();
		const run = runAll(real.thread, [received(0), received(1)]);
		await expect.poll(() => real.thread.progress()).toMatchObject({ phase: "handle", message: 1, running: 1 });
		const died = expect(run).rejects.toMatchObject({ death: { reason: "timeout" } });
		await real.thread.kill({ reason: "timeout", message: "took too long", stack: null });
		await died;
	});

	it("between two runs is told without anybody asking", async () => {
		const source = `
			import { existsSync } from "node:fs";
			const dies = () => existsSync(new URL("death", import.meta.url));
			export function handleMessage() { setInterval(() => { if (dies()) throw new Error("between"); }, 5); }`;
		await using real = await threadFor(source);
		await real.thread.start();
		const death = new Promise((resolve) => real.thread.onIdleDeath(resolve));
		await runAll(real.thread, [received(0)]);
		await writeFile(join(dirname(real.module), "death"), "");
		expect(await death).toMatchObject({ reason: "exception", message: expect.stringContaining("between") });
		await expect(runAll(real.thread, [received(1)])).rejects.toMatchObject({ death: { reason: "exception" } });
	});
});

describe("what a handler prints", () => {
	const printing = `
		console.log("while loading");
		export function handleMessage({ offset }) {
			console.log("message %d", offset, { a: 1 });
			console.error("an error");
			process.stdout.write("half a ");
			process.stdout.write(new TextEncoder().encode("line\\nand one more\\n"));
			if (offset === 1) process.exit(3);
		}`;

	it("is told line by line with its partition, also what was printed last before a death", async () => {
		const lines: string[] = [];
		await using real = await threadFor(printing, {
			printed: ({ partition, stream, line }) => lines.push(`${partition?.topic}/${partition?.partition} ${stream} ${line}`),
		});
		await real.thread.start();
		await expect(runAll(real.thread, [received(0), received(1)])).rejects.toMatchObject({ death: { reason: "exit" } });
		const ofMessage = (offset: number) => [
			`stdout message ${offset} { a: 1 }`,
			"stderr an error",
			"stdout half a line",
			"stdout and one more",
		];
		const expected = ["stdout while loading", ...ofMessage(0), ...ofMessage(1)].map((line) => `orders/2 ${line}`);
		await expect.poll(() => lines).toEqual(expected);
	});

	it("is told to the last line where the handler ends its thread behind many", async () => {
		const lines: string[] = [];
		const source = "export function handleMessage() { for (let i = 0; i < 150; i++) console.log(i); process.exit(3); }";
		await using real = await threadFor(source, { printed: ({ line }) => lines.push(line) });
		await real.thread.start();
		await expect(runAll(real.thread, [received(0)])).rejects.toMatchObject({ death: { reason: "exit" } });
		await expect.poll(() => lines).toEqual(Array.from({ length: 150 }, (_, index) => String(index)));
	});

	it.each([
		["a line at a time", 'for (let i = 0; i < 100_000; i++) console.log("x");', 100_000],
		// A text that is larger than the heap in one piece is V8's affair: it may end the process.
		["in one call", 'process.stdout.write("x\\n".repeat(10_000_000));', 10_000_000],
		["as bytes", 'process.stdout.write(Buffer.alloc(50_000_000, "x\\n"));', 25_000_000],
	])("is counted beyond a quota (%s), every line of it", async (_, body, printed) => {
		let lines = 0;
		let leftOut = 0;
		await using real = await threadFor(`export function handleMessage() { ${body} }`, {
			printed: () => lines++,
			leftOut: (each) => {
				expect(each.partition).toEqual({ topic: "orders", partition: 2 });
				leftOut += each.lines;
			},
		});
		await real.thread.start();
		await runAll(real.thread, [received(0)]);
		await expect.poll(() => lines + leftOut).toBe(printed);
		expect(lines).toBeGreaterThanOrEqual(500);
		expect(leftOut).toBeGreaterThan(lines);
	});

	it("is not taken for printed where a handler writes something else to the channel", async () => {
		const lines: string[] = [];
		const source = `
			import { BroadcastChannel, workerData } from "node:worker_threads";
			export function handleMessage() {
				const { output } = Array.isArray(workerData) ? workerData.find((each) => each?.output) : workerData;
				const channel = new BroadcastChannel(output);
				for (const odd of [null, 5, "x", {}, { lines: [null], leftOut: [] }, { lines: [], leftOut: [null] }, { lines: [{}], leftOut: [] }]) channel.postMessage(odd);
				channel.close();
				console.log("a line");
			}`;
		await using real = await threadFor(source, { printed: ({ line }) => lines.push(line) });
		await real.thread.start();
		await runAll(real.thread, [received(0)]);
		await expect.poll(() => lines).toEqual(["a line"]);
	});

	it("does not hurt anybody when it closes the output or patches what is global", async () => {
		const source = `
			export function handleMessage() {
				process.stdout.end?.();
				process.stdout.destroy?.();
				console.log = () => { throw new Error("patched"); };
				JSON.parse = () => { throw new Error("patched"); };
				Array.prototype.push = () => { throw new Error("patched"); };
				return null;
			}`;
		const lines: string[] = [];
		await using real = await threadFor(source, { printed: ({ line }) => lines.push(line) });
		await real.thread.start();
		await runAll(real.thread, [received(0)]).catch(() => {});
		// Whatever became of that thread, this one is as it was.
		expect([[1].concat(JSON.parse("[2]")), process.stdout.destroyed]).toEqual([[1, 2], false]);
		await using other = await threadFor("export const handleMessage = () => {};");
		expect(await other.thread.start()).toMatchObject({ ok: true });
	});
});
