/** kafkajs with the one thing it lacks for these topics, lz4; ends as the other baselines do. */
import kafkajs from "kafkajs";
import lz4 from "lz4-napi";

const { Kafka, CompressionCodecs, CompressionTypes, logLevel } = kafkajs;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
	compress: ({ buffer }) => lz4.compressFrame(buffer),
	decompress: (buffer) => lz4.decompressFrame(buffer),
});

/** What the bench hands over, see consumer.mjs. */
export const task = JSON.parse(process.argv[2] ?? "{}");

/** Runs a consumer with kafkajs's own `run` options until SIGTERM. */
export async function runKafkajs(run, finish) {
	const kafka = new Kafka({ brokers: task.brokers.split(","), logLevel: logLevel.NOTHING });
	const consumer = kafka.consumer({ groupId: task.group, maxBytesPerPartition: 4 * 1024 * 1024, maxWaitTimeInMs: 100 });
	await consumer.connect();
	await consumer.subscribe({ topic: task.topic, fromBeginning: true });
	consumer.on(consumer.events.CRASH, ({ payload: { error } }) => {
		console.error(error.stack);
		process.exit(1);
	});
	process.once("SIGTERM", async () => {
		await consumer.disconnect();
		await finish();
		process.exit(0);
	});
	await consumer.run(run);
}
