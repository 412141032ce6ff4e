/** The machine and the versions that figures are of. */
import { execFile } from "node:child_process";
import { cpus, platform, release, totalmem, version } from "node:os";
import { promisify } from "node:util";
import rdkafka from "node-rdkafka";
import { kafkaVersion } from "../../test/support/kafka/kafka-server.ts";
import type { BenchResult } from "../report/figures.ts";

const run = promisify(execFile);
const project = new URL("../..", import.meta.url).pathname;

/** What is told of a machine, in the order of telling: a name and a text. */
export type MachineFacts = readonly (readonly [name: string, value: string])[];

/** This machine; servers as the results say. */
export async function describeMachine(results: readonly BenchResult[]): Promise<MachineFacts> {
	const [{ model = "unknown" } = {}] = cpus();
	const databases = [...new Set(results.flatMap(({ database }) => database ?? []))];
	const brokers = new Set(results.map(({ broker }) => broker));
	const facts: [string, string][] = [
		["CPU", model.trim()],
		["cores", String(cpus().length)],
		["memory", `${Math.round(totalmem() / 2 ** 30)} GiB`],
		["system", `${platform()} ${release()} (${version()})`],
		["Node", process.version],
		["librdkafka", rdkafka.librdkafkaVersion],
	];
	if (brokers.has("real Kafka")) facts.push(["Kafka", kafkaVersion]);
	if (brokers.has("mock cluster")) facts.push(["Kafka", "librdkafka's mock cluster"]);
	if (databases.length > 0) facts.push(["database", databases.join(", ")]);
	const commit = await run("git", ["-C", project, "rev-parse", "--short", "HEAD"]).then(
		({ stdout }) => stdout.trim(),
		() => null,
	);
	if (commit !== null) facts.push(["commit", commit]);
	facts.push(["measured", `${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`]);
	return facts;
}
