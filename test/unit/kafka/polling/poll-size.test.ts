import { describe, expect, it } from "vitest";
import type { ReceivedMessage } from "../../../../src/core/messages/message.ts";
import { groupMessages, PollSize } from "../../../../src/kafka/polling/poll-size.ts";

function message(partition: number, offset: number, bytes = 10, topic = "t"): ReceivedMessage {
	return { topic, partition, offset, timestamp: 0, key: null, value: Buffer.alloc(bytes), headers: [] };
}

const soon = { tookMs: 1, metEnd: false };

describe("PollSize", () => {
	it("asks for one message while it is quiet, and for many once one came", () => {
		const size = new PollSize();
		expect(size.count).toBe(1);
		size.received([message(0, 0)], soon);
		expect(size.count).toBe(1000);
	});

	it("is quiet again when fewer came than it asked for", () => {
		const size = new PollSize();
		size.received([message(0, 0)], soon);
		size.received(
			Array.from({ length: 1000 }, (_, i) => message(0, i)),
			soon,
		);
		expect(size.count).toBe(1000);
		size.received([message(0, 1000)], soon);
		expect(size.count).toBe(1);
	});

	describe("where messages are produced meanwhile", () => {
		const busySize = () => {
			const size = new PollSize();
			const polled = (count: number, tookMs: number, metEnd: boolean) =>
				size.received(
					Array.from({ length: count }, (_, i) => message(0, i)),
					{ tookMs, metEnd },
				);
			polled(1, 50, true);
			return { size, polled };
		};

		it("asks for no more than come in two milliseconds, and for no fewer than are worth a poll", () => {
			const { size, polled } = busySize();
			polled(1000, 50, true);
			expect(size.count).toBe(40);
			polled(40, 10, true);
			expect(size.count).toBe(32);
			polled(32, 0.1, true);
			expect(size.count).toBe(32);
		});

		it("asks for twice as many after four in a row that were full without an end, however long they took", () => {
			const { size, polled } = busySize();
			polled(1000, 1000, true);
			for (const count of [32, 64, 128, 256, 512, 1000]) {
				for (let poll = 0; poll < 4; poll++) {
					expect(size.count).toBe(count);
					polled(count, 5, false);
				}
			}
			expect(size.count).toBe(1000);
		});

		it("asks for no more where what gathered in a pause came to its end", () => {
			const { size, polled } = busySize();
			polled(1000, 1000, true);
			for (let pause = 0; pause < 5; pause++) {
				for (let poll = 0; poll < 3; poll++) {
					polled(32, 0.3, false);
					expect(size.count).toBe(32);
				}
				polled(32, 3, true);
				expect(size.count).toBe(32);
			}
		});
	});

	it("asks for fewer where messages are large", () => {
		const size = new PollSize();
		size.received([message(0, 0, 1024 * 1024)], soon);
		expect(size.count).toBe(8);
		size.received([message(0, 0, 100 * 1024 * 1024)], soon);
		expect(size.count).toBe(1);
	});

	it("counts what headers take when packed", () => {
		const size = new PollSize();
		size.received([{ ...message(0, 0), headers: [["large", Buffer.alloc(1024 * 1024)]] }], soon);
		expect(size.count).toBe(7);
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
