/**
 * Every way a handler can die, each in a real thread under a real partition worker: which report, which restart, whose attempt, order
 * kept, state fresh, and the partition beside it undisturbed.
 */
// The daemon has the addon loaded, and that is why no thread can.
import "node-rdkafka";
import { describe, expect, it } from "vitest";
import { type RealWorker, realWorkers } from "../support/fakes/real-worker.ts";
import { waitFor } from "../support/wait-for.ts";

const COUNT = 6;
const FAILS_AT = 3;
/** A handler whose partition 0 does `body` once, at the message FAILS_AT. */
function failingOnce(body: string, more = ""): string {
	return `${more}
		export function init({ partition }) { note(partition, "init"); return { handled: 0 }; }
		export function handleMessage({ partition, offset }, state) {
			if (partition === 0 && offset === ${FAILS_AT} && once("failed")) { ${body} }
			note(partition, offset + " " + state.handled++);
			return { id: String(offset), fields: {} };
		}`;
}

const working = failingOnce("");

/** What was handled by the last state, in order: `offset count`. */
async function lastLife({ notes }: RealWorker): Promise<string[]> {
	const all = await notes();
	return all.slice(all.lastIndexOf("init") + 1);
}

/** Messages of the sibling that come before the victim's, while it fails or hangs, and afterwards. */
const WAVES = 3;

/** Runs both partitions to their end, the sibling also while and after the victim fails; checks what holds for every row. */
async function runToEnd(workers: Awaited<ReturnType<typeof realWorkers>>, ends: "fails" | "hangs" = "fails"): Promise<void> {
	const { victim, sibling } = workers;
	const wave = async (number: number) => {
		sibling.deliver((number - 1) * COUNT, number * COUNT);
		await sibling.done(number * COUNT);
	};
	await wave(1);
	victim.deliver(0, COUNT);
	if (ends === "hangs") await workers.stand();
	else await waitFor("the failure", async () => victim.crashes.length > 0);
	await wave(2);
	if (ends === "hangs") await workers.timeOut();
	await wave(3);
	await victim.done(COUNT);
	// Each message is finished once, in order.
	expect(victim.finished).toEqual(Array.from({ length: COUNT }, (_, offset) => offset));
	// The sibling was neither restarted nor given a new state, and nothing of it was handled twice.
	expect([sibling.events, sibling.crashes]).toEqual([["started"], []]);
	expect((await lastLife(sibling)).map((note) => note.split(" ")[1])).toEqual(
		Array.from({ length: WAVES * COUNT }, (_, index) => `${index}`),
	);
}

describe("a failed attempt in a live thread: new state, the same message again, no restart", () => {
	it.each<[what: string, body: string, kind: string]>([
		["throws", 'throw new Error("boom")', "exception"],
		["rejects", 'return Promise.reject(new Error("boom"))', "exception"],
		["throws null", "throw null", "exception"],
		["throws a string", 'throw "boom"', "exception"],
		["throws an object whose getters throw", "throw { get message() { throw 1 }, get stack() { throw 2 } }", "exception"],
		["throws a proxy that can't be looked at", "throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 } })", "exception"],
		["overflows the stack", "(function f() { f(); })()", "exception"],
		["calls process.abort, which threads are refused", "process.abort()", "exception"],
		["closes its output", "process.stdout.end(); process.stderr.destroy(); throw new Error()", "exception"],
		["patches globals", 'JSON.stringify = Date.now = console.log = () => { throw new Error("patched"); }; throw new Error()', "exception"],
		["returns what is no outcome", "return 5", "bad_outcome"],
		["returns an unknown field", 'return { id: "x", fields: { nmae: 1 } }', "bad_outcome"],
		["returns what can't be cloned", 'return { id: "x", fields: { name: () => {} } }', "bad_outcome"],
		["returns a giant", 'return { id: "x", fields: { name: "x".repeat(20000) } }', "bad_outcome"],
	])("%s", async (_, body, kind) => {
		await using workers = await realWorkers({ source: failingOnce(body) });
		await runToEnd(workers);
		const { crashes, events } = workers.victim;
		expect(crashes).toMatchObject([{ kind, attempt: 1, restarts: 0, coordinates: { offset: FAILS_AT }, next: { action: "retry" } }]);
		expect(crashes[0]?.threadId).toBeGreaterThan(0);
		expect(events).toEqual(["started"]);
		// What was handled before counts; the failed one is the new state's first.
		expect(await lastLife(workers.victim)).toEqual(["3 0", "4 1", "5 2"]);
	});
});

it("a handler that patches what its thread itself needs costs the thread, and nobody an attempt", async () => {
	// What is asked first of the next request: whose share it is for.
	const patched = 'function (key) { if (typeof key === "number") throw new Error("patched"); return get.call(this, key); }';
	const patch = `const { get } = Map.prototype; Map.prototype.get = ${patched}; throw new Error("after the patch");`;
	await using workers = await realWorkers({ source: failingOnce(patch) });
	await runToEnd(workers);
	expect(workers.victim.crashes).toMatchObject([
		{ kind: "exception", attempt: 1, next: { action: "retry" } },
		{ kind: "exception", attempt: 0, next: { action: "restart" } },
	]);
	expect(await lastLife(workers.victim)).toEqual(["3 0", "4 1", "5 2"]);
});

describe("a death of the thread: a new one, the same messages in order, charged to the one that ran", () => {
	/** What left the thread before it died is not handled again, all else is, in order. */
	const again = ({ finishedAtCrash: [left = 0] }: RealWorker) =>
		Array.from({ length: COUNT - left }, (_, index) => `${left + index} ${index}`);

	it.each<[what: string, body: string, reason: string]>([
		["an uncaught exception in a timer", "return new Promise(() => setTimeout(() => { throw new Error() }))", "exception"],
		["an unhandled rejection", "Promise.reject(new Error()); return new Promise(() => {})", "exception"],
		["process.exit", "process.exit(0)", "exit"],
		["out of memory", "const all = []; for (;;) all.push(new Array(100000).fill(Math.random()))", "out_of_memory"],
		["a busy loop", "stands(); for (;;);", "timeout"],
		["a promise that never settles", "stands(); return new Promise(() => {})", "timeout"],
	])("%s", async (_, body, reason) => {
		await using workers = await realWorkers({ source: failingOnce(body) });
		await runToEnd(workers, reason === "timeout" ? "hangs" : "fails");
		const { crashes, events } = workers.victim;
		expect(crashes).toMatchObject([
			{ kind: reason, attempt: 1, restarts: 1, coordinates: { offset: FAILS_AT }, next: { action: "restart" } },
		]);
		expect(events).toEqual(["started", `restarted ${reason}`, "started"]);
		expect(await lastLife(workers.victim)).toEqual(again(workers.victim));
	});

	it("a promise that never settles: what comes before it leaves the thread while that is waited for", async () => {
		await using workers = await realWorkers({ source: failingOnce("stands(); return new Promise(() => {})") });
		const { victim } = workers;
		victim.deliver(0, COUNT);
		await victim.done(FAILS_AT);
		await workers.timeOut();
		await victim.done(COUNT);
		expect(await lastLife(victim)).toEqual(["3 0", "4 1", "5 2"]);
	});

	it("between two runs: nobody is charged", async () => {
		const source = failingOnce("").replace(
			"note(partition, offset",
			'if (offset === 2 && partition === 0 && once("timer")) void until("death").then(() => { throw new Error("between") });\n note(partition, offset',
		);
		await using workers = await realWorkers({ source });
		const { victim } = workers;
		victim.deliver(0, 3);
		await victim.done(3);
		await workers.open("death");
		await waitFor("the death", async () => victim.crashes.length > 0);
		victim.deliver(3, COUNT);
		await victim.done(COUNT);
		expect(victim.crashes).toMatchObject([{ kind: "exception", attempt: 0, next: { action: "restart" } }]);
		expect(victim.events).toEqual(["started", "restarted exception", "started"]);
		expect(await lastLife(victim)).toEqual(["3 0", "4 1", "5 2"]);
	});
});

describe("a handler that can't be entered: restarts, then parked, never poison; goes on when the file is corrected", () => {
	const addon = new URL("../../node_modules/node-rdkafka/lib/index.js", import.meta.url).pathname;
	it.each<[what: string, source: string | null, kind: string, reason: string, message: RegExp]>([
		["module missing", null, "load", "load", /there is no such file/],
		["syntax error", "export function handleMessage( {", "load", "load", /SyntaxError/],
		["a dependency missing", 'import "./gone.mjs"; export const handleMessage = () => {};', "load", "load", /gone\.mjs/],
		["no handler exported", "export const handle = () => {};", "load", "load", /exports handle/],
		["handler not a function", "export const handleMessage = {};", "load", "load", /handleMessage as object/],
		[
			"an import of node-rdkafka",
			`import ${JSON.stringify(addon)}; export const handleMessage = () => {};`,
			"load",
			"load",
			/node-rdkafka/,
		],
		[
			"top-level await that never ends",
			"stands(); await new Promise(() => {}); export const handleMessage = () => {};",
			"timeout",
			"timeout",
			/load took longer/,
		],
		[
			"init throws",
			'export const init = () => { throw new Error("no db"); }; export const handleMessage = () => {};',
			"init",
			"init",
			/no db/,
		],
		[
			"init rejects",
			'export const init = async () => { throw new Error("no db"); }; export const handleMessage = () => {};',
			"init",
			"init",
			/no db/,
		],
		[
			"init hangs",
			"export const init = () => { stands(); return new Promise(() => {}); }; export const handleMessage = () => {};",
			"timeout",
			"timeout",
			/init took longer/,
		],
		[
			"init loops",
			"export const init = () => { stands(); for (;;); }; export const handleMessage = () => {};",
			"timeout",
			"timeout",
			/init took longer/,
		],
		[
			"a rejection that nobody handles while it loads",
			'Promise.reject(new Error("at the top")); await new Promise(() => {}); export const handleMessage = () => {};',
			"load",
			"load",
			/uncaught in the thread: at the top/,
		],
		[
			"an uncaught exception while init runs",
			'export const init = () => new Promise(() => setTimeout(() => { throw new Error("in init") })); export const handleMessage = () => {};',
			"init",
			"init",
			/uncaught in the thread: in init/,
		],
		[
			"init ends the thread",
			"export const init = () => process.exit(3); export const handleMessage = () => {};",
			"exit",
			"exit",
			/process\.exit\(3\)/,
		],
	])("%s", async (_, source, kind, reason, message) => {
		await using workers = await realWorkers({
			source,
			maxRestarts: 2,
			maxAttempts: 1,
			maxBackoffMs: 60_000,
		});
		const { victim } = workers;
		victim.deliver(0, COUNT);
		if (reason === "timeout") for (let start = 0; start < 3; start++) await workers.timeOut();
		await waitFor("the park", async () => victim.events.includes("parked"));
		expect(victim.crashes.map((crash) => [crash.kind, crash.attempt, crash.coordinates?.offset, crash.next.action])).toEqual([
			[kind, 0, 0, "restart"],
			[kind, 0, 0, "restart"],
			[kind, 0, 0, "park"],
		]);
		expect(victim.crashes[0]?.error.message).toMatch(message);
		expect([victim.finished, await victim.notes()]).toEqual([[], []]);
		await workers.correct(working);
		await victim.done(COUNT);
		expect(victim.events).toEqual([`restarted ${reason}`, `restarted ${reason}`, `restarted ${reason}`, "parked", "resumed", "started"]);
		expect(await victim.notes()).toEqual(["init", "0 0", "1 1", "2 2", "3 3", "4 4", "5 5"]);
	});

	it("a slow init within handler.timeoutMs is no failure", async () => {
		const source = working
			.replace("export function init", "export async function init")
			.replace("{ note", '{ stands(); await until("gate"); note');
		await using workers = await realWorkers({ source });
		workers.victim.deliver(0, COUNT);
		await workers.stand();
		await workers.pass(950);
		await workers.open("gate");
		await workers.victim.done(COUNT);
		expect([workers.victim.events, workers.victim.crashes]).toEqual([["started"], []]);
	});
});

describe("terminate", () => {
	it.each([
		["throws", 'throw new Error("closing failed")', "terminate failed closing failed"],
		["rejects", 'return Promise.reject(new Error("closing failed"))', "terminate failed closing failed"],
	])("that %s on the way to a new state is told and changes nothing", async (_, body, event) => {
		await using workers = await realWorkers({ source: failingOnce('throw new Error("boom")', `export function terminate() { ${body} }`) });
		await runToEnd(workers);
		expect(workers.victim.crashes).toMatchObject([{ kind: "exception", attempt: 1 }]);
		expect(workers.victim.events).toEqual(["started", event]);
	});

	it("followed by an init that fails costs the thread, and no message an attempt", async () => {
		const source = failingOnce('throw new Error("boom")').replace(
			"{ note(",
			'{ if (!once("first") && once("second")) throw new Error("no state"); note(',
		);
		await using workers = await realWorkers({ source });
		const { victim } = workers;
		victim.deliver(0, COUNT);
		await victim.done(COUNT);
		expect(victim.crashes).toMatchObject([
			{ kind: "exception", attempt: 1 },
			{ kind: "init", attempt: 0, error: { message: "no state" }, next: { action: "restart" } },
		]);
		expect(victim.events).toEqual(["started", "restarted init", "started"]);
		expect(await lastLife(victim)).toEqual(["3 0", "4 1", "5 2"]);
	});

	it("that hangs on the way to a new state costs the thread, and no message an attempt", async () => {
		const more = 'export const terminate = () => (once("hung") ? (stands(), new Promise(() => {})) : undefined);';
		await using workers = await realWorkers({ source: failingOnce('throw new Error("boom")', more) });
		await runToEnd(workers, "hangs");
		expect(workers.victim.crashes).toMatchObject([
			{ kind: "exception", attempt: 1 },
			{ kind: "timeout", attempt: 0, error: { message: expect.stringContaining("terminate took longer") } },
		]);
		expect(workers.victim.events).toEqual(["started", "restarted timeout", "started"]);
	});

	it.each([
		["throws", 'throw new Error("closing failed")', "closing failed"],
		["hangs", "stands(); return new Promise(() => {})", "terminate took longer than handler.timeoutMs (1000 ms)"],
		["loops", "stands(); for (;;);", "terminate took longer than handler.timeoutMs (1000 ms)"],
		["ends the thread", "process.exit(1)", "process.exit(1)"],
	])("that %s when the worker stops is told, and the worker stops all the same", async (_, body, message) => {
		await using workers = await realWorkers({ source: `${working} export function terminate() { ${body} }` });
		const { victim } = workers;
		victim.deliver(0, COUNT);
		await victim.done(COUNT);
		const stopped = victim.worker.stop("shutdown");
		if (body.includes("stands")) await workers.timeOut(() => victim.events.length > 1);
		await stopped;
		expect(victim.events).toEqual(["started", expect.stringContaining(message)]);
		expect(victim.worker.state).toEqual({ name: "stopped" });
	});

	it("is told why: failed, restart, revoked or shutdown", async () => {
		const source = failingOnce(
			'throw new Error("boom")',
			"export const terminate = (reason, state) => note(state.partition ?? 0, reason);",
		);
		await using workers = await realWorkers({ source });
		const { victim } = workers;
		victim.deliver(0, COUNT);
		await victim.done(COUNT);
		victim.worker.restart();
		victim.deliver(COUNT, COUNT + 1);
		await victim.done(COUNT + 1);
		await victim.worker.stop("revoked");
		expect((await victim.notes()).filter((note) => /^[a-z]/.test(note))).toEqual(["init", "failed", "init", "restart", "init", "revoked"]);
	});
});

describe("handleMessages", () => {
	const batchHandler = (body: string) => `
		export function handleMessages(batch) {
			const [{ partition }] = batch;
			const offsets = batch.map(({ offset }) => offset);
			note(partition, "run " + offsets.join(" "));
			if (partition === 0 && offsets.includes(11)) { ${body} }
			for (const offset of offsets) note(partition, "done " + offset);
			return batch.map(() => null);
		}`;
	const done = async (worker: RealWorker) =>
		(await worker.notes()).filter((note) => note.startsWith("done")).map((note) => Number(note.slice(5)));

	it("that throws at one message: found by halving, its neighbours handled in order and once", async () => {
		await using workers = await realWorkers({ source: batchHandler('throw new Error("poison")'), maxAttempts: 2, retryBackoffMs: 0 });
		const { victim } = workers;
		victim.deliver(0, 64);
		await victim.done(64);
		expect(victim.events).toEqual(["started", "restarted last_attempt", "started", "dead letter 11"]);
		expect(await done(victim)).toEqual(Array.from({ length: 64 }, (_, offset) => offset).filter((offset) => offset !== 11));
		// The whole run, at most log2(64) to find it, its second attempt, and what was behind it.
		const runs = (await victim.notes()).filter((note) => note.startsWith("run"));
		expect(runs.length).toBeLessThanOrEqual(1 + 6 + 1 + 3);
		expect(victim.crashes.map(({ attempt, coordinates }) => [attempt, coordinates?.offset])).toEqual([
			[1, 11],
			[2, 11],
		]);
	});

	it("that throws gets a new state for every run, and a failing init on the way charges nobody", async () => {
		const source = `
			export function init({ partition }) { note(partition, "init"); if (!once("1") && !once("2") && once("3")) throw new Error("no state"); }
			${batchHandler('throw new Error("poison")')}`;
		await using workers = await realWorkers({ source, maxAttempts: 2, retryBackoffMs: 0 });
		const { victim } = workers;
		victim.deliver(8, 16);
		await victim.done(8);
		expect(victim.crashes.map(({ kind, attempt }) => [kind, attempt])).toEqual([
			["init", 0],
			["exception", 1],
			["exception", 2],
		]);
		const notes = (await victim.notes()).filter((note) => note === "init" || note.startsWith("run"));
		expect(notes.slice(0, 7)).toEqual([
			"init",
			"run 8 9 10 11 12 13 14 15",
			"init",
			"run 8 9 10 11",
			"init",
			"init",
			"run 8 9 10 11 12 13 14 15",
		]);
		expect(await done(victim)).toEqual([8, 9, 10, 12, 13, 14, 15]);
	});

	it("that finishes later while an offender is looked for keeps what it left open", async () => {
		const source = `export function handleMessages(batch) {
			const offsets = batch.map(({ offset }) => offset);
			if (offsets.includes(3) && once("failed")) throw new Error("boom");
			note(0, offsets.join(" "));
			return { finishedTo: offsets[0] };
		}`;
		await using workers = await realWorkers({ source, retryBackoffMs: 0 });
		const { victim } = workers;
		victim.deliver(0, 6);
		await victim.done(4);
		expect(await victim.notes()).toEqual(["0 1 2", "3 4 5"]);
		// 4 and 5 wait for a later finishedTo.
		expect(victim.finished).toEqual([0, 1, 2, 3]);
	});

	it("that ends its thread with several in flight: nobody is charged before they were run one by one", async () => {
		await using workers = await realWorkers({ source: batchHandler("process.exit(1)"), maxAttempts: 2 });
		const { victim } = workers;
		victim.deliver(0, 16);
		await victim.done(16);
		expect(victim.events.filter((event) => event.startsWith("dead"))).toEqual(["dead letter 11"]);
		expect(victim.crashes.map(({ attempt, coordinates }) => [attempt, coordinates?.offset])).toEqual([
			[0, 0],
			[1, 11],
			[2, 11],
		]);
		expect(await done(victim)).toEqual(Array.from({ length: 16 }, (_, offset) => offset).filter((offset) => offset !== 11));
	});

	it("that fails with several messages and with none of them alone goes on, and it is told", async () => {
		await using workers = await realWorkers({ source: batchHandler("return [null]"), maxAttempts: 2, retryBackoffMs: 0 });
		const { victim } = workers;
		victim.deliver(0, 13);
		await victim.done(13);
		// Alone it is one outcome for one message: right.
		expect([victim.events, victim.crashes]).toEqual([["started"], []]);
		expect(victim.warnings).toEqual([expect.stringMatching(/failed with several messages and not with fewer: .*returned 1 outcome$/)]);
	});
});

describe("attempts", () => {
	it("that a message makes poison are maxAttempts, whether it throws or takes its thread along", async () => {
		const source = `export function handleMessage({ partition, offset }) {
			note(partition, offset);
			if (offset === 1 && once("thrown")) throw new Error("first");
			if (offset === 1) process.exit(1);
		}`;
		await using workers = await realWorkers({ source, maxAttempts: 3 });
		workers.victim.deliver(0, 3);
		await workers.victim.done(3);
		expect(workers.victim.crashes.map(({ kind, attempt, next }) => [kind, attempt, next.action])).toEqual([
			["exception", 1, "retry"],
			["exit", 2, "restart"],
			["exit", 3, "dead-letter"],
		]);
		expect(await workers.victim.notes()).toEqual(["0", "1", "1", "1", "2"]);
	});

	it("of a module that breaks while a message waits for its next one are not counted", async () => {
		const source = `export function init() { if (!once("init") && once("broken")) throw new Error("init broke"); }
			export function handleMessage({ offset }) { if (offset === 1) process.exit(1); }`;
		await using workers = await realWorkers({ source, maxAttempts: 2 });
		workers.victim.deliver(0, 3);
		await workers.victim.done(3);
		expect(workers.victim.crashes.map(({ kind, attempt, next }) => [kind, attempt, next.action])).toEqual([
			["exit", 1, "restart"],
			["init", 0, "restart"],
			["exit", 2, "dead-letter"],
		]);
	});
});
