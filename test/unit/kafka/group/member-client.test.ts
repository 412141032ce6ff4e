/** Which client a member uses: each connects, fails and closes when the test says so. */
import { EventEmitter } from "eventemitter3";
import { describe, expect, it } from "vitest";
import type { GroupClient } from "../../../../src/kafka/client/group-client.ts";
import { KafkaError } from "../../../../src/kafka/client/kafka-error.ts";
import { MemberClient } from "../../../../src/kafka/group/member-client.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";
import { kafkaAt } from "../../../support/kafka/load-topic.ts";

const kafka = kafkaAt("b:1");

function scene({ failures = [] as Error[] } = {}) {
	const clock = new ManualClock();
	const stop = new AbortController();
	const told: string[] = [];
	let count = 0;
	let goIdle = () => {};
	const state = { isBusy: false, closes: async (_name: number) => true };
	const clients = new MemberClient({
		kafka,
		clock,
		stopped: stop.signal,
		createClient: () => {
			const name = ++count;
			return Object.assign(new EventEmitter(), {
				name,
				hangs: false,
				connect: async () => {
					told.push(`${name} connects`);
					const failure = failures.shift();
					if (failure) throw failure;
				},
				wake: () => told.push(`${name} wakes`),
				close: async () => {
					told.push(`${name} closes`);
					return state.closes(name);
				},
			}) as unknown as GroupClient;
		},
		made: () => told.push("made"),
		connected: () => told.push("connected"),
		gone: () => told.push("gone"),
		idle: async () => {
			if (state.isBusy) await new Promise<void>((resolve) => (goIdle = resolve));
		},
		connectFailed: ({ failures: times, retryInMs }) => told.push(`failed ${times}, again in ${retryInMs}`),
		refused: ({ kafkaCode }) => told.push(`refused ${kafkaCode}`),
	});
	const take = () => told.splice(0);
	return { clock, stop, clients, state, take, idle: () => goIdle() };
}

describe("the client of a member", () => {
	it("connects until it is let in, later each time, and a refusal is told", async () => {
		const { clock, clients, take } = scene({ failures: [new Error("no"), new KafkaError("not you", 30)] });
		const connected = clients.connect();
		await settle();
		expect(take()).toEqual(["made", "1 connects", "1 closes", "failed 1, again in 200"]);
		await clock.advance(200);
		expect(take()).toEqual(["made", "2 connects", "2 closes", "failed 2, again in 400", "refused 30"]);
		expect(clients.current).toBe(null);
		await clock.advance(400);
		expect([await connected, take(), clients.current]).toMatchObject([true, ["made", "3 connects", "connected"], { name: 3 }]);
	});

	it("is closed, and not used, if the stop comes while it connects", async () => {
		const { stop, clients, take } = scene();
		const connected = clients.connect();
		stop.abort(new Error("closing"));
		expect(await connected).toBe(false);
		expect(take().at(-1)).toBe("1 closes");
	});

	it("is replaced once, however often that is asked for, and closed when nobody polls it any more", async () => {
		const { clients, state, take, idle } = scene();
		await clients.connect();
		take();
		state.isBusy = true;
		let begun = 0;
		for (let times = 0; times < 2; times++) clients.startOverIn(0, () => begun++);
		await settle();
		expect([take(), clients.current, clients.isStartingOver]).toEqual([["gone"], null, true]);
		idle();
		await settle();
		expect([take(), begun, clients.isStartingOver]).toEqual([["1 closes", "made", "2 connects", "connected"], 1, false]);
	});

	it("stays if one with the present settings is not let in, which is closed either way", async () => {
		const { clients, take } = scene({ failures: [] });
		await clients.connect();
		const { current } = clients;
		take();
		await clients.tryOut();
		expect([take(), clients.current === current]).toEqual([["2 connects", "2 closes"], true]);
		const refused = scene({ failures: [new Error("expired")] });
		await expect(refused.clients.tryOut()).rejects.toThrow("expired");
		expect(refused.take()).toEqual(["1 connects", "1 closes"]);
	});

	it.each([
		["a former", 1, ["2 wakes", "1 closes", "2 closes"]],
		["the present one", 2, ["2 wakes", "2 closes"]],
	])("closes with its formers: %s that does not close in time makes the whole close late", async (_, slow, closes) => {
		const { stop, clients, state, take } = scene();
		state.closes = async (name) => name !== slow;
		await clients.connect();
		await clients.reconnect();
		take();
		stop.abort(new Error("closing"));
		expect(await clients.close(1_000)).toBe(false);
		expect(take()).toEqual(closes);
		state.closes = async () => true;
		expect(await clients.close(1_000)).toBe(true);
	});
});
