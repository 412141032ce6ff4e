/** Polls by the addon, of a queue that the test plays. */
import { expect, it } from "vitest";
import { packMessages } from "../../../../src/core/messages/message-codec.ts";
import { KafkaError } from "../../../../src/kafka/client/kafka-error.ts";
import type { PackedPoll } from "../../../../src/kafka/native.ts";
import { PackedPolls } from "../../../../src/kafka/polling/packed-polls.ts";

it("a poll brings batches over the addon's memory, ends and errors with Kafka's codes; it is woken and released with its queue", async () => {
	const [calls, where] = [[] as unknown[], { topic: "t", partition: 3 }];
	const message = { ...where, offset: 7, timestamp: 9, key: null, value: Buffer.from("v"), headers: [] };
	const packed = packMessages([message, { ...message, offset: 8 }]);
	const polled: PackedPoll = {
		partitions: [{ ...where, length: 2, arrays: packed.offsets.buffer as ArrayBuffer, bytes: packed.bytes.buffer }],
		ends: [{ ...where, offset: 9 }],
		errors: [{ code: -195, message: "away" }],
	};
	const queue = {
		poll: async (...given: number[]) => {
			calls.push(given);
			return polled;
		},
		wake: () => void calls.push("wake"),
		release: () => void calls.push("release"),
	};
	const polls = new PackedPolls(queue, ({ message: words, code }) => new KafkaError(words, code));
	const { batches, notTaken, ends, errors } = await polls.poll(500, 100);
	polls.wake();
	polls.end();
	expect(calls).toEqual([[500, 100, 8 * 2 ** 20], "wake", "release"]);
	expect(batches).toMatchObject([{ ...where, batch: { length: 2, offsets: new Float64Array([7, 8]) } }]);
	expect([notTaken, ends]).toEqual([[], [{ ...where, offset: 9 }]]);
	expect(errors).toMatchObject([{ message: "away", kafkaCode: -195 }]);
});
