/** What a module may be, and what is said where it can't be run: in a real thread. */
import { describe, expect, it } from "vitest";
import { received, runAll, threadFor } from "../support/fakes/real-thread.ts";
import { columnOf, idsOf } from "../support/fakes/row-blocks.ts";

describe("loading a handler", () => {
	it.each<[what: string, source: string | null, message: RegExp]>([
		["a module that is missing", null, /handler\.mjs: there is no such file/],
		["a syntax error", "export function handleMessage( {", /handler\.mjs: SyntaxError: .*Unexpected/],
		["a dependency that is missing", 'import "./gone.mjs"; export const handleMessage = () => {};', /gone\.mjs/],
		["a package that is missing", 'import "no-such-package"; export const handleMessage = () => {};', /no-such-package/],
		["a module that throws while loading", 'throw new Error("at the top")', /at the top/],
		["no export", "const handleMessage = () => {};", /exports nothing/],
		["only a default export", "export default { handleMessage() {} };", /exports default: .*by name/],
		["other exports", "export const handle = () => {};", /exports handle: export a function handleMessage/],
		["both handlers", "export const handleMessage = () => {}; export const handleMessages = () => [];", /exports both/],
		["a handler that is no function", "export const handleMessage = 5;", /handleMessage as number/],
	])("says what it found instead: %s", async (_, source, message) => {
		await using real = await threadFor(source);
		const reply = await real.thread.start();
		expect(reply).toMatchObject({ ok: false, failure: { kind: "load", message: expect.stringMatching(message) } });
	});

	it.each([
		["throws", 'export const init = () => { throw new TypeError("no database"); };'],
		["rejects", 'export const init = async () => { throw new TypeError("no database"); };'],
	])("tells an init that %s from a module that does not load", async (_, init) => {
		await using real = await threadFor(`${init} export const handleMessage = () => {};`);
		expect(await real.thread.start()).toMatchObject({ ok: false, failure: { kind: "init", name: "TypeError", message: "no database" } });
	});

	it("gives init the partition and the options, and its result to every call as the state", async () => {
		const source = `
			export const init = async (partition, options) => ({ partition, options, calls: 0 });
			export const handleMessage = (message, state) => ({ id: String(++state.calls), fields: { doc: state } });`;
		await using real = await threadFor(source, { options: { region: "eu" } });
		await real.thread.start();
		await runAll(real.thread, [received(0)]);
		const reply = await runAll(real.thread, [received(1), received(2)]);
		const [block] = reply.outcome.blocks;
		expect(idsOf(block)).toEqual(["2", "3"]);
		expect(JSON.parse(columnOf(block, 2)[0] ?? "")).toEqual({
			partition: { topic: "orders", partition: 2, purpose: "run", tables: ["events"] },
			options: { region: "eu" },
			calls: 2,
		});
	});

	it("makes a new state on renewal, after terminate with the old one", async () => {
		const source = `
			const log = [];
			export const init = () => ({ number: log.push("init") });
			export const terminate = (reason, state) => { log.push("terminate " + reason + " " + state.number); };
			export const handleMessage = () => ({ id: "1", fields: { doc: log } });`;
		await using real = await threadFor(source);
		await real.thread.start();
		const reply = await runAll(real.thread, [received(0)], "renew");
		expect(JSON.parse(columnOf(reply.outcome.blocks[0], 2)[0] ?? "")).toEqual(["init", "terminate failed 1", "init"]);
		expect(await real.thread.terminate("shutdown")).toBeNull();
	});

	it("shows where a module that hangs while loading stands, so that it can be killed", async () => {
		await using real = await threadFor("await new Promise(() => {}); export const handleMessage = () => {};");
		const start = real.thread.start();
		await expect.poll(() => real.thread.progress().phase).toBe("load");
		const died = expect(start).rejects.toMatchObject({ death: { reason: "timeout" } });
		await real.thread.kill({ reason: "timeout", message: "took too long", stack: null });
		await died;
	});
});
