/** The client that sends records: when one is made, how often that is tried, and what a client that goes has time for. */
import { describe, expect, it } from "vitest";
import { KafkaError } from "../../../../src/kafka/client/kafka-error.ts";
import { CurrentClient } from "../../../../src/kafka/producing/current-client.ts";
import type { RecordClient } from "../../../../src/kafka/producing/record-client.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";

const fatal = new KafkaError("fatal", -150);

function scene() {
	const clock = new ManualClock();
	const stop = new AbortController();
	const told: string[] = [];
	const state = { failures: [] as Error[], isBusy: false, waits: Promise.resolve(), gaveUp: null as KafkaError | null };
	let made = 0;
	const current = new CurrentClient({
		...{ clock, signal: stop.signal, random: () => 1 },
		connect: async () => {
			const number = ++made;
			told.push(`connects ${number} at ${clock.monotonic()}`);
			await state.waits;
			const failure = state.failures.shift();
			if (failure) throw failure;
			return {
				number,
				close: async () => void told.push(`closes ${number} at ${clock.monotonic()}`),
				get gaveUp() {
					return state.gaveUp;
				},
			} as unknown as RecordClient;
		},
		isBusy: () => state.isBusy,
		connected: () => told.push("connected"),
		troubled: () => told.push("troubled"),
		gone: (error) => told.push(`gone: ${error?.message ?? "old"}`),
	});
	return { clock, stop, told, state, current, take: () => told.splice(0) };
}

describe("the client of records", () => {
	it("is made when it is needed, once", async () => {
		const { current, take } = scene();
		expect(current.ready).toBe(null);
		current.need();
		current.need();
		await settle();
		current.need();
		expect([take(), current.ready]).toMatchObject([["connects 1 at 0", "connected"], { number: 1 }]);
	});

	it("is tried until it connects, later each time; the trouble has the first failure's time and the last one's words", async () => {
		const { clock, current, state, take } = scene();
		state.failures = ["one", "two", "three"].map((words) => new Error(words));
		const sinceMs = clock.now();
		current.need();
		await settle();
		expect(current.trouble).toEqual({ message: "records can't be produced: one", sinceMs });
		await clock.advance(599);
		expect(current.trouble).toEqual({ message: "records can't be produced: two", sinceMs });
		await clock.advance(801);
		expect(take()).toEqual([
			...["connects 1 at 0", "troubled", "connects 2 at 200", "troubled"],
			...["connects 3 at 600", "troubled", "connects 4 at 1400", "connected"],
		]);
		expect(current.trouble).toBe(null);
	});

	it("that is replaced while it connects is closed, and another one is made at once", async () => {
		const { current, state, take } = scene();
		let connect: () => void = () => {};
		state.waits = new Promise((resolve) => (connect = resolve));
		current.need();
		await current.replace(null);
		connect();
		await settle();
		expect([take(), current.ready]).toMatchObject([["connects 1 at 0", "closes 1 at 0", "connects 2 at 0", "connected"], { number: 2 }]);
	});

	it("that goes takes nothing more, and has a second for its last reports", async () => {
		const { clock, current, state, take } = scene();
		current.need();
		await settle();
		take();
		state.isBusy = true;
		void current.replace(fatal);
		void current.replace(null);
		current.need();
		expect(current.ready).toBe(null);
		await clock.advance(999);
		expect(take()).toEqual([]);
		await clock.advance(21);
		expect(take()).toEqual(["closes 1 at 1000", "gone: fatal"]);
		current.need();
		await settle();
		expect(take()).toEqual(["connects 2 at 1020", "connected"]);
	});

	it("that goes is closed as soon as it has reported all", async () => {
		const { clock, current, state, take } = scene();
		current.need();
		await settle();
		take();
		state.isBusy = true;
		const replaced = current.replace(null);
		await clock.advance(100);
		state.isBusy = false;
		await clock.advance(20);
		await replaced;
		expect(take()).toEqual(["closes 1 at 120", "gone: old"]);
	});

	it("that gave up is told with the reason of its log, and one that is only old never is", async () => {
		for (const [error, told] of [
			[fatal, "gone: no right"],
			[null, "gone: old"],
		] as const) {
			const { current, state, take } = scene();
			current.need();
			await settle();
			state.gaveUp = new KafkaError("no right", 31);
			await current.replace(error);
			expect(take().at(-1)).toBe(told);
		}
	});

	it("is none after the stop: one that connects then is closed with the others", async () => {
		const { stop, current, state, take } = scene();
		let connect: () => void = () => {};
		state.waits = new Promise((resolve) => (connect = resolve));
		current.need();
		stop.abort(new Error("stop"));
		const closed = current.close();
		connect();
		await closed;
		expect([take(), current.ready]).toEqual([["connects 1 at 0", "connected", "closes 1 at 0"], null]);
		current.need();
		await settle();
		expect(take()).toEqual([]);
	});

	it("is tried no more after the stop", async () => {
		const { clock, stop, current, state, take } = scene();
		state.failures = [new Error("one")];
		current.need();
		await settle();
		stop.abort(new Error("stop"));
		await current.close();
		await clock.advance(60_000);
		expect(take()).toEqual(["connects 1 at 0", "troubled", "connected"]);
	});
});
