/** A partition's current thread: which version of the handler is in it. */
import { expect, it } from "vitest";
import { ThreadSlot } from "../../../src/worker/thread/thread-slot.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

it("has a version while a thread has loaded the handler; of what it did before, the last thread's version is known", async () => {
	const versions = ["4f2a", "99aa"];
	const slot = new ThreadSlot({
		create: () =>
			({
				...{ id: 4, onIdleDeath: () => {}, terminate: async () => null, kill: async () => {} },
				start: async () => ({ ok: true, version: versions.shift(), handles: "message" }),
			}) as never,
		...{ timeoutMs: 1_000, clock: new ManualClock(), started: () => {}, terminateFailed: () => {}, diedIdle: () => {} },
	});
	const known = () => [slot.loadedVersion, slot.version];
	expect(known()).toEqual([null, null]);
	await slot.makeReady();
	expect(known()).toEqual(["4f2a", "4f2a"]);
	await slot.end("restart");
	expect(known()).toEqual([null, "4f2a"]);
	await slot.makeReady();
	expect(known()).toEqual(["99aa", "99aa"]);
});
