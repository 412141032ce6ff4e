/**
 * Brokers of a cluster die under load, one or all of them: the daemon says so, goes on by itself, and the table equals the fold of the
 * log, with nothing committed that wasn't settled and no partition's messages out of order.
 */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { DeliveryScene, endsWell, notReadyFor, SESSION_TIMEOUT_MS } from "../../support/daemons/delivery-scene.ts";
import { type KafkaCluster, startCluster } from "../../support/kafka/kafka-cluster.ts";
import { describeOnKafka } from "../../support/kafka/real-kafka.ts";
import { waitFor } from "../../support/wait-for.ts";

const PER_SECOND = 400;
/** What `ConsumerClient` gives a commit; its queries have less. */
const COMMIT_TIMEOUT_MS = 30_000;
const IDS = [1, 2, 3];

describeOnKafka("brokers of a cluster of three die under load", () => {
	let cluster: KafkaCluster;

	beforeAll(async () => {
		cluster = await startCluster();
	});

	// Whatever a test left behind: two dead brokers would be another test's outage.
	afterEach(async () => {
		await cluster.mend();
	});

	afterAll(async () => {
		await cluster?.[Symbol.asyncDispose]();
	});

	it.each(["a leader of partitions", "the group's coordinator"])("%s: its work moves, and costs no rebalance", async (which) => {
		await using scene = await startScene();
		const daemon = await scene.daemon(cluster.brokers, {});
		const load = await scene.load(PER_SECOND);
		await scene.committedPast(PER_SECOND);
		await daemon.ready();
		const coordinator = await cluster.coordinator(scene.group);
		const victim = which === "the group's coordinator" ? coordinator : (IDS.find((id) => id !== coordinator) as number);
		const led = await partitionsLedBy(victim, scene.topic);
		expect(led).not.toEqual([]);
		// Watched from before: until another broker takes over is all the time there is.
		const isAway = new RegExp(`^the group's coordinator is away .*${cluster.broker(victim).brokers}.* can't be reached$`);
		const told = victim === coordinator ? notReadyFor(daemon, "not_in_group", isAway) : null;
		await Promise.all([cluster.broker(victim).kill(), told]);
		await waitFor("another coordinator", async () => (await cluster.coordinator(scene.group)) !== victim);
		const position = async () => (await scene.committed()).filter((_, partition) => led.includes(partition));
		const before = await position();
		await waitFor("the dead broker's partitions to go on", async () =>
			(await position()).every((offset, i) => offset > (before[i] as number)),
		);
		await daemon.ready();
		await scene.nothingCommittedUnsettled();
		await cluster.mend();
		await cluster.inSync(scene.topic);
		await load.stop();
		await scene.converged();
		await daemon.ready();
		expect(await daemon.metric("pockaffe_rebalances_total")).toBe(1);
		await endsWell(daemon);
	});

	it("all of them, for longer than the session and every time of the daemon's own: it says so and goes on", async () => {
		const awayMs = COMMIT_TIMEOUT_MS + 2_000;
		await using scene = await startScene();
		const daemon = await scene.daemon(cluster.brokers);
		const load = await scene.load(PER_SECOND);
		await scene.committedPast(PER_SECOND);
		await Promise.all(IDS.map((id) => cluster.broker(id).kill()));
		const { since } = await notReadyFor(daemon, "not_in_group", /coordinator is away.*can't be reached$/);
		expect(awayMs).toBeGreaterThan(SESSION_TIMEOUT_MS);
		await waitFor("the times to be over", () => Date.now() - Date.parse(since) > awayMs, awayMs + 20_000);
		expect(await daemon.notReady()).toMatchObject([{ code: "not_in_group", since }]);
		expect(daemon.child.exitCode).toBeNull();
		await cluster.mend();
		await daemon.ready();
		await scene.nothingCommittedUnsettled();
		await load.stop();
		await scene.converged();
		await endsWell(daemon);
	});

	function startScene(): Promise<DeliveryScene> {
		return DeliveryScene.start({ name: "cluster", brokers: cluster.brokers, partitions: 6, replication: 3 });
	}

	async function partitionsLedBy(broker: number, topic: string): Promise<number[]> {
		const leaders = await Promise.all([0, 1, 2, 3, 4, 5].map((partition) => cluster.leader(topic, partition)));
		return leaders.flatMap((leader, partition) => (leader === broker ? [partition] : []));
	}
});
