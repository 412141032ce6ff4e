/** The limit of everything behind PocKaffe's own polls: messages are received packed and nothing is done with them. */
import { systemClock } from "../../dist/core/clock.js";
import { ConsumerClient } from "../../dist/kafka/client/consumer-client.js";

const task = JSON.parse(process.argv[2] ?? "{}");
const ASSIGN = -175;
const COMMIT_MS = 100;

const settings = {
	"bootstrap.servers": task.brokers,
	"group.id": task.group,
	"enable.auto.commit": false,
	"fetch.queue.backoff.ms": 5,
	"socket.nagle.disable": true,
};
const client = new ConsumerClient(settings, { "auto.offset.reset": "earliest" }, systemClock);
client.on("rebalance", ({ code, partitions }) => (code === ASSIGN ? client.assignStored(partitions) : client.unassign(partitions, false)));
await client.connect(30_000);
client.subscribe([task.topic]);
let ending = false;
process.once("SIGTERM", () => {
	ending = true;
});
const done = new Map();
const commit = () => {
	const offsets = [...done].map(([partition, offset]) => ({ topic: task.topic, partition, offset }));
	done.clear();
	return offsets.length > 0 ? client.commit(offsets) : Promise.resolve();
};
const timer = setInterval(() => void commit(), COMMIT_MS);
while (!ending) {
	const { batches } = await client.poll(1_000, 100);
	for (const { partition, batch } of batches) done.set(partition, batch.offsets[batch.length - 1] + 1);
}
clearInterval(timer);
let isCommitted = false;
const last = commit().finally(() => {
	isCommitted = true;
});
while (!isCommitted) await client.poll(1, 10);
await last;
await client.close();
process.exit(0);
