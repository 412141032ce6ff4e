/** A thread in reserve that can't be begun is no harm to the daemon. */
import { EventEmitter } from "eventemitter3";
import { expect, it, vi } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { tableLayouts } from "../../../src/config/table-layouts.ts";
import { Turn } from "../../../src/core/waiting/turn.ts";
import { Delivery } from "../../../src/daemon/delivery.ts";
import type { DeliveryParts } from "../../../src/daemon/delivery-parts.ts";
import { noRecords } from "../../../src/worker/ports.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";

/** A delivery that can't reach its broker, with threads that are told what is asked of them. */
function scene(warm: () => Promise<void>) {
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
	const starting = delivery.start();
	await settle();
	expect(threads.warm).toHaveBeenCalledOnce();
	const turn = asked.mock.contexts[0] as Turn;
	const alone = vi.fn();
	void turn.alone(new AbortController().signal).then(alone);
	await settle();
	expect(alone).toHaveBeenCalledWith(expect.any(Function));
	await delivery.stop();
	await starting;
});

it("a file that changes beside the handler ends the thread in reserve, and has no other made: its load may have written the file", async () => {
	const { clock, delivery, threads } = scene(async () => {});
	const starting = delivery.start();
	await settle();
	delivery.handlerChanged();
	await clock.advance(60_000);
	expect([threads.warm.mock.calls.length, threads.expire.mock.calls.length]).toEqual([1, 1]);
	await delivery.stop();
	await starting;
});
