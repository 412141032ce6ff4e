/**
 * A real Apache Kafka for the tests: its jars from Maven into .cache/ (once), a broker in KRaft mode with a data folder of its own in
 * a process group of its own.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "../free-port.ts";
import { waitFor } from "../wait-for.ts";
import { fetchJars, jarsMissing } from "./maven-jars.ts";

const run = promisify(execFile);
/** Of the broker. `.ci/older-kafka` names an earlier one. */
export const kafkaVersion = process.env.TEST_KAFKA ?? "4.4.0";
const JARS = `kafka-${kafkaVersion}`;
const pom = new URL("pom.xml", import.meta.url).pathname;

/** In groups of their own, so that Ctrl-C does not reach them: they end with this process however it ends, but for SIGKILL. */
const children = new Set<ChildProcess>();
process.on("exit", () => {
	for (const child of children) child.kill("SIGKILL");
});

/** A running broker. */
export interface KafkaServer {
	/** `127.0.0.1:port`. */
	readonly brokers: string;
	/** False after `kill`, until it is started again. */
	readonly running: boolean;
	/** SIGKILL, as a crash would; SIGTERM shuts it down. */
	kill(signal?: "SIGKILL" | "SIGTERM"): Promise<void>;
	/** It doesn't answer, and its connections stay open, until `thaw`. */
	freeze(): void;
	thaw(): void;
	/** Starts it again on the same data and port; `changed` properties go over those it had. */
	restart(changed?: Record<string, string>): Promise<void>;
	stop(): Promise<void>;
}

/** Which broker of a cluster, and where. `voters` is `controller.quorum.voters`, every broker of the cluster by its controller's port. */
export interface BrokerSpec {
	readonly nodeId: number;
	readonly port: number;
	readonly controllerPort: number;
	readonly voters: string;
	readonly clusterId: string;
	readonly heapMb: number;
	/** Ports of listeners beside the usual ones, by name. */
	readonly listeners?: Readonly<Record<string, number>>;
	/** Over the usual ones. */
	readonly properties: Record<string, string>;
}

/** Why there is no Kafka here, null where there is one. In CI a missing one is a failure. */
export function kafkaMissing(): Promise<string | null> {
	return jarsMissing(JARS);
}

/** Starts a cluster of one; `properties` go over the usual ones, `listeners` beside them. */
export async function startKafka(
	properties: Record<string, string> = {},
	listeners: Readonly<Record<string, number>> = {},
): Promise<KafkaServer> {
	const [port, controllerPort] = [await freePort(), await freePort()];
	const voters = `1@127.0.0.1:${controllerPort}`;
	return startBroker({ nodeId: 1, port, controllerPort, voters, clusterId: newClusterId(), heapMb: 512, listeners, properties });
}

/** 16 random bytes, as Kafka writes them. */
export function newClusterId(): string {
	// A leading dash would look like an option to the formatting tool.
	return randomBytes(16).toString("base64url").replace(/^-/, "_");
}

/** Starts a broker on fresh data; resolves when it answers, which it does once most of its cluster's controllers run. */
export async function startBroker({ port, heapMb, ...spec }: BrokerSpec): Promise<KafkaServer> {
	const jars = await fetchJars(JARS, pom, undefined, [`-Dkafka.version=${kafkaVersion}`]);
	const folder = await mkdtemp(join(tmpdir(), "pockaffe-kafka-"));
	let properties = { ...usualProperties({ port, ...spec }), "log.dirs": join(folder, "data"), ...spec.properties };
	const file = join(folder, "server.properties");
	const write = () =>
		writeFile(
			file,
			Object.entries(properties)
				.map((pair) => pair.join("="))
				.join("\n"),
		);
	await write();
	const classPath = join(jars, "*");
	await run("java", ["-cp", classPath, "kafka.tools.StorageTool", "format", "-t", spec.clusterId, "-c", file]);
	let child: ChildProcess;
	const launch = async () => {
		const started = spawn("java", [`-Xmx${heapMb}m`, "-cp", classPath, "kafka.Kafka", file], { detached: true, stdio: "ignore" });
		children.add(started);
		started.once("exit", () => children.delete(started));
		child = started;
		// One that ended (its port was taken, say) never answers.
		await waitFor(`Kafka at port ${port}`, async () => !isRunning() || (await answers(port)));
		if (!isRunning()) throw new Error(`Kafka at port ${port} ended at its start: exit code ${child.exitCode}`);
	};
	const isRunning = () => child.exitCode === null && child.signalCode === null;
	const end = (signal: NodeJS.Signals) =>
		new Promise<void>((resolve) => {
			if (!isRunning()) return resolve();
			child.once("exit", () => resolve());
			child.kill(signal);
		});
	await launch();
	return {
		brokers: `127.0.0.1:${port}`,
		get running() {
			return isRunning();
		},
		kill: (signal = "SIGKILL") => end(signal),
		freeze: () => void child.kill("SIGSTOP"),
		thaw: () => void child.kill("SIGCONT"),
		async restart(changed = {}) {
			properties = { ...properties, ...changed };
			await write();
			await launch();
		},
		async stop() {
			await end("SIGKILL");
			await rm(folder, { recursive: true, force: true });
		},
	};
}

function usualProperties({ nodeId, port, controllerPort, voters, listeners = {} }: Omit<BrokerSpec, "heapMb">): Record<string, string> {
	const forClients = Object.entries({ PLAINTEXT: port, ...listeners }).map(([name, at]) => `${name}://127.0.0.1:${at}`);
	return {
		"process.roles": "broker,controller",
		"node.id": String(nodeId),
		"controller.quorum.voters": voters,
		listeners: [...forClients, `CONTROLLER://127.0.0.1:${controllerPort}`].join(","),
		"advertised.listeners": forClients.join(","),
		"controller.listener.names": "CONTROLLER",
		"inter.broker.listener.name": "PLAINTEXT",
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
	};
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
