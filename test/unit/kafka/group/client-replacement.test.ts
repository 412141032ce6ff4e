/** When a member of the group takes another client, what becomes of the old one, and how a member leaves. */
import { describe, expect, it } from "vitest";
import { kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { GroupConsumer } from "../../../../src/kafka/group/group-consumer.ts";
import { consumerScenes, ofOrders } from "../../../support/fakes/consumer-scene.ts";
import { settle } from "../../../support/fakes/manual-clock.ts";

const open = consumerScenes((parts) => new GroupConsumer(parts));

const fullGroup = { message: "Broker: Consumer group has reached maximum size", code: kafkaErrors.groupMaxSizeReached };

describe("a client that is stuck", () => {
	it("is replaced by one that joins again; its partitions belong to others", async () => {
		const scene = open();
		await scene.joinWith(0, 1);
		scene.consumer.replaceClient();
		await scene.clock.advance(100);
		expect(scene.said).toEqual(["1 closes", "2 connects", "2 subscribes to orders"]);
		expect([scene.told, scene.consumer.assigned]).toEqual([["lost orders/0 orders/1"], []]);
		expect(scene.factsOf("rejoining")).toHaveLength(1);
		expect(scene.consumer.memberState).toBe("joining");
	});

	it("is replaced while nobody can connect: the member is connecting, and tells each failure", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.cluster.refusals.push(new Error("no broker"));
		scene.consumer.replaceClient();
		await scene.clock.advance(100);
		expect([scene.consumer.memberState, scene.consumer.connected]).toEqual(["connecting", false]);
		expect(scene.factsOf("connect:failed")).toEqual([{ message: "no broker", failures: 1, retryInMs: 200 }]);
		await scene.clock.advance(200);
		expect([scene.consumer.memberState, scene.said.at(-1)]).toEqual(["joining", "3 subscribes to orders"]);
	});

	it("is none before the member has joined, or while there is no client", async () => {
		const scene = open();
		scene.cluster.metadataError = new Error("not now");
		await scene.begin();
		scene.consumer.replaceClient();
		expect(scene.factsOf("rejoining")).toEqual([]);
		scene.cluster.metadataError = null;
		await scene.clock.advance(200);
		scene.consumer.replaceClient();
		await settle();
		scene.consumer.replaceClient();
		expect(scene.factsOf("rejoining")).toHaveLength(1);
	});

	it("is one that waits for its coordinator at an address that the cluster has left", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.client.statistics("wait-broker-transport", "init", "k1:9092");
		expect(scene.factsOf("rejoining")).toEqual([]);
		scene.client.statistics("wait-broker-transport", "init", "gone:9092");
		await scene.clock.advance(100);
		expect(scene.said).toEqual(["1 closes", "2 connects", "2 subscribes to orders"]);
	});

	it("has no more say once another one has its place: neither its rebalances, nor its statistics, nor its end", async () => {
		const scene = open();
		await scene.joinWith(0);
		const former = scene.client;
		const stats: unknown[] = [];
		scene.consumer.on("stats", (fact) => stats.push(fact));
		scene.consumer.replaceClient();
		await scene.clock.advance(100);
		const before = scene.consumer.rebalances;
		scene.events.length = 0;
		await former.taken(0);
		former.emit("fatal", { message: "fenced", code: kafkaErrors.fencedInstanceId });
		former.statistics("up", "steady");
		expect([scene.consumer.rebalances - before, scene.events, scene.consumer.memberState]).toEqual([0, [], "joining"]);
		// Its figures still count.
		expect(stats).toHaveLength(1);
		scene.client.statistics("up", "wait-join");
		expect(scene.consumer.memberState).toBe("up/wait-join");
	});
});

describe("a client that gave up for good", () => {
	it("because the group refused it is replaced later each time, until one is let in", async () => {
		const scene = open({ protocol: "consumer" });
		await scene.joinWith(0);
		const waits: number[] = [];
		const refuse = async () => {
			const { client, clock } = scene;
			client.emit("fatal", fullGroup);
			const from = clock.monotonic();
			while (scene.client === client) await clock.advance(1_000);
			waits.push(clock.monotonic() - from);
			await clock.advance(100);
		};
		for (let times = 0; times < 6; times++) await refuse();
		expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
		expect(scene.told).toEqual(["lost orders/0"]);
		expect(scene.factsOf("consume:failed")[0]).toEqual(fullGroup);
		expect([scene.factsOf("fatal"), scene.consumer.problems.length]).toEqual([[], 1]);
		await scene.client.given(0);
		expect(scene.consumer.problems).toEqual([]);
		await refuse();
		expect(waits.at(-1)).toBe(2_000);
	});

	it("before it was ever let in is replaced after two seconds", async () => {
		const scene = open({ protocol: "consumer" });
		await scene.begin();
		scene.client.emit("fatal", fullGroup);
		await scene.clock.advance(1_999);
		expect(scene.clients).toHaveLength(1);
		await scene.clock.advance(101);
		expect(scene.clients).toHaveLength(2);
	});

	it("for a reason that nobody can correct ends the member: that is told once, and no other client tries", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.client.emit("fatal", { message: "fenced", code: kafkaErrors.fencedInstanceId });
		await scene.clock.advance(60_000);
		expect(scene.factsOf("fatal")).toEqual([{ message: "fenced", code: kafkaErrors.fencedInstanceId }]);
		expect([scene.told, scene.said, scene.factsOf("consume:failed")]).toEqual([["lost orders/0"], [], []]);
	});
});

describe("a member that joins anew", () => {
	it("gives up all it has before it subscribes again, once however often it has to", async () => {
		const scene = open();
		await scene.joinWith(0, 1);
		scene.consumer.rejoin();
		scene.consumer.rejoin();
		await scene.client.taken(1);
		expect([scene.said, scene.factsOf("rejoining").length]).toEqual([["1 unsubscribes"], 1]);
		await scene.client.taken(0);
		expect(scene.said).toEqual(["1 unsubscribes", "1 subscribes to orders"]);
		scene.consumer.rejoin();
		expect(scene.said.slice(2)).toEqual(["1 unsubscribes", "1 subscribes to orders"]);
	});

	it("and gets another client meanwhile joins by that alone", async () => {
		const scene = open();
		await scene.joinWith(0);
		const former = scene.client;
		scene.consumer.rejoin();
		scene.consumer.replaceClient();
		await scene.clock.advance(100);
		await former.taken(0);
		expect(scene.said).toEqual(["1 unsubscribes", "1 closes", "2 connects", "2 subscribes to orders"]);
		await scene.client.given(1);
		await scene.client.taken(1);
		expect(scene.said.filter((each) => each.includes("subscribes to"))).toHaveLength(1);
	});

	it("and closes meanwhile does not subscribe again", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.consumer.rejoin();
		void scene.consumer.close({ withinMs: 1_000 });
		await scene.client.taken(0);
		expect(scene.said.filter((each) => each.includes("subscribes to"))).toEqual([]);
	});

	it("and leaves meanwhile does not subscribe again", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.consumer.rejoin();
		const closing = scene.consumer.close({ withinMs: 1_000, leave: true });
		await scene.client.taken(0);
		await closing;
		expect(scene.said).toEqual(["1 unsubscribes", "1 unsubscribes", "1 closes within 1000 if answered"]);
	});

	it("has to have a client", async () => {
		const scene = open();
		scene.cluster.refusals.push(new Error("no broker"));
		await scene.begin();
		scene.consumer.rejoin();
		expect(scene.factsOf("rejoining")).toEqual([]);
	});
});

describe("renewing the client", () => {
	it("finishes what is in hand first; then another one joins", async () => {
		const scene = open();
		await scene.joinWith(0);
		const renewing = scene.consumer.renewClient();
		await scene.clock.advance(59_000);
		// The drain takes its time.
		expect(scene.said).toEqual(["2 connects", "2 closes", "1 unsubscribes"]);
		expect(scene.factsOf("rejoining")).toHaveLength(1);
		await (scene.clients[0] as typeof scene.client).taken(0);
		expect(await renewing).toBe(true);
		await scene.clock.advance(100);
		expect(scene.said.slice(3)).toEqual(["1 closes", "3 connects", "3 subscribes to orders"]);
		expect(scene.told).toEqual(["revoked orders/0"]);
	});

	it("waits a minute for a client that reports no revocation, and half a second where there is nothing to give away", async () => {
		for (const [partitions, waitsMs] of [
			[[0], 60_000],
			[[], 500],
		] as const) {
			const scene = open();
			await scene.joinWith(...partitions);
			let isRenewed = false;
			void scene.consumer.renewClient().then((is) => {
				isRenewed = is;
			});
			await scene.clock.advance(waitsMs - 1);
			expect(isRenewed).toBe(false);
			await scene.clock.advance(1);
			expect(isRenewed).toBe(true);
		}
	});

	it("waits for nothing while the coordinator is away", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.client.emit("session:lost", { message: "" });
		expect(await scene.consumer.renewClient()).toBe(true);
		await scene.clock.advance(100);
		expect(scene.said).toEqual(["2 connects", "2 closes", "1 closes", "3 connects", "3 subscribes to orders"]);
	});

	it("is nothing before it has joined, while it begins anew, or when it is closed meanwhile", async () => {
		const scene = open();
		scene.cluster.metadataError = new Error("not now");
		await scene.begin();
		expect(await scene.consumer.renewClient()).toBe(false);
		const other = open();
		await other.joinWith(0);
		other.client.emit("fatal", fullGroup);
		expect([await other.consumer.renewClient(), other.said]).toEqual([false, []]);
		const closed = open();
		await closed.joinWith(0);
		const renewing = closed.consumer.renewClient();
		void closed.consumer.close({ withinMs: 1_000 });
		expect([await renewing, closed.factsOf("rejoining")]).toEqual([false, []]);
		// Another one has begun to take its place while the new settings were tried.
		const late = open();
		await late.joinWith(0);
		const renewed = late.consumer.renewClient();
		late.consumer.replaceClient();
		expect([await renewed, late.factsOf("rejoining").length]).toEqual([false, 1]);
	});

	it("keeps the client where a new one is not let in", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.cluster.refusals.push(new Error("expired"));
		await expect(scene.consumer.renewClient()).rejects.toThrow("expired");
		expect([scene.said, scene.consumer.assigned]).toEqual([["2 connects", "2 closes"], ofOrders([0])]);
	});
});

describe("a member that closes", () => {
	it("stays in its group, as a static member has to: its client closes if the coordinator answers", async () => {
		const scene = open();
		await scene.joinWith(0);
		expect(await scene.consumer.close({ withinMs: 1_500 })).toBe(true);
		expect(scene.said).toEqual(["1 closes within 1500 if answered"]);
		// A second time there is nothing to do.
		expect([await scene.consumer.close({ withinMs: 9, leave: true }), scene.said.length]).toEqual([true, 1]);
		scene.consumer.rejoin();
		expect([scene.said.length, scene.factsOf("rejoining")]).toEqual([1, []]);
	});

	it("says so where its client did not close in time", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.cluster.isHanging = true;
		expect(await scene.consumer.close({ withinMs: 1_500 })).toBe(false);
	});

	it("leaves when it is asked to: it closes as soon as its partitions are given away, or after five seconds", async () => {
		const scene = open();
		await scene.joinWith(0, 1);
		const closing = scene.consumer.close({ withinMs: 1_500, leave: true });
		await scene.clock.advance(1_000);
		// A rebalance that is under way may take some of them before.
		await scene.client.taken(1);
		expect(scene.said).toEqual(["1 unsubscribes"]);
		await scene.client.taken(0);
		expect([await closing, scene.said]).toEqual([true, ["1 unsubscribes", "1 closes within 1500 if answered"]]);
		// Nothing of the five seconds holds the process any longer.
		expect(scene.clock.pending).not.toContain(4_000);
		const silent = open();
		await silent.joinWith(0);
		const left = silent.consumer.close({ withinMs: 1_500, leave: true });
		await silent.clock.advance(4_999);
		expect(silent.said).toEqual(["1 unsubscribes"]);
		await silent.clock.advance(1);
		expect([await left, silent.said.length]).toEqual([true, 2]);
	});

	it("has nothing to leave where it never connected", async () => {
		const scene = open();
		scene.cluster.refusals.push(...Array.from({ length: 9 }, () => new Error("no broker")));
		await scene.begin();
		expect(await scene.consumer.close({ withinMs: 1_500, leave: true })).toBe(true);
		expect(scene.said).toEqual(["1 connects", "1 closes"]);
	});

	it("hangs as long as one of its clients does", async () => {
		const scene = open();
		await scene.joinWith(0);
		expect(scene.consumer.hangs).toBe(false);
		scene.client.hangs = true;
		expect(scene.consumer.hangs).toBe(true);
	});
});
