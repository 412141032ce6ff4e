/** Why a Postgres with TLS can't be reached, as a running daemon tells it, and that it goes on by itself once that is mended. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { Authority, type Certificate } from "../../support/certificates.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { TlsPostgres } from "../../support/postgres/tls-postgres.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NAMES = ["DNS:localhost"];
const TOLD_WITHIN_MS = 30_000;

describeOnKafka("a Postgres with TLS", () => {
	let folder: Awaited<ReturnType<typeof temporaryFolder>>;
	let postgres: TlsPostgres;
	let daemon: DaemonProcess;
	let producer: Producer;
	const topic = uniqueName("tls");
	let right: Certificate;
	const bad = {} as Record<"expired" | "of another CA" | "for another name", Certificate>;
	const passwordFile = () => join(folder.path, "password");

	beforeAll(async () => {
		folder = await temporaryFolder();
		const authority = Authority.create(folder.path, "authority");
		right = authority.sign("right", { name: "localhost", names: NAMES });
		Object.assign(bad, {
			expired: authority.sign("expired", { name: "localhost", names: NAMES, days: -1 }),
			"of another CA": Authority.create(join(folder.path, "others"), "others").sign("foreign", { name: "localhost", names: NAMES }),
			"for another name": authority.sign("elsewhere", { name: "elsewhere", names: ["DNS:elsewhere.example"] }),
		});
		postgres = await TlsPostgres.start(join(folder.path, "postgres"));
		await postgres.query("create role writer login password 'first-secret'");
		await postgres.query("grant create on schema public to writer");
		await postgres.admit("hostssl all writer all scram-sha-256", "host all writer all reject");
		await writeFile(passwordFile(), "first-secret\n");
		const group = uniqueName("g");
		producer = await Producer.connect(kafkaAt(inject("kafkaBrokers")));
		await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: 1 }, []);
		// It starts with a server that it can't trust.
		await postgres.present(bad.expired);
		daemon = await runDaemon(folder.path, {
			kafka: { brokers: [inject("kafkaBrokers")], topics: [topic], group },
			handler: { module: "pockaffe:json" },
			database: {
				url: postgres.url("localhost", `?sslmode=verify-full&sslrootcert=${authority.certificate.cert}`, "writer"),
				passwordFile: "password",
			},
			tables: { events: { columns: { name: "text" }, create: true } },
		});
	});

	afterAll(async () => {
		await daemon?.[Symbol.asyncDispose]();
		await producer?.[Symbol.asyncDispose]();
		await postgres?.[Symbol.asyncDispose]();
		await folder?.[Symbol.asyncDispose]();
	});

	const hangUp = () => postgres.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'writer'");
	/** Ends its connections, and has it write a row. */
	async function disconnect(): Promise<void> {
		await hangUp();
		await producer.produce({ topic, key: "a", value: '{"name":"x"}' });
	}

	it("whose certificate has expired at the start is told so, and waited for", async () => {
		await notReadyFor(daemon, "database", /the server's certificate has expired/, TOLD_WITHIN_MS);
		await postgres.present(right);
		await daemon.ready(TOLD_WITHIN_MS);
	});

	it("is missed by a daemon to which no message has come yet", async () => {
		await postgres.present(bad.expired);
		await hangUp();
		await notReadyFor(daemon, "database", /the database can't be asked: .*the server's certificate has expired/, TOLD_WITHIN_MS);
		await postgres.present(right);
		await daemon.ready(TOLD_WITHIN_MS);
	});

	it.each<[keyof typeof bad, RegExp]>([
		["expired", /the server's certificate has expired/],
		["of another CA", /of a CA that is not known here/],
		["for another name", /not for this name/],
	])("whose certificate is renewed with one that is %s is told so", async (kind, words) => {
		await postgres.present(bad[kind]);
		await disconnect();
		await notReadyFor(daemon, "database", words, TOLD_WITHIN_MS);
		await postgres.present(right);
		await daemon.ready(TOLD_WITHIN_MS);
	});

	it("that refuses the password is told so, and the new one is taken from its file", async () => {
		await postgres.query("alter role writer password 'second-secret'");
		await disconnect();
		await notReadyFor(daemon, "database", /28P01.*password authentication failed/, TOLD_WITHIN_MS);
		await writeFile(passwordFile(), "second-secret\n");
		await daemon.ready(TOLD_WITHIN_MS);
		expect(await daemon.stop()).toBe(0);
		expect(daemon.output).not.toMatch(/(first|second)-secret/);
	});
});
