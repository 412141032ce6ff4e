import { describe, expect, it } from "vitest";
import type { ReceivedMessage } from "../../src/core/message.ts";
import { groupMessages, PollSize } from "../../src/kafka/poll-size.ts";

function message(partition: number, offset: number, bytes = 10, topic = "t"): ReceivedMessage {
	return { topic, partition, offset, timestamp: 0, key: null, value: Buffer.alloc(bytes), headers: [] };
}

describe("PollSize", () => {
	it("asks for one message while it is quiet, and for many without waiting once one came", () => {
		const size = new PollSize();
		expect(size.count).toBe(1);
		expect(size.timeoutMs).toBeGreaterThan(0);
		size.received([message(0, 0)], 50);
		expect([size.count, size.timeoutMs]).toEqual([1000, 0]);
	});

	it("is quiet again when fewer came than it asked for", () => {
		const size = new PollSize();
		size.received([message(0, 0)], 50);
		size.received(
			Array.from({ length: 1000 }, (_, i) => message(0, i)),
			5,
		);
		expect(size.timeoutMs).toBe(0);
		size.received([message(0, 1000)], 1);
		expect(size.count).toBe(1);
	});

	it("asks for no more than come in two milliseconds where they are being produced, and for a thousand again of a backlog", () => {
		const size = new PollSize();
		const polled = (count: number, tookMs: number) =>
			size.received(
				Array.from({ length: count }, (_, i) => message(0, i)),
				tookMs,
			);
		polled(1, 50);
		polled(1000, 100);
		expect([size.count, size.timeoutMs]).toEqual([20, 0]);
		polled(20, 10);
		expect(size.count).toBe(16);
		polled(16, 0.4);
		expect(size.count).toBe(80);
		polled(80, 1);
		expect(size.count).toBe(1000);
		polled(1000, 0);
		expect(size.count).toBe(1000);
	});

	it("asks for fewer where messages are large", () => {
		const size = new PollSize();
		size.received([message(0, 0, 1024 * 1024)], 5);
		expect(size.count).toBe(8);
		size.received([message(0, 0, 100 * 1024 * 1024)], 5);
		expect(size.count).toBe(1);
	});
});

describe("groupMessages", () => {
	it("sorts by partition and keeps each partition's order", () => {
		const mixed = [message(0, 0), message(1, 0), message(0, 1), message(0, 0, 1, "u"), message(1, 1), message(0, 2)];
		const groups = groupMessages(mixed).map(([{ topic, partition }, group]) => [
			`${topic}/${partition}`,
			group.map(({ offset }) => offset),
		]);
		expect(groups).toEqual([
			["t/0", [0, 1, 2]],
			["t/1", [0, 1]],
			["u/0", [0]],
		]);
	});
});
