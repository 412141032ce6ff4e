/**
 * Many partitions on few threads, as a user runs them: order and the fold hold, also where the handler ends a thread for all that share it.
 */
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { differences, eventLog, eventTable, foldEvents, readTable } from "../../support/daemons/event-log.ts";
import { untilCommitted } from "../../support/kafka/group-offsets.ts";
import { loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const PARTITIONS = 64;
const THREADS = 2;
const COUNT = 64_000;

/** Refuses what comes out of order for its state, and what another partition's state is handed; ends its thread once, at partition 7. */
const handler = `
	import { existsSync, writeFileSync } from "node:fs";
	const marker = new URL("./ended", import.meta.url);
	export const init = ({ partition }) => ({ partition, last: -1 });
	export function handleMessage({ partition, offset, key, value }, state) {
		if (state.partition !== partition) return { reject: "the state of " + state.partition };
		if (offset <= state.last) return { reject: "offset " + offset + " came behind " + state.last };
		state.last = offset;
		if (partition === 7 && offset === 500 && !existsSync(marker)) {
			writeFileSync(marker, "");
			process.exit(1);
		}
		const id = key.toString();
		if (value === null) return { id, delete: true };
		const { name, amount, note } = JSON.parse(value.toString());
		return { id, fields: { name, amount, note } };
	}`;

describeOnKafka("64 partitions on 2 threads", () => {
	it("bring every message in order into the table, also past the death of a thread", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("shared"), uniqueName("shared")];
		const log = { topic, count: COUNT, ids: 5_000, seed: 31, partitions: PARTITIONS, wander: true, deletes: 0.02 };
		expect(await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: PARTITIONS }, eventLog(log))).toBe(COUNT);
		await writeFile(join(folder.path, "handler.mjs"), handler);
		await using daemon = await runDaemon(folder.path, {
			kafka: { brokers: [inject("kafkaBrokers")], topics: [topic], group, properties: { "session.timeout.ms": 6000 } },
			handler: { module: "./handler.mjs" },
			workers: { maxThreads: THREADS },
			database: { url: db.url },
			tables: { events: eventTable },
		});
		await untilCommitted(inject("kafkaBrokers"), group, topic);
		expect(differences(await readTable(db.database, "events"), foldEvents(eventLog(log)))).toEqual([]);
		// Nothing was refused, so nothing came out of order.
		expect(await daemon.metric("pockaffe_dead_letters_total")).toBe(0);
		expect(existsSync(join(folder.path, "ended"))).toBe(true);
		expect(await daemon.metric("pockaffe_worker_restarts_total", 'reason="exit"')).toBe(1);
		const shared = await daemon.metric("pockaffe_worker_restarts_total", 'reason="shared"');
		expect(shared).toBeGreaterThan(0);
		expect(shared).toBeLessThan(PARTITIONS / THREADS);
		const ended = await daemon.record("whose thread ended", ({ msg }) => msg.startsWith("a shared thread ended at"));
		expect(ended).toMatchObject({ topic, partition: 7 });
		const threads = async () => {
			const { partitions } = await daemon.status();
			return partitions.map(({ thread }) => thread);
		};
		// A partition without messages left starts none by itself.
		const known = (await waitFor("the partitions' threads", threads)).filter((thread) => thread !== null);
		expect(new Set(known).size).toBe(THREADS);
		expect(await daemon.stop()).toBe(0);
	});
});
