/** A thread in reserve that can't be begun is no harm to the daemon. */
import { EventEmitter } from "eventemitter3";
import { expect, it, vi } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { tableLayouts } from "../../../src/config/table-layouts.ts";
import { Turn } from "../../../src/core/turn.ts";
import { Delivery } from "../../../src/daemon/delivery.ts";
import type { DeliveryParts } from "../../../src/daemon/delivery-parts.ts";
import { noRecords } from "../../../src/worker/ports.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";

it("a thread in reserve that can't be made ends the shared turn that it has, and rejects nowhere", async () => {
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
	const asked = vi.spyOn(Turn.prototype, "together");
	const warm = vi.fn(async () => {
		throw new Error("no thread");
	});
	const delivery = new Delivery({
		config,
		layouts: tableLayouts(config),
		database: {},
		deadLetters: Object.assign(new EventEmitter(), { dispose: async () => {} }),
		records: Object.assign(new EventEmitter(), noRecords, { dispose: async () => {} }),
		createClient: () => {
			throw new Error("no broker");
		},
		threads: { warm, dispose: async () => {} },
		clock: new ManualClock(),
		random: () => 0.5,
		listener: {},
	} as unknown as DeliveryParts);
	const starting = delivery.start();
	await settle();
	expect(warm).toHaveBeenCalledOnce();
	const turn = asked.mock.contexts[0] as Turn;
	const alone = vi.fn();
	void turn.alone(new AbortController().signal).then(alone);
	await settle();
	expect(alone).toHaveBeenCalledWith(expect.any(Function));
	await delivery.stop();
	await starting;
});
