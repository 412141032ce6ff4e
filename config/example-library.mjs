// PocKaffe in a program of yours: a producer, and a daemon that brings what it produces into a table.
// Run it with the addresses of a Kafka and a Postgres: node config/example-library.mjs 127.0.0.1:9092 postgres://127.0.0.1/app
// The topic must be there (pockaffe topic create greetings -p 3); its name and the group may be given as third and fourth argument.
import { createDaemon, createProducer } from "pockaffe/library";

const [brokers, url, topic = "greetings", group = "greeters"] = process.argv.slice(2);
const kafka = { brokers: brokers.split(",") };

const daemon = createDaemon({
	kafka: { ...kafka, topics: [topic], group },
	handler: { module: "pockaffe:json" },
	database: { url },
	tables: { greetings: { columns: { words: "text" }, create: true } },
	http: { port: 0 },
	log: { level: "warn" },
});
daemon.on("deadLetter", ({ offset, reason, error }) => console.error(`offset ${offset} is a dead letter: ${reason}, ${error}`));
daemon.on("stopRequested", ({ reason }) => daemon.stop(reason));
await daemon.start();

const producer = await createProducer({ kafka, topics: [topic] });
const { partition, offset } = await producer.produceSync("en", JSON.stringify({ words: "Good morning" }));
console.log(`one went to partition ${partition}, offset ${offset}`);
await producer.produceSync(topic, [
	{ key: "de", value: JSON.stringify({ words: "Guten Morgen" }) },
	{ key: "cs", value: JSON.stringify({ words: "Dobré ráno" }) },
]);
await producer.close();

// Until all of it is in the table and committed.
const isDone = () => daemon.status().partitions.reduce((sum, { committed }) => sum + (committed ?? 0), 0) >= 3;
while (!isDone()) await new Promise((resolve) => setTimeout(resolve, 100));
console.log(`ready: ${daemon.readiness().ready}`);
const { drained } = await daemon.stop("the example is over");
console.log(`drained: ${drained}`);
