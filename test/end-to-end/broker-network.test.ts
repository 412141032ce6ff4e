/**
 * The network between daemon and broker is wrong, slow or silent: an advertised address where nobody listens, latency, connections that
 * stay open and say nothing. The daemon says what to look at, and the table equals the fold of the log.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { pockaffe } from "../support/command-line.ts";
import type { DaemonProcess } from "../support/daemon-process.ts";
import { DeliveryScene, notReadyFor, SESSION_TIMEOUT_MS } from "../support/delivery-scene.ts";
import { freePort } from "../support/free-port.ts";
import { type ProxiedKafka, startProxiedKafka } from "../support/proxied-kafka.ts";
import { describeOnKafka } from "../support/real-kafka.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

const PER_SECOND = 400;
const PARTITIONS = 4;

const t0 = performance.now();
const say = (...words: unknown[]) => process.env.SAY && console.log(((performance.now() - t0) / 1000).toFixed(1), ...words);
function tell(daemon: DaemonProcess, name = "") {
	if (!process.env.SAY) return;
	let last = "";
	const timer = setInterval(async () => {
		if (daemon.child.exitCode !== null || daemon.child.signalCode !== null) return clearInterval(timer);
		const now = JSON.stringify((await daemon.notReady().catch(() => [])).map(({ code, partition, message }) => [code, partition, message]));
		if (now !== last) say(name, "READY", now);
		last = now;
	}, 100);
	daemon.child.on("exit", () =>
		say(
			name,
			daemon.output
				.split("\n")
				.filter((l) => !/timestamp is older|starts at offset/.test(l))
				.join("\n"),
		),
	);
}

describeOnKafka("the network between daemon and broker", () => {
	let kafka: ProxiedKafka;
	let nowhere: string;

	beforeAll(async () => {
		nowhere = `127.0.0.1:${await freePort()}`;
		kafka = await startProxiedKafka({ advertised: nowhere });
	});

	afterEach(() => kafka.proxy.become({}));

	afterAll(async () => {
		await kafka?.[Symbol.asyncDispose]();
	});

	it("an advertised address where nobody listens is named by readiness and check, and the daemon goes on once it is right", {
		timeout: 120_000,
	}, async () => {
		await using scene = await startScene();
		const load = await scene.load(PER_SECOND);
		const daemon = await scene.daemon(kafka.behind);
		tell(daemon);
		const said = new RegExp(
			`${nowhere} can't be reached.*tell clients to connect to: where those run, look at their advertised\\.listeners`,
		);
		await notReadyFor(daemon, "not_in_group", said);
		say("named");
		await daemon.record("the look that failed", ({ msg }) => /can't be looked at yet/.test(msg) && said.test(msg));
		say("logged");
		await using folder = await temporaryFolder();
		await writeFile(
			join(folder.path, "pockaffe.yaml"),
			JSON.stringify({ kafka: { brokers: [kafka.behind], topics: [scene.topic], group: scene.group } }),
		);
		const { stdout } = await pockaffe(["check", "--json"], { cwd: folder.path });
		say(stdout);
		const finding = (JSON.parse(stdout) as { item: string }[]).find(({ item }) => item === "broker");
		expect(finding).toMatchObject({
			result: "failed",
			detail: expect.stringMatching(new RegExp(`${nowhere} of broker 1 can't be reached \\(ECONNREFUSED\\).*advertised\\.listeners`)),
		});
		await kafka.advertise();
		say("mended");
		await daemon.ready(60_000);
		say("ready");
		await scene.converged(await load.stop());
		await endsWell(daemon);
	});

	it("slow", { timeout: 120_000 }, async () => {
		await using scene = await startScene();
		const load = await scene.load(PER_SECOND);
		const daemon = await scene.daemon(kafka.proxied);
		tell(daemon);
		await scene.committedPast(PER_SECOND);
		kafka.proxy.become({ latencyMs: 400, bytesPerSecond: 128 * 1024 });
		const before = load.delivered;
		say("slow");
		await scene.committedPast(before + 4 * PER_SECOND);
		say("on");
		await scene.nothingCommittedUnsettled(load.events);
		await daemon.ready();
		expect(await daemon.metric("pockaffe_rebalances_total")).toBe(1);
		say("stopping");
		await endsWell(daemon);
		say("stopped");
		await scene.nothingCommittedUnsettled(load.events);
		kafka.proxy.become({});
		const next = await scene.daemon(kafka.proxied);
		tell(next);
		await scene.converged(await load.stop());
		await endsWell(next);
	});

	it("black hole", { timeout: 120_000 }, async () => {
		await using scene = await startScene();
		const load = await scene.load(PER_SECOND);
		const daemon = await scene.daemon(kafka.proxied);
		tell(daemon, "first");
		await scene.committedPast(PER_SECOND);
		await daemon.ready();
		kafka.proxy.become({ silent: true });
		const silentAt = performance.now();
		const other = await scene.daemon(kafka.direct);
		tell(other, "other");
		say("silent");
		await other.record(
			"the partitions taken over",
			({ msg, partitions }) => msg === "partitions assigned" && (partitions as string[]).length === PARTITIONS,
		);
		say("taken over");
		const before = load.delivered;
		await scene.committedPast(before + PER_SECOND);
		say("on");
		await daemon.record("lost", ({ msg }) => msg.startsWith("partitions lost"));
		await waitFor("past session", () => performance.now() - silentAt > SESSION_TIMEOUT_MS);
		say("lost; reopening");
		kafka.proxy.become({});
		await waitFor("a share for each", async () =>
			(await Promise.all([daemon, other].map(async (each) => (await each.status()).partitions.length))).every((count) => count === 2),
		);
		say("shared");
		await daemon.ready();
		await scene.nothingCommittedUnsettled(load.events);
		await scene.converged(await load.stop());
		await endsWell(daemon);
		await endsWell(other);
		await scene.converged(load.events);
	});

	it("stop while silent", { timeout: 120_000 }, async () => {
		await using scene = await startScene();
		const load = await scene.load(PER_SECOND);
		const daemon = await scene.daemon(kafka.proxied, { "session.timeout.ms": 45_000 }, { drain: { timeoutMs: 2_000 } });
		tell(daemon);
		await scene.committedPast(PER_SECOND);
		kafka.proxy.become({ silent: true });
		say("silent");
		const at = performance.now();
		say("exit", await daemon.stop(), performance.now() - at);
		kafka.proxy.become({});
		await scene.nothingCommittedUnsettled(load.events);
		const next = await scene.daemon(kafka.direct);
		await scene.converged(await load.stop());
		await endsWell(next);
	});

	function startScene(): Promise<DeliveryScene> {
		return DeliveryScene.start({ name: "network", brokers: kafka.direct, partitions: PARTITIONS, replication: 1 });
	}
});

/** A message out of order would be a letter; a stop drains. */
async function endsWell(daemon: DaemonProcess): Promise<void> {
	say(
		"rebalances",
		await daemon.metric("pockaffe_rebalances_total"),
		"failed",
		await daemon.metric("pockaffe_offset_commits_total", "failed"),
	);
	expect(await daemon.metric("pockaffe_dead_letters_total")).toBe(0);
	expect(await daemon.stop()).toBe(0);
}
