/**
 * node-rdkafka's own producer, as somebody uses it who knows it: idempotent, reports by number, an offset done when all before it are
 * acknowledged. `headers`: with the three that PocKaffe gives each record.
 */
import rdkafka from "node-rdkafka";
import { readTopic, task } from "./consumer.mjs";

const MOST_OPEN = 50_000;
const settings = {
	"bootstrap.servers": task.brokers,
	"enable.idempotence": true,
	"compression.codec": "lz4",
	"linger.ms": 5,
	"queue.buffering.max.messages": 2 * MOST_OPEN,
	dr_cb: true,
};
const producer = new rdkafka.Producer(settings, { partitioner: "murmur2_random" });
producer.setPollInterval(5);
await new Promise((resolve, reject) => producer.connect({}, (error) => (error ? reject(error) : resolve())));

/** By partition: the offsets that are open, in order, and which of them are acknowledged. */
const open = new Map();
let [count, wake] = [0, () => {}];
let committable = new Map();

producer.on("delivery-report", (error, { opaque }) => {
	if (error) throw error;
	const [partition, at] = opaque;
	const queue = open.get(partition);
	queue.acknowledged[at - queue.first] = 1;
	while (queue.acknowledged[queue.head] === 1) queue.head++;
	if (queue.head > 0) committable.set(partition, queue.offsets[queue.head - 1] + 1);
	if (--count < MOST_OPEN / 2) wake();
});

await readTopic({
	handle(messages, done) {
		for (const { key, value, partition, offset, timestamp } of messages) {
			let queue = open.get(partition);
			if (!queue) {
				queue = { first: 0, head: 0, offsets: [], acknowledged: [] };
				open.set(partition, queue);
			}
			const at = queue.offsets.push(offset) - 1;
			const source = () => [
				{ "pockaffe-source": `${task.topic}/${partition}/${offset}` },
				{ "pockaffe-source-index": "0" },
				{ "pockaffe-source-group": task.group },
				{ "pockaffe-source-timestamp": String(timestamp) },
			];
			producer.produce(task.out, null, value, key, timestamp, [partition, at], task.headers ? source() : undefined);
			count++;
		}
		committable = done;
		for (const [partition, { head, offsets }] of open) if (head > 0) done.set(partition, offsets[head - 1] + 1);
		if (count >= MOST_OPEN) return new Promise((resolve) => (wake = resolve));
	},
	finish: () => new Promise((resolve) => producer.flush(10_000, () => setTimeout(resolve, 200))),
});
