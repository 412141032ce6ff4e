/** A broker with passwords and access lists: who may not join is told in the broker's words, waits, and goes on once the right is given. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { ConsumerClient } from "../../../src/kafka/client/consumer-client.ts";
import { Producer } from "../../../src/kafka/producer.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { describeOnKafka } from "../../support/kafka/real-kafka.ts";
import { type SecuredKafka, startSecuredKafka } from "../../support/kafka/secured-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { withAddon } from "../../support/project/with-addon.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

describeOnKafka("a broker with SASL and access lists", () => {
	let kafka: SecuredKafka;

	beforeAll(async () => {
		kafka = await startSecuredKafka(["app"]);
	});

	afterAll(() => kafka?.[Symbol.asyncDispose]());

	const kafkaAs = (username: string, password?: string) => {
		const { brokers, sasl } = kafka.as(username);
		return { brokers, group: "secret-group", topics: ["secret-topic"], sasl: { ...sasl, ...(password ? { password } : {}) } };
	};

	it("lets in who may, and check says so", async () => {
		await using folder = await temporaryFolder();
		await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify({ kafka: kafkaAs("admin") }));
		expect(await pockaffe(["topic", "create", "secret-topic", "-p", "1"], { cwd: folder.path })).toMatchObject({ code: 0 });
		const { stdout } = await pockaffe(["check", "--json"], { cwd: folder.path });
		expect(JSON.parse(stdout)).toEqual(expect.arrayContaining([{ item: "topic secret-topic", result: "ok", detail: "1 partition" }]));
	});

	it("tells the id of a topic only to who may see it", withAddon, async () => {
		const clientAs = async (user: string) => {
			const { username, password } = kafka.as(user).sasl;
			const sasl = {
				"security.protocol": "sasl_plaintext",
				"sasl.mechanisms": "PLAIN",
				"sasl.username": username,
				"sasl.password": password,
			};
			const client = new ConsumerClient({ "bootstrap.servers": kafka.brokers, "group.id": "g", ...sasl }, {}, systemClock);
			await client.connect(10_000);
			return client;
		};
		const [admin, app] = [await clientAs("admin"), await clientAs("app")];
		expect([...(await admin.topicIds(["secret-topic", "nope"])).keys()]).toEqual(["secret-topic"]);
		await expect(app.topicIds(["secret-topic"])).rejects.toMatchObject({ kafkaCode: 29, message: expect.stringContaining("secret-topic") });
		expect(await Promise.all([admin.close(), app.close()])).toEqual([true, true]);
	});

	it("keeps who may not join waiting, with the broker's words and what to give, and lets it in once it is given", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		await using producer = await Producer.connect(kafka.admin);
		await producer.produce({ topic: "secret-topic", key: "a", value: '{"name":"x"}' });
		const config = {
			kafka: kafkaAs("app"),
			handler: { module: "pockaffe:json" },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true } },
		};
		await kafka.give("app", ["Describe", "topic", "secret-topic"]);
		await using daemon = await runDaemon(folder.path, config);
		const reason = await notReadyFor(daemon, "not_authorized", /Broker: Group authorization failed/);
		expect(reason.message).toContain(`--allow-principal User:app --operation Read --group secret-group`);
		await kafka.give("app", ["Read", "group", "secret-group"], ["Read", "topic", "secret-topic"]);
		await waitFor("the row", async () => (await db.database.query("select 1 from events")).length === 1);
		await daemon.ready();
		expect(daemon.output).not.toContain(kafka.as("app").sasl.password);
		expect(await daemon.stop()).toBe(0);
	});

	it("keeps trying with a wrong password, and says what to look at", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const config = {
			kafka: kafkaAs("app", "wrong-secret"),
			handler: { module: "pockaffe:json" },
			database: { url: db.url },
			tables: { events: { create: true } },
		};
		await using daemon = await runDaemon(folder.path, config);
		const reason = await waitFor("the reason", async () => (await daemon.notReady()).find(({ code }) => code === "not_in_group"));
		expect(reason.message).toMatch(/no connection to .*: the broker refuses the user app: Authentication failed: .*: look at kafka\.sasl/);
		expect(daemon.output).not.toContain("wrong-secret");
		expect(await daemon.stop()).toBe(0);
	});
});
