/**
 * A real Apache Kafka for the tests: its jars from Maven into .cache/ (once), a broker in KRaft mode with a data folder of its own in
 * a process group of its own.
 */
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";
import { waitFor } from "./wait-for.ts";

const run = promisify(execFile);
const project = new URL("../..", import.meta.url).pathname;
const jars = join(project, ".cache", "kafka-4.4.0");

/** A running broker. */
export interface KafkaServer {
	/** `127.0.0.1:port`. */
	readonly brokers: string;
	/** SIGKILL, as a crash would. */
	kill(): Promise<void>;
	/** Starts it again on the same data and port. */
	restart(): Promise<void>;
	stop(): Promise<void>;
}

/** Why there is no Kafka here, null where there is one. In CI a missing one is a failure. */
export async function kafkaMissing(): Promise<string | null> {
	try {
		await run("java", ["-version"]);
		if (!(await exists(jars))) await run("mvn", ["-v"]);
		return null;
	} catch (cause) {
		const reason = "java and mvn are needed for a real Kafka, and are not here";
		if (process.env.CI) throw new Error(reason, { cause });
		return reason;
	}
}

/** Starts a broker; `properties` go over the usual ones. */
export async function startKafka(properties: Record<string, string> = {}): Promise<KafkaServer> {
	await fetchJars();
	const folder = await mkdtemp(join(tmpdir(), "pockaffe-kafka-"));
	const [port, controllerPort] = [await freePort(), await freePort()];
	const config = {
		"process.roles": "broker,controller",
		"node.id": "1",
		"controller.quorum.voters": `1@127.0.0.1:${controllerPort}`,
		listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
		"advertised.listeners": `PLAINTEXT://127.0.0.1:${port}`,
		"controller.listener.names": "CONTROLLER",
		"inter.broker.listener.name": "PLAINTEXT",
		"log.dirs": join(folder, "data"),
		"offsets.topic.replication.factor": "1",
		"offsets.topic.num.partitions": "4",
		"transaction.state.log.replication.factor": "1",
		"transaction.state.log.min.isr": "1",
		"share.coordinator.state.topic.replication.factor": "1",
		"share.coordinator.state.topic.min.isr": "1",
		"group.initial.rebalance.delay.ms": "0",
		// The tests wait for members to be given up.
		"group.min.session.timeout.ms": "1000",
		"auto.create.topics.enable": "false",
		"log.cleaner.backoff.ms": "200",
		// The tests make records of any age; topics that ask for retention have it at once.
		"log.retention.ms": "-1",
		"log.retention.check.interval.ms": "300",
		"log.initial.task.delay.ms": "300",
		...properties,
	};
	const file = join(folder, "server.properties");
	await writeFile(
		file,
		Object.entries(config)
			.map(([key, value]) => `${key}=${value}`)
			.join("\n"),
	);
	const classPath = join(jars, "*");
	const { stdout } = await run("java", ["-cp", classPath, "kafka.tools.StorageTool", "random-uuid"]);
	const id = stdout.trim().split("\n").at(-1) as string;
	await run("java", ["-cp", classPath, "kafka.tools.StorageTool", "format", "-t", id, "-c", file]);
	const launch = async () => {
		const child = spawn("java", ["-Xmx512m", "-cp", classPath, "kafka.Kafka", file], { detached: true, stdio: "ignore" });
		await waitFor(`Kafka at port ${port}`, () => answers(port), 60_000);
		return child;
	};
	let child = await launch();
	const end = (signal: NodeJS.Signals) =>
		new Promise<void>((resolve) => {
			if (child.exitCode !== null || child.signalCode !== null) return resolve();
			child.once("exit", () => resolve());
			child.kill(signal);
		});
	return {
		brokers: `127.0.0.1:${port}`,
		kill: () => end("SIGKILL"),
		async restart() {
			child = await launch();
		},
		async stop() {
			await end("SIGKILL");
			await rm(folder, { recursive: true, force: true });
		},
	};
}

/** Into a folder of this process, renamed when whole: several runs may fetch at once. */
async function fetchJars(): Promise<void> {
	if (await exists(jars)) return;
	const fresh = `${jars}.${process.pid}`;
	await mkdir(fresh, { recursive: true });
	const pom = join(project, "test/support/kafka/pom.xml");
	await run("mvn", ["-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${fresh}`]);
	await rename(fresh, jars).catch(async (error) => {
		if (!(await exists(jars))) throw error;
		await rm(fresh, { recursive: true, force: true });
	});
}

function answers(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(port, "127.0.0.1");
		socket.once("connect", () => {
			socket.destroy();
			resolve(true);
		});
		socket.once("error", () => resolve(false));
	});
}

function exists(path: string): Promise<boolean> {
	return stat(path).then(
		() => true,
		() => false,
	);
}
