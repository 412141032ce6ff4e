/**
 * Who is let in to a Kafka with TLS, and who is told why not: a certificate that is the login, brokers whose certificates are no good, a
 * password (SCRAM) that is changed under load with re-authentication.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { Authority, type Certificate } from "../../support/certificates.ts";
import { pockaffe, pockaffeInProcess } from "../../support/daemons/command-line.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { type SecuredKafka, startSecuredKafka } from "../../support/kafka/secured-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { withAddon } from "../../support/project/with-addon.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const LOCAL = ["IP:127.0.0.1"];
/** A look each ten seconds, and a join. */
const TAKEN_WITHIN_MS = 60_000;

describeOnKafka("logins to a Kafka with TLS", () => {
	let folder: Awaited<ReturnType<typeof temporaryFolder>>;
	let kafka: SecuredKafka;
	let authority: Authority;
	let client: Certificate;

	beforeAll(async () => {
		folder = await temporaryFolder();
		authority = Authority.create(folder.path, "authority");
		client = authority.sign("certified", { name: "certified" });
		kafka = await startSecuredKafka([], {
			authority,
			folder: folder.path,
			certificates: {
				CERTIFIED: authority.sign("right", { name: "kafka", names: LOCAL }),
				EXPIRED: authority.sign("expired", { name: "kafka", names: LOCAL, days: -1 }),
				ELSEWHERE: authority.sign("elsewhere", { name: "kafka", names: ["DNS:elsewhere.example"] }),
			},
		});
	});

	afterAll(async () => {
		await kafka?.[Symbol.asyncDispose]();
		await folder?.[Symbol.asyncDispose]();
	});

	const daemonOf = (kafkaPart: object, url: string) => ({
		kafka: { properties: { "statistics.interval.ms": 500 }, ...kafkaPart },
		handler: { module: "pockaffe:json" },
		database: { url },
		tables: { events: { columns: { name: "text" }, create: true } },
	});

	it("a certificate is the login: check --rights names its user, and what it prints is enough", withAddon, async () => {
		await using own = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("certified"), uniqueName("g")];
		await kafka.createTopic(topic, 1);
		const tls = { ca: authority.certificate.cert, ...client };
		const config = daemonOf({ brokers: [kafka.at("CERTIFIED")], topics: [topic], group, tls }, db.url);
		await writeFile(join(own.path, "pockaffe.yaml"), JSON.stringify(config));
		const { stdout } = await pockaffe(["check", "--rights"], { cwd: own.path });
		const give = (operation: string, resource: string) =>
			`kafka-acls.sh --bootstrap-server ${kafka.at("CERTIFIED")} --add --allow-principal 'User:CN=certified' --operation ${operation} --${resource}`;
		expect(stdout.trim().split("\n")).toEqual([`${give("Read", "topic")} ${topic}`, `${give("Read", "group")} ${group}`]);
		await kafka.give("CN=certified", ["Read", "topic", topic], ["Read", "group", group]);
		await using producer = await Producer.connect(kafka.admin);
		await producer.produce({ topic, key: "a", value: '{"name":"x"}' });
		await using daemon = await runDaemon(own.path, config);
		await waitFor("the row", async () => (await db.database.query("select 1 from events")).length === 1);
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
	});

	it.each([
		["has expired", "EXPIRED", () => authority, /the broker's certificate has expired \(\w/],
		["is of another CA", "CERTIFIED", () => Authority.create(join(folder.path, "others"), "others"), /is of a CA that is not known here/],
		["is for another name", "ELSEWHERE", () => authority, /the broker's certificate is not for this name/],
	])("a broker whose certificate %s is told so by a run and by check", async (_, listener, known, words) => {
		await using own = await temporaryFolder();
		await using db = await createTestDatabase();
		const tls = { ca: known().certificate.cert, ...client };
		const config = daemonOf({ brokers: [kafka.at(listener)], topics: ["any"], group: "any", tls }, db.url);
		await using daemon = await runDaemon(own.path, config);
		const { message } = await notReadyFor(daemon, "not_in_group", words);
		expect(message).toContain(kafka.at(listener));
		expect(await daemon.stop()).toBe(0);
		await writeFile(join(own.path, "pockaffe.yaml"), JSON.stringify({ ...config, handler: {} }));
		const { stdout } = await pockaffeInProcess(["check", "--json"], { cwd: own.path });
		const found = JSON.parse(stdout) as { item: string; detail: string }[];
		expect(found.find(({ item }) => item === "broker")?.detail).toMatch(words);
	});

	it("a SCRAM password that is changed under load keeps the daemon out with the reason, until its file is renewed: nothing is lost", {}, async () => {
		await using own = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("scram"), uniqueName("g")];
		await kafka.createTopic(topic, 2);
		await kafka.give("scrammed", ["Read", "topic", topic], ["Read", "group", group]);
		const file = join(own.path, "password");
		await kafka.setPassword("scrammed", "first-secret");
		await writeFile(file, "first-secret\n");
		const sasl = { mechanism: "SCRAM-SHA-256", username: "scrammed", passwordFile: "password" };
		const tls = { ca: authority.certificate.cert, ...client };
		await using daemon = await runDaemon(own.path, daemonOf({ brokers: [kafka.brokers], topics: [topic], group, tls, sasl }, db.url));
		await daemon.ready();
		let sent = 0;
		await using producer = await Producer.connect(kafka.admin);
		const record = () => ({ topic, partition: sent % 2, key: `key${sent++}`, value: '{"name":"x"}' });
		const load = async (until: () => boolean) => {
			while (!until()) await produceMany(producer, Array.from({ length: 25 }, record));
		};
		let isOut = false;
		const loading = load(() => isOut);
		await kafka.setPassword("scrammed", "second-secret");
		const { message } = await notReadyFor(daemon, "not_in_group", /the broker refuses the user scrammed: /, TAKEN_WITHIN_MS);
		isOut = true;
		await loading;
		expect(message).toContain("look at kafka.sasl");
		await writeFile(file, "second-secret\n");
		await daemon.ready(TAKEN_WITHIN_MS);
		const before = sent;
		await load(() => sent >= before + 50);
		await waitFor("all rows", async () => (await db.database.query("select 1 from events")).length === sent, TAKEN_WITHIN_MS);
		expect(await daemon.stop()).toBe(0);
		expect(daemon.output).not.toMatch(/(first|second)-secret/);
	});
});
