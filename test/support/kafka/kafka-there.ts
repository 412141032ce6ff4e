/** Whether a real Kafka can be started here, for suites that start their own. */
import type { TestProject } from "vitest/node";
import { kafkaMissing } from "./kafka-server.ts";

export default async function setup(project: TestProject): Promise<void> {
	const missing = await kafkaMissing();
	if (missing !== null) console.warn(`\n  The operations are LEFT OUT: ${missing}.\n`);
	// An address that nobody has: each suite starts its own.
	project.provide("kafkaBrokers", missing === null ? "own" : "");
	project.provide("postgresUrl", "");
}
