import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { eitherSignal } from "../../../src/core/waiting/either-signal.ts";

it.each([
	[0, 1],
	[1, 0],
])("ends with the first, for its reason: signal %i before signal %i", (first, second) => {
	const controllers = [new AbortController(), new AbortController()] as const;
	using either = eitherSignal(controllers[0].signal, controllers[1].signal);
	expect(either.signal.aborted).toBe(false);
	controllers[first]?.abort(new Error("released"));
	controllers[second]?.abort(new Error("later"));
	expect(either.signal.reason).toEqual(new Error("released"));
});

it("has ended where one had before", () => {
	const [living, gone] = [new AbortController().signal, AbortSignal.abort(new Error("gone"))];
	for (const signals of [
		[living, gone],
		[gone, living],
	]) {
		using either = eitherSignal(...signals);
		expect(either.signal.reason).toEqual(new Error("gone"));
	}
});

it("leaves nothing behind in those that live on", () => {
	const lasting = new AbortController();
	for (let waits = 0; waits < 100; waits++) {
		using _either = eitherSignal(lasting.signal, new AbortController().signal);
		expect(getEventListeners(lasting.signal, "abort")).toHaveLength(1);
	}
	expect(getEventListeners(lasting.signal, "abort")).toHaveLength(0);
});
