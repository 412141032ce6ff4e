import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { eitherSignal } from "../../../src/core/waiting/either-signal.ts";

it("ends with the first, for its reason", () => {
	const [one, other] = [new AbortController(), new AbortController()];
	using either = eitherSignal(one.signal, other.signal);
	expect(either.signal.aborted).toBe(false);
	other.abort(new Error("released"));
	one.abort(new Error("later"));
	expect(either.signal.reason).toEqual(new Error("released"));
});

it("has ended where one had before", () => {
	using either = eitherSignal(new AbortController().signal, AbortSignal.abort(new Error("gone")));
	expect(either.signal.reason).toEqual(new Error("gone"));
});

it("leaves nothing behind in those that live on", () => {
	const lasting = new AbortController();
	for (let waits = 0; waits < 100; waits++) {
		using either = eitherSignal(lasting.signal, new AbortController().signal);
		expect(getEventListeners(either.signal, "abort")).toHaveLength(0);
	}
	expect(getEventListeners(lasting.signal, "abort")).toHaveLength(0);
});
