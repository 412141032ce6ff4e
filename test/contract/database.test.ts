/** The database's contract, held by the simulated server in virtual time. */
import type { Database } from "../../src/sink/database/database.ts";
import { BAD, type SimRow, SimServer } from "../simulation/database.ts";
import { SimProcess, World } from "../simulation/world.ts";
import { databaseContract } from "./database.contract.ts";

const LATENCY_MS = 20;

databaseContract("simulated", async (layout) => {
	if (BAD !== "bad") throw new Error("the contract breaks another rule than the simulated one");
	const world = new World(1);
	const faults = { latencyMs: LATENCY_MS, stalls: 0, fails: 0, answerLost: 0, codes: [], denied: [] };
	const server = new SimServer(world, [layout], faults, { changed: () => {}, restored: () => {}, answered: () => {} });
	const database = server.connect(new SimProcess(world, "writer"));
	const settled = <T>(promise: Promise<T>) => world.settled(promise, 60_000);
	const overtaken = async <T, U>(first: (on: Database) => Promise<T>, second: (on: Database) => Promise<U>): Promise<[T, U]> => {
		faults.latencyMs = 0;
		const late = first(database);
		faults.latencyMs = 100_000;
		// It has read now, and will write a good while later.
		await world.until(() => false, 0);
		faults.latencyMs = 0;
		const overtaker = await settled(second(database));
		const result = await settled(late);
		faults.latencyMs = LATENCY_MS;
		return [result, overtaker];
	};
	return {
		database,
		rows: async () => new Map([...server.rows(layout.name)].map(([id, row]) => [id, shown(row as SimRow)])),
		async putBack({ topic, partition }, offset) {
			const where = `where topic = '${topic}' and partition = ${partition}`;
			await settled(
				database.query(
					offset === null ? `delete from pockaffe_offsets ${where}` : `update pockaffe_offsets set next_offset = ${offset} ${where}`,
				),
			);
		},
		settled,
		overtaken,
		async [Symbol.asyncDispose]() {},
	};
});

function shown({ n, kafka_offset, deleted }: SimRow): { n: string | null; offset: number; deleted: boolean } {
	return { n: n as string | null, offset: kafka_offset, deleted };
}
