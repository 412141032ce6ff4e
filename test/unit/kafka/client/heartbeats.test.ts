import { expect, it, vi } from "vitest";
import { ConsumerClient } from "../../../../src/kafka/client/consumer-client.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

/** How often librdkafka's main thread is woken in a second of a member with these settings. */
async function wakesInASecond(settings: Record<string, unknown>, end: (client: ConsumerClient) => void = () => {}): Promise<number> {
	const clock = new ManualClock();
	const client = new ConsumerClient({ "group.id": "g", ...settings }, {}, clock);
	const raw = client.raw as { subscribe(): void; subscription(): string[]; disconnect(done: () => void): void };
	vi.spyOn(raw, "subscribe").mockReturnValue();
	vi.spyOn(raw, "disconnect").mockReturnValue();
	const asked = vi.spyOn(raw, "subscription").mockReturnValue([]);
	client.subscribe(["orders"]);
	// A topic that was missing is subscribed to again.
	client.subscribe(["orders"]);
	end(client);
	await clock.advance(1_000);
	return asked.mock.calls.length;
}

it("wakes the client twice for each heartbeat, where it would sleep through some", async () => {
	expect(await wakesInASecond({ "heartbeat.interval.ms": 100 })).toBe(20);
	expect(await wakesInASecond({ "heartbeat.interval.ms": 1_000 })).toBe(0);
	expect(await wakesInASecond({})).toBe(0);
});

it("asks nothing of a client that closes", async () => {
	expect(await wakesInASecond({ "heartbeat.interval.ms": 100 }, (client) => void client.close())).toBe(0);
});
