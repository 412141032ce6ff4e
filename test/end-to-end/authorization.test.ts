/** A broker with passwords and access lists: who may not join is told in the broker's words, and the daemon ends with exit code 5. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { ConsumerClient } from "../../src/kafka/consumer-client.ts";
import { pockaffe } from "../support/command-line.ts";
import { runDaemon } from "../support/daemon-process.ts";
import { type KafkaServer, startKafka } from "../support/kafka-server.ts";
import { describeOnKafka } from "../support/real-kafka.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { createTestDatabase } from "../support/test-database.ts";
import { waitFor } from "../support/wait-for.ts";
import { withAddon } from "../support/with-addon.ts";

const login = "org.apache.kafka.common.security.plain.PlainLoginModule required";

describeOnKafka("a broker with SASL and access lists", () => {
	let kafka: KafkaServer;

	beforeAll(async () => {
		// `admin` may do everything, `app` nothing; the broker itself is admin.
		const jaas = `${login} username="admin" password="admin-secret" user_admin="admin-secret" user_app="app-secret";`;
		kafka = await startKafka({
			"listener.security.protocol.map": "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
			"sasl.enabled.mechanisms": "PLAIN",
			"sasl.mechanism.controller.protocol": "PLAIN",
			"sasl.mechanism.inter.broker.protocol": "PLAIN",
			"listener.name.plaintext.plain.sasl.jaas.config": jaas,
			"listener.name.controller.plain.sasl.jaas.config": jaas,
			"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
			"super.users": "User:admin",
		});
	});

	afterAll(() => kafka?.stop());

	const kafkaAs = (username: string, password: string) => ({
		brokers: [kafka.brokers],
		group: "secret-group",
		topics: ["secret-topic"],
		sasl: { mechanism: "PLAIN", username, password },
	});

	it("lets in who may, and check says so", async () => {
		await using folder = await temporaryFolder();
		await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify({ kafka: kafkaAs("admin", "admin-secret") }));
		expect(await pockaffe(["topic", "create", "secret-topic", "-p", "1"], { cwd: folder.path })).toMatchObject({ code: 0 });
		const { stdout } = await pockaffe(["check", "--json"], { cwd: folder.path });
		expect(JSON.parse(stdout)).toEqual(expect.arrayContaining([{ item: "topic secret-topic", result: "ok", detail: "1 partitions" }]));
	});

	it("tells the id of a topic only to who may see it", withAddon, async () => {
		const clientAs = async (username: string, password: string) => {
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
		const [admin, app] = [await clientAs("admin", "admin-secret"), await clientAs("app", "app-secret")];
		expect([...(await admin.topicIds(["secret-topic", "nope"])).keys()]).toEqual(["secret-topic"]);
		await expect(app.topicIds(["secret-topic"])).rejects.toMatchObject({ kafkaCode: 29, message: expect.stringContaining("secret-topic") });
		expect(await Promise.all([admin.close(), app.close()])).toEqual([true, true]);
	});

	it("ends the daemon of who may not join, with the broker's words", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const config = {
			kafka: kafkaAs("app", "app-secret"),
			handler: { module: "pockaffe:json" },
			database: { url: db.url },
			tables: { events: { create: true } },
		};
		await using daemon = await runDaemon(folder.path, config);
		expect(await daemon.exited()).toBe(5);
		expect(daemon.output).toMatch(/[Gg]roup authorization failed/);
		expect(daemon.output).not.toContain("app-secret");
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
		expect(reason.message).toMatch(/no connection to .* \(sasl_plaintext\): .*kafka\.sasl/);
		expect(daemon.output).not.toContain("wrong-secret");
		expect(await daemon.stop()).toBe(0);
	});
});
