/**
 * node-rdkafka as somebody uses it who knows it: a short back-off of the fetch queue (the default is a second), one message asked for
 * while it is quiet and a thousand under a backlog, commits of what is done ten times a second, and a last one at the end.
 */
import rdkafka from "node-rdkafka";

const COMMIT_MS = 100;
const BACKLOG = 1000;
const QUIET_TIMEOUT_MS = 100;

/** What the bench hands over: brokers, topic, group, table, databaseUrl, connections, and what a baseline takes besides. */
export const task = JSON.parse(process.argv[2] ?? "{}");

/**
 * Reads the task's topic until SIGTERM. `handle` gets every batch and may be waited for; it notes in `done` (partition → next offset)
 * what may be committed. `finish` is waited for before the last commit.
 */
export async function readTopic({ handle, finish = async () => {} }) {
	const settings = {
		"bootstrap.servers": task.brokers,
		"group.id": task.group,
		"enable.auto.commit": false,
		"fetch.queue.backoff.ms": 5,
		"socket.nagle.disable": true,
	};
	const consumer = new rdkafka.KafkaConsumer(settings, { "auto.offset.reset": "earliest" });
	await new Promise((resolve, reject) => consumer.connect({}, (error) => (error ? reject(error) : resolve())));
	consumer.subscribe([task.topic]);
	let ending = false;
	process.once("SIGTERM", () => {
		ending = true;
	});
	const done = new Map();
	let committed = new Map();
	const uncommitted = () => [...done].filter(([partition, offset]) => committed.get(partition) !== offset);
	const offsets = () => uncommitted().map(([partition, offset]) => ({ topic: task.topic, partition, offset }));
	const timer = setInterval(() => {
		const next = offsets();
		if (next.length === 0) return;
		committed = new Map(done);
		consumer.commit(next);
	}, COMMIT_MS);
	let quiet = true;
	while (!ending) {
		const asked = quiet ? 1 : BACKLOG;
		consumer.setDefaultConsumeTimeout(quiet ? QUIET_TIMEOUT_MS : 0);
		const messages = await new Promise((resolve, reject) =>
			consumer.consume(asked, (error, batch) => (error ? reject(error) : resolve(batch))),
		);
		quiet = messages.length < asked;
		const waiting = handle(messages, done, quiet);
		if (waiting) await waiting;
	}
	clearInterval(timer);
	await finish(done);
	const last = offsets();
	if (last.length > 0) consumer.commitSync(last);
	await new Promise((resolve) => consumer.disconnect(() => resolve()));
	process.exit(0);
}
