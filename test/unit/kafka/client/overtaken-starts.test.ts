/** Partitions are fetched from where they begin, though librdkafka drops requests that others overtake. */
import { expect, it } from "vitest";
import { partitionName } from "../../../../src/core/messages/message.ts";
import { ConsumerClient } from "../../../../src/kafka/client/consumer-client.ts";
import { LogReader } from "../../../../src/kafka/log-reader.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";
import { OvertakingConsumer } from "../../../support/fakes/overtaking-consumer.ts";

const [one, other] = [0, 1].map((partition) => ({ topic: "t", partition })) as [
	{ topic: string; partition: number },
	{ topic: string; partition: number },
];
const END = 6;

function openClient() {
	const clock = new ManualClock();
	const client = new ConsumerClient({ "group.id": "g" }, {}, clock);
	const overtaking = new OvertakingConsumer(client.raw, END, () => clock.advance(100));
	/** What the next polls bring. */
	const fetched = async () => {
		const places: string[] = [];
		for (let polls = 0; polls < 2 * END; polls++) {
			for (const message of (await client.consume(10, 0)).messages) places.push(`${partitionName(message)}@${message.offset}`);
		}
		return places;
	};
	return { clock, client, overtaking, fetched };
}

it("one that is sought, and resumed at once", async () => {
	const { client, fetched } = openClient();
	client.assign([{ ...one, offset: 0 }], true);
	client.pause([one]);
	client.seek({ ...one, offset: 4 });
	client.resume([one]);
	expect(await fetched()).toEqual(["t/0@4", "t/0@5"]);
});

it("one that is sought, paused at once, and resumed later", async () => {
	const { client, fetched } = openClient();
	client.assign([{ ...one, offset: 0 }], true);
	client.seek({ ...one, offset: 4 });
	client.pause([one]);
	expect(await fetched()).toEqual([]);
	client.resume([one]);
	expect(await fetched()).toEqual(["t/0@4", "t/0@5"]);
});

it("one that was paused, and is assigned anew in place of others", async () => {
	const { client, fetched } = openClient();
	client.assign(
		[
			{ ...one, offset: 0 },
			{ ...other, offset: 0 },
		],
		false,
	);
	client.pause([one]);
	client.assign([{ ...one, offset: 4 }], false);
	expect(await fetched()).toEqual(["t/0@4", "t/0@5"]);
});

it("one that is assigned in place of itself, paused at once, and resumed later", async () => {
	const { client, fetched } = openClient();
	client.assign([{ ...one, offset: 0 }], false);
	client.assign([{ ...one, offset: 4 }], false);
	client.pause([one]);
	expect(await fetched()).toEqual([]);
	client.resume([one]);
	expect(await fetched()).toEqual(["t/0@4", "t/0@5"]);
});

it("one whose first resume was overtaken", async () => {
	const { client, overtaking, fetched } = openClient();
	client.assign([{ ...one, offset: 4 }], true);
	client.pause([one]);
	overtaking.dropped = 1;
	client.resume([one]);
	expect(await fetched()).toEqual(["t/0@4", "t/0@5"]);
});

it("those that a reader of the log reads again, whole or in part", async () => {
	const { clock, client } = openClient();
	const reader = new LogReader(client, { brokers: [], topics: [] }, clock, new AbortController().signal);
	const read = async (...ranges: [from: number, to: number][]) => {
		const places: string[] = [];
		const wanted = ranges.map(([from, to], partition) => ({ topic: "t", partition, from, to }));
		for await (const [, messages] of reader.read(wanted)) {
			for (const message of messages) places.push(`${message.partition}@${message.offset}`);
		}
		return places.sort();
	};
	expect(await read([0, 3], [0, 2])).toEqual(["0@0", "0@1", "0@2", "1@0", "1@1"]);
	expect(await read([1, 2], [0, END])).toEqual(["0@1", "1@0", "1@1", "1@2", "1@3", "1@4", "1@5"]);
	expect(await read([0, 3], [4, 5])).toEqual(["0@0", "0@1", "0@2", "1@4"]);
});
