/**
 * The network between daemon and broker is wrong, slow or silent: an advertised address where nobody listens, latency, connections that
 * stay open and say nothing. The daemon says what to look at, goes on by itself, and the table equals the fold of the log.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { pockaffe } from "../../support/daemons/command-line.ts";
import type { DaemonProcess } from "../../support/daemons/daemon-process.ts";
import { DeliveryScene, endsWell, notReadyFor, SESSION_TIMEOUT_MS } from "../../support/daemons/delivery-scene.ts";
import { freePort } from "../../support/free-port.ts";
import { type ProxiedKafka, startProxiedKafka } from "../../support/kafka/proxied-kafka.ts";
import { describeOnKafka } from "../../support/kafka/real-kafka.ts";
import { slowness } from "../../support/slowness.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const PER_SECOND = 400;
const PARTITIONS = 4;

describeOnKafka("the network between daemon and broker", () => {
	let kafka: ProxiedKafka;
	let nowhere: string;

	beforeAll(async () => {
		nowhere = `127.0.0.1:${await freePort()}`;
		kafka = await startProxiedKafka();
	});

	afterEach(() => kafka.proxy.become({}));

	afterAll(async () => {
		await kafka?.[Symbol.asyncDispose]();
	});

	it("an advertised address where nobody listens is named by readiness and check; once it is right the daemon goes on", async () => {
		await kafka.advertise(nowhere);
		await using scene = await startScene();
		const load = await scene.load(PER_SECOND);
		const daemon = await scene.daemon(kafka.behind);
		const said = new RegExp(`${nowhere} can't be reached.* found at ${kafka.behind} .*look at their advertised\\.listeners`);
		await notReadyFor(daemon, "not_in_group", said);
		await daemon.record(
			"the failed connection",
			({ msg }) => msg.startsWith("Kafka: ") && msg.includes(`${nowhere} failed: Connection refused`),
		);
		expect(await brokerFinding()).toMatchObject({
			result: "failed",
			detail: expect.stringMatching(`${nowhere} of broker 1 can't be reached \\(ECONNREFUSED\\).*advertised\\.listeners`),
		});
		await kafka.advertise();
		await daemon.ready();
		await load.stop();
		await scene.converged();
		await endsWell(daemon);
	});

	it("slow in both directions: no rebalance, and a stop drains", async () => {
		await using scene = await startScene();
		const load = await scene.load(PER_SECOND);
		const daemon = await scene.daemon(kafka.proxied);
		await scene.committedPast(PER_SECOND);
		kafka.proxy.become({ latencyMs: 400, bytesPerSecond: 128 * 1024 });
		await scene.committedPast(load.delivered + 4 * PER_SECOND);
		await scene.nothingCommittedUnsettled();
		await daemon.ready();
		expect(await daemon.metric("pockaffe_rebalances_total")).toBe(1);
		await waitFor("its round trips to be told", async () => (await daemon.metric("pockaffe_kafka_broker_round_trip_p99_seconds")) > 0.4);
		await endsWell(daemon);
		const last = daemon.records.at(-1);
		expect(last?.msg).toBe("stopped");
		kafka.proxy.become({});
		const next = await scene.daemon(kafka.proxied);
		await load.stop();
		await scene.converged();
		await endsWell(next);
	});

	it("silent for longer than the session: another member takes over, and nothing of a lost partition is committed", async () => {
		await using scene = await startScene();
		const load = await scene.load(PER_SECOND);
		const daemon = await scene.daemon(kafka.proxied);
		await scene.committedPast(PER_SECOND);
		await daemon.ready();
		kafka.proxy.become({ silent: true });
		const other = await scene.daemon(kafka.direct);
		await notReadyFor(daemon, "not_in_group", new RegExp(`did not answer for a session \\(${SESSION_TIMEOUT_MS} ms\\)|is being joined`));
		await waitFor("all partitions at the other", async () => (await partitionsOf(other)) === PARTITIONS);
		const before = await scene.committed();
		await scene.committedPast(load.delivered + PER_SECOND);
		await daemon.record("its loss", ({ msg }) => msg.startsWith("partitions lost"));
		expect(await partitionsOf(daemon)).toBe(0);
		kafka.proxy.become({});
		await waitFor("a share for each", async () => (await partitionsOf(daemon)) === 2 && (await partitionsOf(other)) === 2);
		await daemon.ready();
		// What the first one had sent before is on its way no more: had it been taken, offsets would have gone back.
		for (const [partition, offset] of (await scene.committed()).entries()) expect(offset).toBeGreaterThan(before[partition] as number);
		await scene.nothingCommittedUnsettled();
		await load.stop();
		await scene.converged();
		expect(await daemon.metric("pockaffe_rebalances_total", 'kind="lost"')).toBe(1);
		expect(await daemon.metric("pockaffe_rebalances_total", 'kind="revoke"')).toBe(0);
		await Promise.all([endsWell(daemon), endsWell(other)]);
		await scene.converged();
	});

	it("silent at a stop: it ends by its deadline, says that something comes again, and it does", async () => {
		await using scene = await startScene();
		const load = await scene.load(PER_SECOND);
		const drain = { timeoutMs: 2_000 };
		// By itself it commits nothing: what is written has to be committed at the stop.
		const daemon = await scene.daemon(kafka.proxied, undefined, { drain, offsets: { commitIntervalMs: 600_000 } });
		await waitFor("rows", async () => (await scene.db.database.query("select 1 from events limit 1")).length > 0);
		kafka.proxy.become({ silent: true });
		const stoppedAt = performance.now();
		expect(await daemon.stop()).toBe(4);
		expect(performance.now() - stoppedAt).toBeLessThan((drain.timeoutMs + 2_000) * (await slowness()));
		expect(daemon.output).toContain("stopped before everything in hand was finished and committed");
		await scene.nothingCommittedUnsettled();
		const next = await scene.daemon(kafka.direct);
		await load.stop();
		await scene.converged();
		await endsWell(next);
	});

	it("a broker that comes back at another address is found there by a running member", async () => {
		// The old address is gone for good: the other tests need theirs.
		await using moving = await startProxiedKafka();
		await using scene = await startScene(moving);
		const load = await scene.load(PER_SECOND);
		const daemon = await scene.daemon(moving.behind);
		await scene.committedPast(PER_SECOND);
		await daemon.ready();
		await moving.proxy[Symbol.asyncDispose]();
		await moving.advertise(moving.behind);
		await scene.committedPast(load.delivered + PER_SECOND);
		await daemon.ready();
		await scene.nothingCommittedUnsettled();
		await load.stop();
		await scene.converged();
		await endsWell(daemon);
	});

	function startScene({ direct } = kafka): Promise<DeliveryScene> {
		return DeliveryScene.start({ name: "network", brokers: direct, partitions: PARTITIONS, replication: 1 });
	}

	/** What `check` says of the broker. */
	async function brokerFinding(): Promise<object | undefined> {
		await using folder = await temporaryFolder();
		await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify({ kafka: { brokers: [kafka.behind] } }));
		const { code, stdout } = await pockaffe(["check", "--json"], { cwd: folder.path });
		expect(code).toBe(1);
		return (JSON.parse(stdout) as { item: string }[]).find(({ item }) => item === "broker");
	}
});

async function partitionsOf(daemon: DaemonProcess): Promise<number> {
	return (await daemon.status()).partitions.length;
}
