/** A year of operations: each event under load, with everything arrived at the end. The short form; all of it with TEST_OPERATIONS=all. */
import { afterAll, beforeAll, it } from "vitest";
import { describeOnKafka } from "../support/kafka/real-kafka.ts";
import { brokerOperations } from "./broker-operations.ts";
import { dataOperations } from "./data-operations.ts";
import { databaseOperations } from "./database-operations.ts";
import { groupOperations } from "./group-operations.ts";
import { type Operation, play } from "./operation.ts";
import { outputOperations } from "./output-operations.ts";
import { processOperations } from "./process-operations.ts";
import { OwnServers } from "./servers.ts";
import { topicOperations } from "./topic-operations.ts";

const isWhole = process.env.TEST_OPERATIONS === "all";
const kinds: Readonly<Record<string, readonly Operation[]>> = {
	database: databaseOperations,
	data: dataOperations,
	broker: brokerOperations,
	topic: topicOperations,
	group: groupOperations,
	process: processOperations,
	output: outputOperations,
};

describeOnKafka("nothing is lost, and it goes on by itself", () => {
	let servers: OwnServers;

	beforeAll(async () => {
		servers = await OwnServers.start();
	});

	afterAll(async () => {
		await servers[Symbol.asyncDispose]();
	});

	for (const [kind, operations] of Object.entries(kinds)) {
		for (const operation of operations) {
			if (!isWhole && !operation.isShort) continue;
			it(`${kind}: ${operation.name}`, async () => {
				const said = await play(operation, servers);
				if (isWhole) console.info(`${kind}: ${operation.name}: ${said}`);
			});
		}
	}
});
