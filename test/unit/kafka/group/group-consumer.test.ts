/** A member of the group on clients that the test plays: what it tells of its way into the group, and what it does to its client. */
import { describe, expect, it } from "vitest";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { GroupConsumer } from "../../../../src/kafka/group/group-consumer.ts";
import { type ConsumerScene, consumerScenes, ofOrders } from "../../../support/fakes/consumer-scene.ts";
import { settle } from "../../../support/fakes/manual-clock.ts";

const open = consumerScenes((parts) => new GroupConsumer(parts));

describe("a member on its way into the group", () => {
	it("looks, tells that it asks to be let in, and subscribes; nothing is amiss", async () => {
		const { consumer, begin, said, events } = open();
		expect([consumer.connected, consumer.client, consumer.memberState]).toEqual([false, null, "connecting"]);
		const { started } = await begin();
		await started;
		expect(said).toEqual(["1 connects", "1 subscribes to orders"]);
		expect(events).toEqual([["group:joining", undefined]]);
		expect([consumer.connected, consumer.memberState, consumer.assigned, consumer.hangs]).toEqual([true, "joining", [], false]);
		expect(consumer.fetched).toEqual([]);
	});

	it("connects for ever, and tells each failure with the time until the next attempt", async () => {
		const { clock, cluster, begin, said, factsOf, consumer } = open();
		cluster.refusals.push(new Error("no broker"), new Error("still none"));
		await begin();
		expect(factsOf("connect:failed")).toEqual([{ message: "no broker", failures: 1, retryInMs: 200 }]);
		await clock.advance(200);
		expect(factsOf("connect:failed").at(-1)).toEqual({ message: "still none", failures: 2, retryInMs: 400 });
		expect(consumer.connected).toBe(false);
		await clock.advance(400);
		expect(said.filter((each) => each.includes("subscribes"))).toEqual(["3 subscribes to orders"]);
	});

	it("is refused while it connects: the reason is a problem until it is let in", async () => {
		const { clock, cluster, begin, consumer, client } = open();
		expect(client).toBeUndefined();
		cluster.refusals.push(new KafkaError("Broker: Group authorization failed", kafkaErrors.groupAuthorizationFailed));
		cluster.refusals.push(new KafkaError("Local: Timed out", kafkaErrors.timedOut));
		await begin();
		await clock.advance(1_000);
		expect(consumer.problems).toMatchObject([{ code: "not_authorized" }]);
		const other = open();
		other.cluster.refusals.push(new KafkaError("Local: Timed out", kafkaErrors.timedOut));
		await other.begin();
		expect(other.consumer.problems).toEqual([]);
	});

	it("joins without topics that are missing or may not be seen, and tells which", async () => {
		const { cluster, begin, said, factsOf } = open({ topics: ["orders", "absent", "secret", "^later.*"] });
		cluster.topics.set("secret", 1);
		cluster.hidden.add("secret");
		await begin();
		expect(factsOf("topics:missing")).toEqual([{ topics: ["absent"] }]);
		expect(factsOf("topic:refused")).toEqual([{ topic: "secret", message: "no right to see it" }]);
		expect(said.at(-1)).toBe("1 subscribes to orders absent secret ^later.*");
	});

	it("waits until topics and offsets can be read, and tells whether it is the database that gives no answer", async () => {
		const { clock, cluster, begin, said, factsOf } = open();
		cluster.metadataError = new KafkaError("Local: Timed out", kafkaErrors.timedOut);
		await begin();
		cluster.metadataError = null;
		cluster.notesError = new Error("no table");
		await clock.advance(200);
		cluster.notesError = null;
		cluster.storedError = new KafkaError("Broker: Not coordinator", kafkaErrors.notCoordinator);
		await clock.advance(400);
		expect(factsOf("look:failed")).toEqual([
			{ message: "Local: Timed out", failures: 1, retryInMs: 200, isOfDatabase: false },
			{ message: "no table", failures: 2, retryInMs: 400, isOfDatabase: true },
			{ message: "Broker: Not coordinator", failures: 3, retryInMs: 800, isOfDatabase: false },
		]);
		cluster.storedError = null;
		await clock.advance(800);
		expect(said).toEqual(["1 connects", "1 subscribes to orders"]);
	});

	it("says where the coordinator is away too, but not where only the database is", async () => {
		const scene = open();
		const { clock, cluster, begin, factsOf, consumer } = scene;
		cluster.metadataError = new KafkaError("Local: Timed out", kafkaErrors.timedOut);
		await begin();
		scene.client.statistics("wait-broker-transport", "init", "k1:9092");
		expect(consumer.away).toBe("the group's coordinator is away (wait-broker-transport/init): k1:9092 can't be reached");
		await clock.advance(200);
		cluster.metadataError = null;
		cluster.notesError = new Error("no table");
		await clock.advance(400);
		expect(factsOf("look:failed").slice(1)).toMatchObject([{ message: `Local: Timed out; ${consumer.away}` }, { message: "no table" }]);
	});

	it("looks with another client where the coordinator has left the address that the first one waits at", async () => {
		const scene = open();
		const { clock, cluster, begin, said } = scene;
		cluster.metadataError = new KafkaError("Local: Timed out", kafkaErrors.timedOut);
		await begin();
		scene.client.statistics("wait-broker-transport", "init", "gone:9092");
		cluster.metadataError = null;
		await clock.advance(200);
		await clock.advance(100);
		expect(said).toEqual(["1 connects", "1 closes", "2 connects", "2 subscribes to orders"]);
	});

	it.each([
		["consumer", "5000", [{ intervalMs: 5_000 }]],
		["consumer", "500", []],
		["classic", "5000", []],
	] as const)("by protocol %s, with a broker's heartbeats every %s ms: rare ones are told", async (protocol, setting, told) => {
		const { cluster, begin, factsOf } = open({ protocol });
		cluster.brokerSetting = setting;
		await begin();
		expect(factsOf("heartbeats:rare")).toEqual(told);
	});

	it("that is closed while it connects never subscribes", async () => {
		const { clock, cluster, begin, consumer, said, events } = open();
		cluster.refusals.push(new Error("no broker"));
		const { started } = await begin();
		expect(await consumer.close({ withinMs: 1_000 })).toBe(true);
		await clock.advance(60_000);
		await started;
		expect(said).toEqual(["1 connects", "1 closes"]);
		expect(events.map(([kind]) => kind)).toEqual(["connect:failed"]);
	});
});

describe("a member of the group", () => {
	it("begins what it is given, tells how much that is, and gives it away when it is drained", async () => {
		const scene = open();
		const { begin, consumer, factsOf, told, said } = scene;
		await begin();
		await scene.client.given(0, 1);
		expect([consumer.assigned, consumer.fetched]).toEqual([ofOrders([0, 1]), ofOrders([0, 1])]);
		expect([told, said.at(-1)]).toEqual([["received orders/0 orders/1"], "1 fetches orders/0 from 3 orders/1 from 3"]);
		expect([consumer.memberState, consumer.rebalances, factsOf("group:joined")]).toEqual(["up/steady", 1, [{ partitions: 2 }]]);
		expect(factsOf("start:resolved")).toMatchObject(ofOrders([0, 1]));
		await scene.client.taken(1);
		expect([told.at(-1), consumer.rebalances, consumer.memberState]).toEqual(["revoked orders/1", 2, "up/rebalancing"]);
		expect(factsOf("unassigned")).toEqual([{ partitions: ofOrders([1]) }]);
		expect(factsOf("rebalanced")).toEqual([
			{ kind: "assign", partitions: ofOrders([0, 1]) },
			{ kind: "revoke", partitions: ofOrders([1]) },
		]);
	});

	it("is not in a rebalance after a revocation by KIP-848: no assignment has to follow", async () => {
		const scene = open({ protocol: "consumer" });
		await scene.joinWith(0, 1);
		await scene.client.taken(1);
		expect(scene.consumer.memberState).toBe("up/steady");
	});

	it("takes what startFrom is for from its configured start, and from their beginning partitions that appear after two sessions", async () => {
		const scene = open({ startFrom: "latest", properties: { "session.timeout.ms": "7000" } });
		scene.cluster.topics.set("orders", 3);
		await scene.begin();
		await scene.client.given(0);
		await scene.clock.advance(13_800);
		await scene.client.given(1);
		await scene.clock.advance(200);
		await scene.client.given(2);
		expect(scene.said.filter((each) => each.includes("fetches"))).toEqual([
			"1 fetches orders/0 from 9",
			"1 fetches orders/1 from 9",
			"1 fetches orders/2 from 3",
		]);
	});

	it("has no more sessions of librdkafka's default than it says: 45 s", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.client.emit("session:lost", { message: "" });
		expect(scene.factsOf("membership")).toEqual([
			{ member: false, message: "the group's coordinator did not answer for a session (45000 ms)" },
		]);
		expect(scene.consumer.memberState).toBe("lost");
	});

	it.each([
		["its coordinator did not answer for a session", (scene: ConsumerScene) => scene.client.emit("session:lost", { message: "" })],
		["it polled too late, by its log", (scene: ConsumerScene) => scene.client.emit("poll:late")],
		["it polled too late, by its poll", (scene: ConsumerScene) => scene.client.pollFails("too late", kafkaErrors.maxPollExceeded)],
	])("loses at once what is revoked after %s, until it is given partitions anew", async (_, lose) => {
		const scene = open();
		await scene.joinWith(0, 1);
		await lose(scene);
		// An assignment of before, on top of what it still has, does not make it a member again.
		await scene.client.given();
		await scene.client.taken(0, 1);
		expect(scene.told).toEqual(["lost orders/0 orders/1"]);
		await scene.client.given(1);
		await scene.client.taken(1);
		expect(scene.told.slice(1)).toEqual(["received orders/1", "revoked orders/1"]);
	});

	it("tells what its broker says, and of a topic that is not known so that somebody looks", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.client.emit("broker:error", { message: "down", code: kafkaErrors.transport });
		expect(scene.events).toEqual([["broker:error", { message: "down", code: kafkaErrors.transport }]]);
		for (const code of [kafkaErrors.unknownTopicOrPartition, kafkaErrors.unknownTopic, kafkaErrors.unknownPartition])
			scene.client.emit("broker:error", { message: "unknown", code });
		expect(scene.factsOf("topic:unknown")).toHaveLength(3);
	});

	it.each([
		["a topic that is not known", kafkaErrors.unknownTopicOrPartition, ["topic:unknown"]],
		["a position behind its log", kafkaErrors.autoOffsetReset, ["position:out_of_range"]],
		["an offset out of range", kafkaErrors.offsetOutOfRange, ["position:out_of_range"]],
		["anything else", kafkaErrors.transport, []],
	])("tells of a poll that fails for %s", async (_, code, kinds) => {
		const scene = open();
		await scene.joinWith(0);
		await scene.client.pollFails("no", code);
		expect(scene.events.map(([kind]) => kind)).toEqual([...kinds, "consume:failed"]);
		expect(scene.factsOf("consume:failed")).toEqual([{ message: "no", code }]);
		expect(scene.consumer.problems).toEqual([]);
	});

	it("is refused by a poll: that is a problem until its statistics say that it is a member", async () => {
		const scene = open();
		await scene.begin();
		await scene.client.pollFails("Broker: Invalid session timeout", kafkaErrors.invalidSessionTimeout);
		scene.client.statistics("up", "steady");
		// A client that was never given anything is steady too, before it joins.
		expect(scene.consumer.problems).toMatchObject([{ code: "cannot_join" }]);
		await scene.client.given(0);
		expect(scene.consumer.problems).toEqual([]);
		await scene.client.pollFails("Broker: Invalid session timeout", kafkaErrors.invalidSessionTimeout);
		scene.client.statistics("up", "wait-join");
		expect(scene.consumer.problems).toHaveLength(1);
		scene.client.statistics("up", "steady");
		expect(scene.consumer.problems).toEqual([]);
	});

	it("tells by its statistics whether it is in touch with its coordinator, with what is to correct", async () => {
		const scene = open();
		await scene.joinWith(0);
		scene.client.emit("broker:error", { message: "refused", code: -195, cause: "give it the right password" });
		scene.client.statistics("wait-broker-transport", "init", "k1:9092");
		const away = "the group's coordinator is away (wait-broker-transport/init): k1:9092 can't be reached";
		expect(scene.factsOf("membership")).toEqual([{ member: false, message: `${away}; give it the right password` }]);
		scene.client.emit("broker:error", { message: "down", code: -195 });
		scene.client.statistics("wait-broker-transport", "init", "k1:9092");
		expect(scene.factsOf("membership").at(-1)).toEqual({ member: false, message: away });
		scene.client.statistics("up", "steady");
		expect(scene.factsOf("membership").at(-1)).toEqual({ member: true, message: "" });
		expect(scene.consumer.away).toBe(null);
	});

	it("whose coordinator was away is a member again once it is given partitions", async () => {
		const scene = open();
		await scene.begin();
		scene.client.statistics("wait-broker-transport", "init", "k1:9092");
		await scene.client.given(0);
		scene.events.length = 0;
		scene.client.statistics("up", "wait-join");
		expect(scene.factsOf("membership")).toEqual([]);
	});

	it("tells of each poll, also of one that brought nothing", async () => {
		const scene = open();
		const polled: unknown[] = [];
		scene.consumer.on("polled", (fact) => polled.push(fact));
		await scene.joinWith(0);
		await scene.clock.advance(100);
		expect(polled.at(-1)).toEqual({ messages: 0, busyMs: 0 });
	});

	it("that closes stores a start that it still looks up as configured, however long that takes", async () => {
		const scene = open({ startFrom: "latest", properties: { "session.timeout.ms": "7000" } });
		await scene.begin();
		await scene.client.given(0);
		let claim: () => void = () => {};
		scene.state.claimed = new Promise((resolve) => (claim = resolve));
		await scene.client.given(1);
		void scene.consumer.close({ withinMs: 60_000 });
		await scene.clock.advance(20_000);
		claim();
		await scene.clock.advance(1_000);
		expect(scene.cluster.stored.get("orders/1")).toBe(9);
	});

	it("passes on what is asked of its client", async () => {
		const scene = open();
		scene.consumer.pause(ofOrders([0]));
		expect([await scene.consumer.move([]), await scene.consumer.refetch({ topic: "orders", partition: 1 }, () => 5)]).toEqual([
			null,
			undefined,
		]);
		await scene.joinWith(0, 1);
		scene.consumer.pause(ofOrders([0]));
		scene.consumer.resume(ofOrders([1]));
		scene.consumer.stopsBy(1_234);
		const moved = scene.consumer.refetch({ topic: "orders", partition: 1 }, () => 5);
		await scene.clock.advance(100);
		await moved;
		expect(scene.said).toEqual(["1 pauses orders/0", "1 resumes orders/1", "1 ends queries by 1234", "1 seeks orders/1 5"]);
		expect(scene.told).toEqual(["refetched orders/1"]);
		expect(await scene.consumer.move([{ topic: "orders", partition: 7, to: 5 }])).toBe(null);
	});

	it("moves a partition to the offset that a person wants, and tells it", async () => {
		const scene = open();
		await scene.joinWith(0, 1);
		const moving = scene.consumer.move([{ topic: "orders", partition: 1, to: 7 }]);
		await scene.clock.advance(200);
		const set = { topic: "orders", partition: 1, to: 7, committed: 3 };
		expect(await moving).toMatchObject([set]);
		expect(scene.factsOf("offset:set")).toMatchObject([set]);
		expect(scene.said).toEqual(["1 pauses orders/1", "1 seeks orders/1 7"]);
	});

	it("tells of a start that can't be had yet", async () => {
		const scene = open();
		await scene.begin();
		scene.cluster.notesError = new Error("no table");
		await scene.client.given(1);
		expect([scene.consumer.assigned, scene.consumer.fetched]).toEqual([ofOrders([1]), []]);
		expect(scene.factsOf("start:failed")).toMatchObject([{ topic: "orders", partition: 1, message: "no table", failures: 1 }]);
	});

	it("joins anew, and says why, where its client takes no answer to an assignment", async () => {
		const scene = open();
		await scene.begin();
		scene.said.length = scene.events.length = 0;
		scene.client.assignError = new KafkaError("Local: Erroneous state", kafkaErrors.state);
		await scene.client.given(0);
		expect(scene.factsOf("consume:failed")).toEqual([
			{ message: "the assignment could not be answered, joining anew: Local: Erroneous state", code: -1 },
		]);
		scene.client.assignError = null;
		await scene.client.taken(0);
		expect(scene.said).toEqual(["1 unsubscribes", "1 subscribes to orders"]);
		expect([scene.factsOf("rejoining").length, scene.consumer.memberState]).toEqual([1, "joining"]);
	});

	it("of an eager group joins anew for a partition whose start came too late for its assignment", async () => {
		const scene = open({}, { incremental: false });
		await scene.begin();
		scene.cluster.notesError = new Error("no table");
		scene.said.length = 0;
		await scene.client.given(0);
		scene.cluster.notesError = null;
		expect(scene.said).toEqual([]);
		await scene.clock.advance(1_000);
		await scene.client.taken(0);
		expect(scene.said).toEqual(["1 unsubscribes", "1 subscribes to orders"]);
	});

	it("that is static and comes back to an assignment that is out of date joins anew, and tells what differs", async () => {
		const scene = open({ instanceId: "one" });
		scene.cluster.stored.set("orders/1", 5);
		await scene.begin();
		scene.cluster.topics.set("orders", 3);
		await scene.client.given(0);
		scene.said.length = 0;
		await scene.clock.advance(10_000);
		expect(scene.factsOf("assignment:outdated")).toEqual([{ gone: [], unread: ofOrders([2]) }]);
		await scene.client.taken(0);
		expect(scene.said).toEqual(["1 unsubscribes", "1 subscribes to orders"]);
	});

	it("that is dynamic looks for no such difference", async () => {
		const scene = open();
		await scene.begin();
		await scene.client.given(0);
		await scene.clock.advance(60_000);
		await settle();
		expect(scene.factsOf("assignment:outdated")).toEqual([]);
	});
});
