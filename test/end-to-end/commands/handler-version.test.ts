/** Which handler runs: in the log, /status, metrics and letters; and what is told where partitions run different ones. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { handlerVersion } from "../../../src/worker/thread/handler-version.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const brokers = inject("kafkaBrokers");
const source = 'import { why } from "./why.mjs";\nexport const handleMessage = () => ({ reject: why });';

/** Two partitions whose messages are all rejected. */
async function scene(handler: object = {}) {
	const [folder, db, topic] = [await temporaryFolder(), await createTestDatabase(), uniqueName("version")];
	await loadTopic(brokers, { name: topic, partitions: 2 }, []);
	const write = (why: string) => writeFile(join(folder.path, "why.mjs"), `export const why = "${why}";`);
	await writeFile(join(folder.path, "handler.mjs"), source);
	await write("first");
	const daemon = await runDaemon(folder.path, {
		kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
		handler: { module: "./handler.mjs", ...handler },
		deadLetters: { breaker: { consecutive: 1_000 } },
		database: { url: db.url },
		tables: { events: { columns: { name: "text" }, create: true } },
		http: { port: 0, admin: true },
	});
	await daemon.ready();
	const letters = async () =>
		(await db.database.query("select error, handler_version from pockaffe_dead_letters order by last_at")).map(
			({ error, handler_version }) => `${error} ${handler_version}`,
		);
	return {
		daemon,
		write,
		letters,
		version: async () => String(await handlerVersion(join(folder.path, "handler.mjs"))),
		restart: async (partition: number) =>
			pockaffe(["restart", topic, String(partition), "--url", await daemon.url()], { cwd: folder.path }),
		async reject(partition: number) {
			const before = (await letters()).length;
			await using producer = await Producer.connect(kafkaAt(brokers));
			await producer.produce({ topic, partition, key: "k", value: "v" });
			await waitFor("the letter", async () => (await letters()).length === before + 1);
		},
		async [Symbol.asyncDispose]() {
			await daemon[Symbol.asyncDispose]();
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

describeOnKafka("the handler's version", () => {
	it("is shown wherever it is asked for; partitions that run different ones are told, until they don't", async () => {
		await using test = await scene();
		const { daemon } = test;
		const first = await test.version();
		await daemon.record("the first record", ({ handler }) => (handler as { version?: string } | undefined)?.version === first);
		for (const partition of [0, 1]) await test.reject(partition);
		expect(await daemon.status()).toMatchObject({
			handler: { version: first, mixed: false },
			partitions: [{ handlerVersion: first }, { handlerVersion: first }],
		});
		expect(await daemon.metric("pockaffe_handler_info", `version="${first}"`)).toBe(2);

		await test.write("second");
		await daemon.record("that a file changed", ({ msg, level }) => level === "info" && msg.startsWith("why.mjs changed"));
		const second = await test.version();
		expect(second).not.toBe(first);
		await test.restart(0);
		await test.reject(0);
		await daemon.record("the warning", ({ msg, level }) => level === "warn" && msg.includes("run different versions"));
		expect(await daemon.status()).toMatchObject({
			handler: { mixed: true },
			partitions: [{ handlerVersion: second }, { handlerVersion: first }],
		});
		expect(await daemon.metric("pockaffe_handler_info", `version="${first}"`)).toBe(1);
		await test.restart(1);
		await test.reject(1);
		await daemon.record("the end of it", ({ msg }) => msg.includes("all partitions run the same version"));
		expect((await daemon.status()).handler).toMatchObject({ version: second, mixed: false });
		expect(await test.letters()).toEqual([`first ${first}`, `first ${first}`, `second ${second}`, `second ${second}`]);
		expect(await daemon.stop()).toBe(0);
	});

	it("is what the configuration calls it", async () => {
		await using test = await scene({ version: "2026-11-3" });
		await test.reject(0);
		expect((await test.daemon.status()).handler.version).toBe("2026-11-3");
		expect(await test.letters()).toEqual(["first 2026-11-3"]);
		expect(await test.daemon.stop()).toBe(0);
	});
});
