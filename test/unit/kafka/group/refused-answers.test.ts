/** What becomes of a member whose client does not take what it is told of the assignment: it says why, and joins anew. */
import { describe, expect, it } from "vitest";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { GroupConsumer } from "../../../../src/kafka/group/group-consumer.ts";
import { type ConsumerScene, consumerScenes, ofOrders } from "../../../support/fakes/consumer-scene.ts";
import { settle } from "../../../support/fakes/manual-clock.ts";

const open = consumerScenes((parts) => new GroupConsumer(parts));
const erroneous = new KafkaError("Local: Erroneous state", kafkaErrors.state);
const refused = { message: "the assignment could not be answered, joining anew: Local: Erroneous state", code: -1 };
const [first] = ofOrders([0]) as [{ topic: string; partition: number }];

/** It told why, and has left to join again. */
function expectRejoin(scene: ConsumerScene): void {
	expect(scene.factsOf("consume:failed")).toEqual([refused]);
	expect(scene.said.filter((each) => each.endsWith("unsubscribes"))).toHaveLength(1);
}

describe("a member whose client refuses", () => {
	it("the start of a partition", async () => {
		const scene = open();
		await scene.begin();
		let claim: () => void = () => {};
		scene.state.claimed = new Promise((resolve) => (claim = resolve));
		await scene.client.given(0);
		scene.client.assignError = erroneous;
		claim();
		await scene.clock.advance(200);
		expectRejoin(scene);
		expect(scene.told).toEqual([]);
	});

	it("to fetch a partition from elsewhere", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.client.seekError = erroneous;
		const moved = scene.consumer.refetch(first, () => 5);
		await scene.clock.advance(200);
		await moved;
		expectRejoin(scene);
	});

	it("to begin where a person wants it", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.client.seekError = erroneous;
		const moved = scene.consumer.move([{ ...first, to: 7 }]);
		await scene.clock.advance(200);
		// It is stored: there it begins when it is given back.
		expect(await moved).toMatchObject([{ ...first, to: 7 }]);
		expectRejoin(scene);
	});

	it("nothing of this is joined anew for while it closes: a closing client takes the answer to a revocation alone", async () => {
		const scene = open();
		await scene.joinWith();
		void scene.consumer.close({ withinMs: 1_000 });
		scene.client.assignError = erroneous;
		await scene.client.given(0);
		expect([scene.client.givenUp, scene.said.filter((each) => !each.includes("closes"))]).toEqual([[""], []]);
		expect(scene.factsOf("consume:failed")).toEqual([]);
	});
});

describe("an assignment", () => {
	it("is answered at once as a difference, with nothing; its partitions follow when their starts are stored", async () => {
		const scene = open();
		await scene.begin();
		let claim: () => void = () => {};
		scene.state.claimed = new Promise((resolve) => (claim = resolve));
		await scene.client.given(0, 1);
		expect([scene.client.takenUp, scene.factsOf("group:joined")]).toEqual([[""], [{ partitions: 2 }]]);
		claim();
		await scene.clock.advance(200);
		expect(scene.client.takenUp).toEqual(["", "orders/0 orders/1"]);
	});

	it("of an eager group is answered as a whole", async () => {
		const scene = open({}, { incremental: false });
		await scene.begin();
		await scene.client.given(0, 1);
		expect([scene.client.takenUp, scene.told]).toEqual([["orders/0 orders/1 and no more"], ["received orders/0 orders/1"]]);
	});

	it("begins nothing that would have begun behind the poll under way when the member closes", async () => {
		const scene = open();
		await scene.joinWith();
		scene.client.wake = () => {};
		scene.client.emit("rebalance", { code: kafkaErrors.assignPartitions, partitions: ofOrders([0]) });
		await settle();
		void scene.consumer.close({ withinMs: 1_000 });
		await scene.clock.advance(200);
		expect([scene.client.takenUp.filter(Boolean), scene.told]).toEqual([[], []]);
	});
});

describe("a partition that is to be fetched from elsewhere", () => {
	it("is left where it is if nobody wants that any more, or if it is not fetched", async () => {
		const scene = open();
		await scene.joinWith(0);
		const moved = [scene.consumer.refetch(first, () => null), scene.consumer.refetch({ ...first, partition: 1 }, () => 5)];
		await scene.clock.advance(200);
		await Promise.all(moved);
		expect([scene.said, scene.told]).toEqual([[], []]);
	});

	it("of an eager group comes with another assignment", async () => {
		const scene = open({}, { incremental: false });
		await scene.joinWith(0);
		const moved = scene.consumer.refetch(first, () => 5);
		await scene.clock.advance(200);
		await moved;
		expect(scene.said).toEqual(["1 unsubscribes"]);
		await scene.client.taken(0);
		expect(scene.said).toEqual(["1 unsubscribes", "1 subscribes to orders"]);
		expect(scene.client.givenUp).toEqual(["orders/0 and all"]);
	});
});

describe("partitions that a person moves", () => {
	it("are drained before, and are none where one of them is not fetched", async () => {
		const scene = open();
		await scene.joinWith(0);
		let drain: () => void = () => {};
		scene.state.drained = new Promise((resolve) => (drain = resolve));
		const moving = scene.consumer.move([{ ...first, to: 7 }]);
		await settle();
		expect([scene.said, scene.told]).toEqual([["1 pauses orders/0"], ["revoked orders/0"]]);
		const other = scene.consumer.move([
			{ ...first, to: 8 },
			{ ...first, partition: 1, to: 9 },
		]);
		drain();
		await scene.clock.advance(200);
		expect(await moving).toMatchObject([{ ...first, to: 7 }]);
		expect(await other).toBe(null);
		expect([scene.said.at(-1), scene.told]).toEqual([
			"1 seeks orders/0 7",
			["revoked orders/0", "received orders/0", "refetched orders/0"],
		]);
	});

	it("are none where they are lost while they are drained", async () => {
		const scene = open();
		await scene.joinWith(0);
		let drain: () => void = () => {};
		scene.state.drained = new Promise((resolve) => (drain = resolve));
		const moving = scene.consumer.move([{ ...first, to: 7 }]);
		await settle();
		scene.client.emit("fatal", { message: "fenced", code: kafkaErrors.fencedInstanceId });
		drain();
		await scene.clock.advance(200);
		expect([await moving, scene.factsOf("offset:set")]).toEqual([null, []]);
	});

	it("join anew where their drain breaks, and the person is told", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.state.drained = Promise.reject(erroneous);
		scene.state.drained.catch(() => {});
		await expect(scene.consumer.move([{ ...first, to: 7 }])).rejects.toBe(erroneous);
		expectRejoin(scene);
	});

	it("of an eager group begin with another assignment", async () => {
		const scene = open({}, { incremental: false });
		await scene.joinWith(0);
		const moving = scene.consumer.move([{ ...first, to: 7 }]);
		await scene.clock.advance(200);
		expect(await moving).toMatchObject([{ ...first, to: 7, committed: 3 }]);
		expect(scene.cluster.stored.get("orders/0")).toBe(7);
		expect(scene.said).toEqual(["1 pauses orders/0", "1 unsubscribes"]);
	});
});
