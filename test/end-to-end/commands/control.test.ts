/** A running daemon, steered by the commands: paused, resumed, restarted, drained. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { freePort } from "../../support/free-port.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

// A value `hang` hangs its handler the first time, as a file beside the module remembers.
const source = `
	import { existsSync, writeFileSync } from "node:fs";
	const hung = new URL("./hung", import.meta.url);
	export function handleMessage({ key, value }) {
		const name = value.toString();
		console.log("seen", name);
		if (name === "hang" && !existsSync(hung)) { writeFileSync(hung, ""); for (;;); }
		return { id: key.toString(), fields: { name } };
	}`;

describeOnKafka("control", () => {
	it("pauses, resumes and restarts one partition while the others go on, and drains", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, brokers] = [uniqueName("control"), inject("kafkaBrokers")];
		await loadTopic(brokers, { name: topic, partitions: 2 }, []);
		await using producer = await Producer.connect(kafkaAt(brokers));
		await writeFile(join(folder.path, "handler.mjs"), source);
		const port = await freePort();
		await using daemon = await runDaemon(folder.path, {
			kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
			handler: { module: "./handler.mjs" },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true } },
			http: { port, admin: true, token: "s3cret-token" },
		});
		await daemon.ready();
		const run = (...args: string[]) => pockaffe([...args, "-c", "pockaffe.yaml"], { cwd: folder.path });
		const row = async (id: string) => (await db.database.query(`select 1 from events where id = '${id}'`)).length === 1;
		const state = async (partition: number) => (await daemon.status()).partitions.find((each) => each.partition === partition);

		expect(await run("pause", topic, "0")).toEqual({ code: 0, stdout: `${topic}/0 paused.\n`, stderr: "" });
		await producer.produce({ topic, partition: 0, key: "zero", value: "held" });
		await producer.produce({ topic, partition: 1, key: "one", value: "free" });
		await waitFor("the other partition's row", () => row("one"));
		const printed = await daemon.record("what the handler printed", ({ source }) => source === "handler");
		expect(printed).toMatchObject({ topic, partition: 1, stream: "stdout", msg: "seen free" });
		expect([await row("zero"), await state(0)]).toMatchObject([false, { state: "paused", reason: "admin", committed: 0 }]);
		expect((await run("status")).stdout).toMatch(new RegExp(`${topic}\\s+0\\s+paused`));
		await run("resume", topic, "0");
		await waitFor("the held row", () => row("zero"));

		await producer.produce({ topic, partition: 0, key: "hung", value: "hang" });
		await waitFor("the hung call", async () => (await state(0))?.inFlight === 1);
		expect((await run("restart", topic, "0", "--json")).stdout).toBe(
			`${JSON.stringify({ topic, partition: "0", action: "restart" }).replace('"0"', "0")}\n`,
		);
		await waitFor("the row of the message that hung", () => row("hung"));
		expect([await state(0), await state(1)]).toMatchObject([{ restarts: 1, attempts: 0 }, { restarts: 0 }]);
		expect(await daemon.metric("pockaffe_worker_restarts_total", 'reason="admin"')).toBe(1);
		expect(await daemon.metric("pockaffe_admin_actions_total")).toBe(3);

		const refused = await pockaffe(["pause", topic, "0", "--url", await daemon.url()], { cwd: "/" });
		expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("http.token") });
		expect(await run("pause", topic, "7")).toMatchObject({
			code: 1,
			stderr: expect.stringContaining("is not assigned to this member: is the name right?"),
		});
		await fetch(`${await daemon.url()}/drain`, { method: "POST", headers: { authorization: "Bearer s3cret-token" } });
		expect(await daemon.exited()).toBe(0);
		expect(daemon.output).not.toContain("s3cret-token");
		expect(await run("status")).toMatchObject({
			code: 1,
			stderr: expect.stringContaining(`no daemon answers at http://127.0.0.1:${port}`),
		});
	});
});
