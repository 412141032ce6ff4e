/**
 * The daemon on a Kafka as production has it: SASL_SSL, certificates of clients, access lists, re-authentication. What is renewed on disk
 * is taken without a restart and without a message lost or handled twice; who is not let in is told why.
 */
import { readFileSync } from "node:fs";
import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { Producer } from "../../../src/kafka/producer.ts";
import { Authority, type Certificate, joined } from "../../support/certificates.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { type SecuredKafka, startSecuredKafka } from "../../support/kafka/secured-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { TlsPostgres } from "../../support/postgres/tls-postgres.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

/** kafkajs, which gives the rights, takes less than ten seconds for over. */
const REAUTHENTICATE_MS = 11_000;
/** A look each ten seconds, and a join. */
const TAKEN_WITHIN_MS = 45_000;

/** The first configuration of a page of the handbook. */
function shortestOf(page: string): unknown {
	const text = readFileSync(new URL(`../../../docs/${page}`, import.meta.url), "utf8");
	return parse(/^```yaml\n(.*?)^```/ms.exec(text)?.[1] ?? "");
}

describeOnKafka("a Kafka with TLS, certificates of clients and access lists", () => {
	let folder: Awaited<ReturnType<typeof temporaryFolder>>;
	let kafka: SecuredKafka;
	let ofServer: Authority;
	let ofFirst: Certificate;
	let ofSecond: Certificate;
	let ofThird: Certificate;
	let onlyFirst = "";

	beforeAll(async () => {
		folder = await temporaryFolder();
		ofServer = Authority.create(folder.path, "server");
		const first = Authority.create(folder.path, "first");
		const second = Authority.create(folder.path, "second");
		const third = Authority.create(folder.path, "third");
		ofFirst = first.sign("app-first", { name: "app" });
		ofSecond = second.sign("app-second", { name: "app" });
		ofThird = third.sign("app-third", { name: "app" });
		// The server has to take its own.
		const taking = (file: string, ...each: readonly Authority[]) =>
			joined(join(folder.path, file), ofServer.certificate.cert, ...each.map(({ certificate }) => certificate.cert));
		onlyFirst = taking("only-first.crt", first);
		const properties = { "connections.max.reauth.ms": String(REAUTHENTICATE_MS) };
		kafka = await startSecuredKafka(["pockaffe"], {
			authority: ofServer,
			folder: folder.path,
			clients: taking("all.crt", first, second, third),
			properties,
		});
	});

	afterAll(async () => {
		await kafka?.[Symbol.asyncDispose]();
		await folder?.[Symbol.asyncDispose]();
	});

	/** The shortest configuration of docs/kafka.md, with the names of here. */
	const handbook = ({ topic, group }: { topic: string; group: string }) => {
		const { kafka: shortest } = shortestOf("kafka.md") as { kafka: Record<string, unknown> };
		return { ...shortest, brokers: [kafka.brokers], topics: [topic], group };
	};
	const env = () => ({ KAFKA_PASSWORD: kafka.as("pockaffe").sasl.password ?? "" });

	it("takes a certificate that is renewed on disk, without a message lost or handled twice, and says why one is not taken", async () => {
		await using own = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("renewed"), uniqueName("g")];
		await kafka.createTopic(topic, 2);
		const letters = `${topic}-letters`;
		await kafka.createTopic(letters, 1);
		await kafka.give("pockaffe", ["Read", "topic", topic], ["Read", "group", group], ["Write", "topic", letters]);
		const put = async ({ cert, key }: Certificate) => {
			await copyFile(cert, join(own.path, "client.pem"));
			await copyFile(key, join(own.path, "client.key"));
		};
		await copyFile(ofServer.certificate.cert, join(own.path, "kafka-ca.pem"));
		await put(ofThird);
		await using daemon = await runDaemon(
			own.path,
			{
				kafka: { ...handbook({ topic, group }), properties: { "statistics.interval.ms": 500 } },
				handler: { module: "pockaffe:json" },
				database: { url: db.url },
				tables: { events: { columns: { name: "text" }, create: true } },
				deadLetters: { target: "topic", topic: letters },
			},
			env(),
		);
		await daemon.ready();

		let sent = 0;
		await using producer = await Producer.connect(kafka.admin);
		const record = () => ({ topic, partition: sent % 2, key: `key${sent++}`, value: '{"name":"x"}' });
		const load = async (until: () => boolean) => {
			while (!until()) await produceMany(producer, Array.from({ length: 25 }, record));
		};
		const rows = async () => Number((await db.database.query("select count(*) as count from events"))[0]?.count);
		const handled = () => daemon.metric("pockaffe_handler_outcomes_total");

		// Under load, from one authority's to the other's.
		const isTaken = () => daemon.records.some(({ msg }) => msg.startsWith("renewed files are used now"));
		const loading = load(isTaken);
		await put(ofSecond);
		await waitFor("the renewed certificate is taken", isTaken, TAKEN_WITHIN_MS);
		await loading;
		await waitFor("all rows", async () => (await rows()) === sent, TAKEN_WITHIN_MS);
		expect(await handled()).toBe(sent);
		expect(await daemon.metric("pockaffe_stale_rows_total")).toBe(0);
		expect(await daemon.metric("pockaffe_rebalances_total", 'kind="lost"')).toBe(0);

		// It is the new one that is shown: put out with it the daemon says why, and goes on with what is renewed.
		await kafka.present(ofServer.sign("kafka-again", { name: "kafka", names: ["IP:127.0.0.1"] }), onlyFirst);
		const told = await notReadyFor(daemon, "not_in_group", /the broker does not take the client certificate \(kafka\.tls\.cert\)/);
		expect(told.message).toContain(kafka.brokers);
		await put(ofFirst);
		await daemon.ready();
		const before = sent;
		await load(() => sent >= before + 50);
		await waitFor("all rows again", async () => (await rows()) === sent, TAKEN_WITHIN_MS);
		// The letters' client shows the renewed one too: the broker takes no other by now.
		await producer.produce({ topic, key: "bad", value: "no JSON" });
		await waitFor("the letter", async () => (await daemon.metric("pockaffe_dead_letters_total")) === 1, TAKEN_WITHIN_MS);
		expect(await daemon.stop()).toBe(0);
	});

	it("beside a Postgres with TLS and a least role: works with PEM in variables through re-authentications, and secrets are nowhere to be read", async () => {
		await using own = await temporaryFolder();
		await using postgres = await TlsPostgres.start(join(own.path, "postgres"));
		await postgres.present(ofServer.sign("postgres", { name: "localhost", names: ["DNS:localhost"] }));
		await postgres.query("create role writer login password 'database-secret'");
		await postgres.query(
			"create table events (id text primary key, name text, kafka_ts bigint not null, kafka_offset bigint not null, kafka_partition int4 not null, deleted boolean not null default false)",
		);
		await postgres.query("grant select, insert, update on events to writer");
		await postgres.admit("hostssl all writer all scram-sha-256", "host all writer all reject");
		const [topic, group] = [uniqueName("secret"), uniqueName("g")];
		await kafka.createTopic(topic, 2);
		await kafka.give("pockaffe", ["Read", "topic", topic], ["Read", "group", group]);
		const { database } = shortestOf("postgres.md") as { database: { url: string; passwordFile: string } };
		const [, query = ""] = database.url.split("?");
		const ca = ofServer.certificate.cert;
		await writeFile(join(own.path, "password"), "database-secret\n");
		const pem = { KAFKA_CA: ca, KAFKA_CERT: ofFirst.cert, KAFKA_KEY: ofFirst.key };
		const variables = Object.entries(pem).map(([name, file]) => [name, readFileSync(file, "utf8")]);
		await using daemon = await runDaemon(
			own.path,
			{
				kafka: { ...handbook({ topic, group }), tls: { ca: "${KAFKA_CA}", cert: "${KAFKA_CERT}", key: "${KAFKA_KEY}" } },
				handler: { module: "pockaffe:json" },
				database: { url: postgres.url("localhost", `?${query.replace("/etc/pockaffe/ca.pem", ca)}`, "writer"), passwordFile: "password" },
				tables: { events: { columns: { name: "text" } } },
				deadLetters: { target: "topic", topic: `${topic}-letters` },
				log: { level: "debug" },
			},
			{ ...env(), ...Object.fromEntries(variables) },
		);
		await using producer = await Producer.connect(kafka.admin);
		const rows = async () => Number((await postgres.query("select count(*) as count from events"))[0]?.count);
		const produce = (from: number) =>
			produceMany(
				producer,
				Array.from({ length: 10 }, (_, i) => ({ topic, partition: i % 2, key: `k${from + i}`, value: '{"name":"x"}' })),
			);
		await produce(0);
		await waitFor("ten rows", async () => (await rows()) === 10);
		// Two sessions' time: it had to show its password anew.
		const startedAt = Date.now();
		await waitFor("re-authentications", () => Date.now() - startedAt > 2 * REAUTHENTICATE_MS, 3 * REAUTHENTICATE_MS);
		await produce(10);
		await waitFor("twenty rows", async () => (await rows()) === 20);
		expect(await daemon.metric("pockaffe_rebalances_total")).toBe(1);
		expect(await daemon.metric("pockaffe_handler_outcomes_total")).toBe(20);

		const url = await daemon.url();
		const pages = await Promise.all(["metrics", "readyz", "healthz", "status"].map(async (page) => (await fetch(`${url}/${page}`)).text()));
		const commandLine = readFileSync(`/proc/${daemon.child.pid}/cmdline`, "utf8");
		const key = readFileSync(ofFirst.key, "utf8").split("\n")[1] as string;
		expect(await daemon.stop()).toBe(0);
		for (const text of [daemon.output, ...pages, commandLine]) {
			for (const secret of ["database-secret", env().KAFKA_PASSWORD, key]) expect(text).not.toContain(secret);
		}
	});
});
