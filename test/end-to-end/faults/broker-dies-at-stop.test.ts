/**
 * SIGTERM behind the death of the broker, as when a whole host goes down: the daemon can neither commit nor leave. It ends by its deadline
 * with the code that says what was left, and never by SIGKILL.
 */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { DeliveryScene, endsWell, notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { type KafkaServer, startKafka } from "../../support/kafka/kafka-server.ts";
import { describeOnKafka } from "../../support/kafka/real-kafka.ts";
import type { SteadyLoad } from "../../support/kafka/steady-load.ts";
import { slowness } from "../../support/slowness.ts";
import { waitFor } from "../../support/wait-for.ts";

const PER_SECOND = 1_000;
const DRAIN_MS = 8_000;
/** A container's ten seconds. */
const GRACE_MS = 2_000;

describeOnKafka("SIGTERM behind the death of the broker", () => {
	let kafka: KafkaServer;

	beforeAll(async () => {
		kafka = await startKafka();
	});

	beforeEach(async () => {
		if (!kafka.running) await kafka.restart();
	});

	afterAll(async () => {
		await kafka?.stop();
	});

	it.each([1, 2, 3])("under load (round %i): exit 4 by the deadline", async () => {
		await using scene = await startScene();
		await underLoad(scene);
	});

	it("under load: the next start has what was left", async () => {
		await using scene = await startScene();
		const load = await underLoad(scene);
		await kafka.restart();
		const next = await scene.daemon(kafka.brokers);
		await load.stop();
		await scene.converged();
		await endsWell(next);
	});

	it("with nothing left to commit: exit 0 by the deadline", async () => {
		await using scene = await startScene();
		const daemon = await scene.daemon(kafka.brokers, {}, { drain: { timeoutMs: DRAIN_MS } });
		const load = await scene.load(PER_SECOND);
		await scene.committedPast(PER_SECOND);
		await load.stop();
		await scene.converged();
		await waitFor("no lag", async () => (await daemon.metric("pockaffe_consumer_lag_messages")) === 0);
		const [code, tookMs] = await killAndStop(daemon);
		expect([code, daemon.child.signalCode]).toEqual([0, null]);
		expect(tookMs).toBeLessThan((DRAIN_MS + GRACE_MS) * (await slowness()));
	});

	async function underLoad(scene: DeliveryScene): Promise<SteadyLoad> {
		// By itself it commits nothing, so that something is left; librdkafka's own session: for as long a commit without a coordinator waits
		// inside the client.
		const never = { offsets: { commitIntervalMs: 600_000 } };
		const daemon = await scene.daemon(kafka.brokers, {}, { drain: { timeoutMs: DRAIN_MS }, ...never });
		const load = await scene.load(PER_SECOND);
		await waitFor("rows to be committed", async () => (await daemon.metric("pockaffe_cas_rows_total")) > 2 * PER_SECOND);
		const [code, tookMs] = await killAndStop(daemon);
		expect([code, daemon.child.signalCode]).toEqual([4, null]);
		expect(tookMs).toBeLessThan((DRAIN_MS + GRACE_MS) * (await slowness()));
		await daemon.record("why", ({ msg }) => msg.includes("the group's coordinator did not answer"));
		return load;
	}

	async function killAndStop(daemon: Awaited<ReturnType<DeliveryScene["daemon"]>>): Promise<[code: number, tookMs: number]> {
		await kafka.kill();
		await notReadyFor(daemon, "not_in_group", /coordinator is away/);
		const stoppedAt = performance.now();
		const code = await daemon.stop();
		return [code, performance.now() - stoppedAt];
	}

	function startScene(): Promise<DeliveryScene> {
		return DeliveryScene.start({ name: "stop", brokers: kafka.brokers, partitions: 4, replication: 1 });
	}
});
