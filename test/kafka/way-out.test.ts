/** The way out of a process whose Kafka client hangs while closing: by the exit code that it means, where Node's own way waits for ever. */
import { spawn } from "node:child_process";
import { expect, inject, it } from "vitest";
import { loadTopic } from "../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { withAddon } from "../support/project/with-addon.ts";

const dist = (file: string) => JSON.stringify(new URL(`../../dist/${file}`, import.meta.url).href);

/** A member that never answers its last revocation: its close hangs in a thread of the pool. Then `leave` is how the process is to end. */
const program = (brokers: string, topic: string, leave: string) => `
	import { systemClock } from ${dist("core/clock.js")};
	import { ConsumerClient } from ${dist("kafka/client/consumer-client.js")};
	import { exitNow } from ${dist("kafka/native.js")};
	const settings = { "bootstrap.servers": ${JSON.stringify(brokers)}, "group.id": ${JSON.stringify(uniqueName("g"))} };
	const client = new ConsumerClient({ ...settings, "enable.auto.commit": false, "partition.assignment.strategy": "cooperative-sticky" }, {}, systemClock);
	let assigned = false;
	client.on("rebalance", ({ code, partitions }) => {
		if (code !== -175) return;
		client.assign(partitions.map((each) => ({ ...each, offset: 0 })), true);
		assigned = true;
	});
	await client.connect(10_000);
	client.subscribe([${JSON.stringify(topic)}]);
	while (!assigned) await client.consume(1, 50).catch(() => {});
	const closed = await client.close({ withinMs: 500 });
	process.stdout.write(JSON.stringify({ closed, hangs: client.hangs }) + "\\n", () => { ${leave}; });
	setInterval(() => {}, 1_000);
`;

interface End {
	readonly code: number | null;
	readonly signal: string | null;
	readonly output: string;
}

function run(source: string, longestMs: number): Promise<End> {
	const child = spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: ["ignore", "pipe", "inherit"] });
	let output = "";
	child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
		output += chunk;
	});
	return new Promise((resolve) => {
		const timer = setTimeout(() => child.kill("SIGKILL"), longestMs);
		child.on("close", (code, signal) => {
			clearTimeout(timer);
			resolve({ code, signal, output });
		});
	});
}

describeOnKafka("a client that hangs while closing", withAddon, () => {
	const brokers = inject("kafkaBrokers");
	const hangs = '{"closed":false,"hangs":true}\n';

	it("ends with the code it is to end with, at once", async () => {
		const topic = uniqueName("out");
		await loadTopic(brokers, { name: topic, partitions: 1 }, []);
		expect(await run(program(brokers, topic, "exitNow(4)"), 30_000)).toEqual({ code: 4, signal: null, output: hangs });
	});

	it("by Node's own way does not end", async () => {
		const topic = uniqueName("out");
		await loadTopic(brokers, { name: topic, partitions: 1 }, []);
		expect(await run(program(brokers, topic, "process.exit(4)"), 4_000)).toEqual({ code: null, signal: "SIGKILL", output: hangs });
	});
});
