/** The group client's contract, held by the simulated client in virtual time. */
import { SimClient } from "../simulation/client.ts";
import { SimKafka, TOPIC } from "../simulation/kafka.ts";
import { SimProcess, World } from "../simulation/world.ts";
import { expulsionContract } from "./expulsion.contract.ts";
import { groupClientContract } from "./group-client.contract.ts";
import type { GroupScene } from "./group-scene.ts";

const FIRST_TIMESTAMP = 1_700_000_000_000;
const DEADLINE_MS = 120_000;

async function open(partitions: number): Promise<GroupScene> {
	const world = new World(1);
	const observer = { committed: () => {}, assigned: () => {}, sought: () => {}, released: () => {} };
	const kafka = new SimKafka(world, partitions, { latencyMs: 20, fails: 0, answerLost: 0, repeats: 0 }, observer, {
		forgives: false,
		hasIds: true,
		isEager: false,
	});
	const next = Array.from({ length: partitions }, () => 0);
	let processes = 0;
	const until = async (what: string, holds: () => boolean) => {
		if (!(await world.until(holds, DEADLINE_MS))) throw new Error(`${what} did not come within ${DEADLINE_MS} ms; ${kafka.describe()}`);
	};
	const settled = <T>(promise: Promise<T>) => world.settled(promise, DEADLINE_MS);
	return {
		topic: TOPIC,
		partitions,
		async connect() {
			const client = new SimClient(kafka, new SimProcess(world, `member-${++processes}`));
			await settled(client.connect());
			return client;
		},
		async produce(partition, keys) {
			for (const key of keys) {
				kafka.produce(partition, { key, value: `value of ${key}`, timestamp: FIRST_TIMESTAMP + (next[partition] as number)++ });
			}
		},
		async produceAt(partition, timestamps) {
			for (const timestamp of timestamps) kafka.produce(partition, { key: "k", value: "v", timestamp });
		},
		leaveGap: async (partition) => kafka.leaveGap(partition, 2),
		until,
		settled,
		recreate: async () => kafka.recreate(),
		async exceedMaxPoll(client) {
			(client as SimClient).exceedMaxPoll();
		},
		async [Symbol.asyncDispose]() {},
	};
}

groupClientContract("simulated", open);
expulsionContract("simulated", open);
