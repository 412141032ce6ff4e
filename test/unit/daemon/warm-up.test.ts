/** A thread in reserve that can't be begun is no harm to the daemon; a module that can't be loaded is told. */
import { EventEmitter } from "eventemitter3";
import { expect, it, vi } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { tableLayouts } from "../../../src/config/table-layouts.ts";
import { Turn } from "../../../src/core/waiting/turn.ts";
import { Delivery } from "../../../src/daemon/delivery.ts";
import type { DeliveryParts } from "../../../src/daemon/delivery-parts.ts";
import { noRecords } from "../../../src/worker/ports.ts";
import type { WarmReply } from "../../../src/worker/thread/handler-thread.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";

const loaded: WarmReply = { kind: "loaded" };
const enough: WarmReply = { kind: "enough" };

function broken(message: string): WarmReply {
	return { kind: "failed", failure: { kind: "load", name: "Error", message, stack: null } };
}

/** A delivery that can't reach its broker, with threads that are told what is asked of them. */
function scene(warm: () => Promise<WarmReply>) {
	const { config } = loadConfig({
		file: undefined,
		cwd: "/",
		environment: {
			POCKAFFE_KAFKA_BROKERS: "none:1",
			POCKAFFE_KAFKA_GROUP: "g",
			POCKAFFE_KAFKA_TOPICS: "t",
			POCKAFFE_HANDLER_MODULE: "none",
			POCKAFFE_DATABASE_URL: "postgres://none",
			POCKAFFE_TABLES: '{"events":{"columns":{"n":"text"},"create":true}}',
		},
	});
	const threads = { warm: vi.fn(warm), expire: vi.fn(), dispose: async () => {} };
	const clock = new ManualClock();
	const delivery = new Delivery({
		config,
		layouts: tableLayouts(config),
		database: {},
		deadLetters: Object.assign(new EventEmitter(), { dispose: async () => {} }),
		records: Object.assign(new EventEmitter(), noRecords, { dispose: async () => {} }),
		createClient: () => {
			throw new Error("no broker");
		},
		threads,
		clock,
		random: () => 0.5,
		listener: {},
	} as unknown as DeliveryParts);
	return { clock, delivery, threads };
}

it("a thread in reserve that can't be made ends the shared turn that it has, and rejects nowhere", async () => {
	const asked = vi.spyOn(Turn.prototype, "together");
	const { delivery, threads } = scene(async () => {
		throw new Error("no thread");
	});
	const begun = delivery.reserves.begin();
	await settle();
	expect(threads.warm).toHaveBeenCalledOnce();
	const turn = asked.mock.contexts[0] as Turn;
	const alone = vi.fn();
	void turn.alone(new AbortController().signal).then(alone);
	await settle();
	expect(alone).toHaveBeenCalledWith(expect.any(Function));
	await begun;
	expect(delivery.reserves.problems).toEqual([]);
	await delivery.stop();
});

it("a file that changes beside the handler ends the thread in reserve, and has no other made: its load may have written the file", async () => {
	const { clock, delivery, threads } = scene(async () => enough);
	await delivery.reserves.begin();
	delivery.handlerChanged();
	await clock.advance(60_000);
	expect([threads.warm.mock.calls.length, threads.expire.mock.calls.length]).toEqual([1, 1]);
	await delivery.stop();
});

it("a module that can't be loaded is told before anything else is there, until it is loaded", async () => {
	const replies = [broken("no such file"), broken("exports nothing"), { kind: "unknown" } as const, loaded, enough];
	const { clock, delivery } = scene(async () => replies.shift() as WarmReply);
	const told = () => delivery.reserves.problems.map(({ code, message, sinceMs }) => [code, message, sinceMs]);
	await delivery.reserves.begin();
	const since = clock.now();
	const words = (what: string) => `the handler can't be loaded: ${what}. Save the corrected file, and it is loaded without a restart`;
	expect(told()).toEqual([["handler_not_loaded", words("no such file"), since]]);
	for (const what of ["exports nothing", "exports nothing"]) {
		delivery.handlerChanged();
		await clock.advance(2_000);
		expect(told()).toEqual([["handler_not_loaded", words(what), since]]);
	}
	delivery.handlerChanged();
	await clock.advance(2_000);
	expect(told()).toEqual([]);
	await delivery.stop();
});

it("a module that can't be loaded is tried again every ten seconds: what it misses may come without a file that changes", async () => {
	const replies = [broken("no service"), broken("no service"), loaded, enough];
	const { clock, delivery, threads } = scene(async () => replies.shift() as WarmReply);
	await delivery.reserves.begin();
	await clock.advance(9_999);
	expect(threads.warm).toHaveBeenCalledTimes(1);
	await clock.advance(1);
	expect([threads.warm.mock.calls.length, delivery.reserves.problems.length]).toEqual([2, 1]);
	await clock.advance(10_000);
	expect([threads.warm.mock.calls.length, delivery.reserves.problems.length]).toEqual([4, 0]);
	await clock.advance(60_000);
	expect(threads.warm).toHaveBeenCalledTimes(4);
	await delivery.stop();
});

it("a spare thread that can't be made is nobody's trouble once the module was loaded: the daemon is at work", async () => {
	const replies = [loaded, broken("the port is taken"), broken("the port is taken")];
	const { delivery } = scene(async () => replies.shift() as WarmReply);
	await delivery.reserves.begin();
	await delivery.reserves.begin();
	expect([delivery.reserves.problems, replies]).toEqual([[], []]);
	await delivery.stop();
});

it("where partitions have all the threads there may be, they tell by themselves what is wrong", async () => {
	const replies = [broken("no such file"), { kind: "full" } as const];
	const { delivery } = scene(async () => replies.shift() as WarmReply);
	await delivery.reserves.begin();
	expect(delivery.reserves.problems.length).toBe(1);
	await delivery.reserves.begin();
	expect(delivery.reserves.problems).toEqual([]);
	await delivery.stop();
});

it("a message of the module's values is told without them", async () => {
	const { delivery } = scene(async () => broken(`Unexpected token 'h', "{"password": hunter2}" is not valid JSON`));
	await delivery.reserves.begin();
	expect(delivery.reserves.problems[0]?.message).toContain("can't be loaded: the text is not valid JSON.");
	await delivery.stop();
});

it("threads are made one after the other, each with a turn of its own, and none once the daemon stops", async () => {
	const asked = vi.spyOn(Turn.prototype, "together");
	const answers: ((reply: WarmReply) => void)[] = [];
	const { delivery, threads } = scene(() => new Promise((resolve) => void answers.push(resolve)));
	const before = asked.mock.calls.length;
	const begun = delivery.reserves.begin();
	void delivery.reserves.begin();
	await settle();
	expect([threads.warm.mock.calls.length, asked.mock.calls.length - before]).toEqual([1, 1]);
	answers.shift()?.(loaded);
	await settle();
	expect([threads.warm.mock.calls.length, asked.mock.calls.length - before]).toEqual([2, 2]);
	const stopped = delivery.stop();
	answers.shift()?.(loaded);
	await begun;
	await stopped;
	expect(threads.warm).toHaveBeenCalledTimes(2);
});

it("a module that a partition's thread has loaded is told no longer", async () => {
	const { delivery } = scene(async () => broken("no such file"));
	await delivery.reserves.begin();
	delivery.reserves.loaded();
	expect(delivery.reserves.problems).toEqual([]);
	await delivery.stop();
});
