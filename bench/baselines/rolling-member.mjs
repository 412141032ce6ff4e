/**
 * What a daemon is compared with in a rolling restart: a member that notes each message and does no more, by node-rdkafka alone. Its
 * argument is JSON: { brokers, topic, group, protocol, isStatic, clientId, notes }. After each rebalance it prints how many partitions it
 * has. SIGTERM has it commit, leave (a static member stays in the group) and exit.
 */
import { openSync, writeSync } from "node:fs";
import Kafka from "node-rdkafka";

const { brokers, topic, group, protocol, isStatic, clientId, notes } = JSON.parse(process.argv[2]);
const POLL_MS = 2;
const COMMIT_MS = 100;
const ASSIGN = Kafka.CODES.ERRORS.ERR__ASSIGN_PARTITIONS;
const ofProtocol = {
	classic: { "partition.assignment.strategy": "cooperative-sticky", "heartbeat.interval.ms": 100 },
	eager: { "partition.assignment.strategy": "range", "heartbeat.interval.ms": 100 },
	consumer: { "group.protocol": "consumer" },
}[protocol];
const file = openSync(notes, "a");
const owned = new Map();
const reached = new Map();
let isLeaving = false;
let leave = () => {};

const client = new Kafka.KafkaConsumer(
	{
		"bootstrap.servers": brokers,
		"group.id": group,
		"client.id": clientId,
		"enable.auto.commit": false,
		"fetch.wait.max.ms": 20,
		...ofProtocol,
		...(isStatic ? { "group.instance.id": clientId } : {}),
		rebalance_cb(error, partitions) {
			const incremental = protocol !== "eager";
			if (error.code === ASSIGN) {
				for (const each of partitions) owned.set(each.partition, each);
				if (incremental) client.incrementalAssign(partitions);
				else if (!isLeaving) client.assign(partitions);
			} else {
				// While a static member closes nothing can be committed any more.
				if (!(isLeaving && isStatic)) commit(partitions.map(({ partition }) => partition));
				for (const { partition } of partitions) {
					owned.delete(partition);
					reached.delete(partition);
				}
				if (incremental) client.incrementalUnassign(partitions);
				else client.unassign();
			}
			console.log(owned.size);
			if (isLeaving && !isStatic && owned.size === 0) leave();
		},
	},
	{ "auto.offset.reset": "earliest" },
);

/** Waits for the answer only when partitions are given away. */
function commit(partitions) {
	const offsets = partitions.flatMap((partition) => (reached.has(partition) ? [{ topic, partition, offset: reached.get(partition) }] : []));
	if (offsets.length > 0) client.commitSync(offsets);
}

client.connect({ timeout: 60_000 }, (error) => {
	if (error) throw error;
	client.setDefaultConsumeTimeout(0);
	client.subscribe([topic]);
	// librdkafka keeps short heartbeats only while something wakes it.
	const waking = setInterval(() => client.subscription(), 50);
	const polling = setInterval(poll, POLL_MS);
	const committing = setInterval(() => {
		const offsets = [...reached].map(([partition, offset]) => ({ topic, partition, offset }));
		if (offsets.length > 0) client.commit(offsets);
	}, COMMIT_MS);
	process.once("SIGTERM", () => {
		for (const timer of [committing, waking]) clearInterval(timer);
		isLeaving = true;
		if (isStatic) {
			commit([...reached.keys()]);
		} else client.unsubscribe();
		if (isStatic || owned.size === 0) leave();
	});
	leave = () => {
		clearInterval(polling);
		client.disconnect(() => process.exit(0));
	};
});

function poll() {
	client.consume(1_000, (error, messages) => {
		if (error) return;
		for (const { partition, offset } of messages) {
			writeSync(file, `${partition} ${offset} ${performance.timeOrigin + performance.now()}\n`);
			if (owned.has(partition)) reached.set(partition, offset + 1);
		}
	});
}
