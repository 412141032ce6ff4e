/** What keeps a thread between two calls, or behind the last: no call is under way, and the deadline ends it all the same. Real threads. */
import { describe, expect, it } from "vitest";
import { realWorkers } from "../support/fakes/real-worker.ts";

const COUNT = 6;

/** At message 2, once, the handler does something that no call waits for. */
const doing = (act: string) => `
	export async function handleMessage({ partition, offset }) {
		if (partition === 0 && offset === 2 && once("act")) { ${act} }
		return { id: offset, fields: {} };
	}`;

describe("a thread that stands between calls", () => {
	it.each([
		["a timer that loops", "setTimeout(() => { stands(); for (;;); });"],
		["a microtask that loops", "queueMicrotask(() => { stands(); for (;;); });"],
		["endless microtasks", "stands(); const spin = () => void Promise.resolve().then(spin); spin();"],
		["endless ticks", "stands(); const spin = () => process.nextTick(spin); spin();"],
		["work that is not awaited", "(async () => { await null; stands(); for (;;); })();"],
		["promises out of order", "stands(); Promise.prototype.then = () => new Promise(() => {});"],
	])("by %s is replaced at handler.timeoutMs, told; every message is handled", async (_, act) => {
		await using workers = await realWorkers({ source: doing(act) });
		const { victim, sibling } = workers;
		victim.deliver(0, COUNT);
		await workers.stand();
		sibling.deliver(0, COUNT);
		await sibling.done(COUNT);
		// The timer may come behind all that a thread this quick has handled before: nobody misses a thread that has nothing to do.
		victim.deliver(COUNT, COUNT + 1);
		await workers.timeOut();
		await victim.done(COUNT + 1);
		expect([...victim.finished].sort((left, right) => left - right)).toEqual(Array.from({ length: COUNT + 1 }, (_, offset) => offset));
		expect(victim.events).toEqual(["started", "restarted timeout", "started"]);
		expect(victim.crashes.map(({ kind, error }) => [kind, error.message])).toEqual([
			["timeout", expect.stringMatching(/took longer than handler\.timeoutMs|did not answer for longer than handler\.timeoutMs/)],
		]);
		expect([sibling.events, sibling.crashes]).toEqual([["started"], []]);
	});
});
