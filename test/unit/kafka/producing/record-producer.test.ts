/** Records between handlers and broker: order, what fails and what becomes of it, room. */
import { describe, expect, it } from "vitest";
import { PocKaffeError } from "../../../../src/core/errors.ts";
import { KafkaError } from "../../../../src/kafka/client/kafka-error.ts";
import { RecordScene } from "../../../support/fakes/record-scene.ts";

const purged = new KafkaError("purged", -152);
const fatal = new KafkaError("fatal", -150);
const tooLarge = new KafkaError("too large", 10);
const unknownTopic = new KafkaError("unknown topic", 3);

describe("records on their way", () => {
	it("settle their messages when the broker has them, and not before", async () => {
		const scene = new RecordScene();
		await scene.produce("out", "a", "b");
		await scene.pass();
		expect(scene.client.taken).toEqual(["a", "b"]);
		expect(scene.fates).toEqual([]);
		scene.client.report(null, ["b"]);
		await scene.pass();
		expect(scene.fates).toEqual(["1"]);
		scene.client.report();
		await scene.pass();
		expect(scene.fates).toEqual(["1", "0"]);
		expect(scene.producer.bytes).toBe(0);
		expect(scene.facts).toMatchObject([
			{ topic: "out", result: "acknowledged", records: 1, bytes: 2 },
			{ topic: "out", result: "acknowledged", records: 1, bytes: 2 },
		]);
	});

	it("move until their messages are settled: a drain between the broker's word and that waits", async () => {
		const scene = new RecordScene();
		const partition = { topic: "orders", partition: 2 };
		await scene.produce("out", "a");
		scene.client.report();
		expect([scene.fates, scene.producer.isMoving(partition)]).toEqual([[], true]);
		expect(scene.producer.isMoving({ ...partition, partition: 3 })).toBe(false);
		await scene.pass();
		expect([scene.fates, scene.producer.isMoving(partition)]).toEqual([["0"], false]);
	});

	it("make one client for all topics, with the first record", async () => {
		const scene = new RecordScene();
		expect(scene.clients).toHaveLength(0);
		await scene.produce("out", "a");
		await scene.produce("other", "b");
		expect(scene.clients).toHaveLength(1);
		expect(scene.client.taken).toEqual(["a", "b"]);
	});

	it("wait where the client's queue is full, and go on with its reports in order", async () => {
		const scene = new RecordScene();
		await scene.produce("out", "a");
		scene.client.room = 2;
		await scene.produce("out", "b", "c", "d");
		expect(scene.client.taken).toEqual(["a", "b"]);
		scene.client.report();
		expect(scene.client.taken).toEqual(["a", "b", "c", "d"]);
	});

	it("are sent again in order by another client, where one gives itself up: what it reported is not", async () => {
		const scene = new RecordScene();
		await scene.produce("out", "a", "b", "c");
		await scene.produce("out", "d");
		const [first] = scene.clients;
		first?.report(null, ["b"]);
		first?.report(purged, ["c"]);
		await scene.pass();
		// Its last reports are waited for.
		expect(first?.isClosed).toBe(false);
		first?.report(null, ["a"]);
		await scene.produce("out", "e");
		await scene.pass(1_100);
		expect(first?.isClosed).toBe(true);
		expect(scene.clients).toHaveLength(2);
		expect(scene.client.taken).toEqual(["c", "d", "e"]);
		scene.client.report();
		await scene.pass();
		expect(scene.fates).toEqual(["1", "0", "2", "3", "4"]);
		expect(scene.facts.filter(({ result }) => result === "resent")).toMatchObject([{ records: 1 }]);
	});

	it("are told as sent again by the topics that have some, and a client is made again only for records", async () => {
		const scene = new RecordScene();
		await scene.produce("out", "a", "b", "c");
		await scene.produce("other", "d");
		scene.client.report(null, ["d"]);
		void scene.producer.renew();
		await scene.pass(1_100);
		expect(scene.facts.filter(({ result }) => result === "resent")).toEqual([
			{ topic: "out", result: "resent", records: 3, bytes: 0, agesMs: [] },
		]);
		scene.client.report();
		await scene.pass();
		expect(scene.clients).toHaveLength(2);
		await scene.producer.renew();
		await scene.pass(20_000);
		expect([scene.clients.length, scene.client.isClosed]).toEqual([2, true]);
		await scene.produce("out", "e");
		expect([scene.clients.length, scene.client.taken]).toEqual([3, ["e"]]);
	});

	it("leave room up to the limit: with as many bytes it is full", async () => {
		const measured = new RecordScene();
		await measured.produce("out", "a");
		const { bytes } = measured.producer;
		const isFull = async (mostBytes: number) => {
			const scene = new RecordScene(mostBytes);
			await scene.produce("out", "a");
			return scene.producer.isFull;
		};
		expect([await isFull(bytes + 1), await isFull(bytes), await isFull(bytes - 1)]).toEqual([false, true, true]);
	});

	it("that are refused are told one by one, with their size, and to whom they belong", async () => {
		const scene = new RecordScene();
		const refused: unknown[] = [];
		scene.producer.on("record:refused", (fact) => refused.push(fact));
		scene.refused.add("b");
		await scene.produce("out", "a", "b");
		scene.client.report(null, ["a"]);
		scene.client.report(tooLarge, ["b"]);
		await scene.pass(50);
		expect(scene.facts.filter(({ result }) => result === "refused")).toEqual([
			{ topic: "out", result: "refused", records: 1, bytes: 2, agesMs: [] },
		]);
		const message = "topic out refuses record 0 (2 bytes): too large";
		expect(refused).toEqual([{ topic: "out", source: { topic: "orders", partition: 2, offset: 1 }, index: 0, message }]);
	});

	it("are sent by another where a client takes none any more", async () => {
		const scene = new RecordScene();
		await scene.produce("out", "a");
		scene.client.error = fatal;
		await scene.produce("out", "b");
		scene.client.report(null, ["a"]);
		await scene.pass(50);
		expect(scene.clients).toHaveLength(2);
		expect(scene.client.taken).toEqual(["b"]);
	});

	it("are tried one by one where a client gives itself up before it got any through, seldomer each time, and the cause is told", async () => {
		const scene = new RecordScene();
		scene.rights = "none";
		await scene.produce("out", "a", "b");
		await scene.produce("other", "c");
		await scene.pass(60_000);
		expect(scene.clients.length).toBeLessThan(4);
		expect(scene.replaced[0]?.message).toBe("Broker: Cluster authorization failed");
		expect(scene.producer.problems.map(({ where, message }) => [where?.topic, message])).toEqual([
			["out", "records for topic out can't be produced: Broker: Cluster authorization failed"],
			["other", "records for topic other can't be produced: Broker: Cluster authorization failed"],
		]);
		expect(scene.producer.isMoving({ topic: "orders", partition: 2 })).toBe(false);
		scene.rights = "all";
		await scene.pass(10_000);
		scene.client.report();
		await scene.pass();
		expect(scene.fates.toSorted()).toEqual(["0", "1", "2"]);
		expect(scene.single.slice(0, 2).toSorted()).toEqual(["a", "c"]);
		expect(scene.client.taken).toEqual(["b"]);
		expect([scene.producer.problems, scene.producer.bytes]).toEqual([[], 0]);
	});

	it("are tried one by one behind a refusal: only what is refused by itself is given up, and order is kept", async () => {
		const scene = new RecordScene();
		scene.refused.add("b");
		await scene.produce("out", "a", "b", "c", "d");
		const [first] = scene.clients;
		// The broker refuses the whole batch, and the client gives itself up behind it.
		first?.report(tooLarge, ["a", "b", "c"]);
		await scene.produce("out", "e");
		expect(first?.taken).toEqual(["a", "b", "c", "d"]);
		first?.report(purged, ["d"]);
		await scene.pass(50);
		expect(scene.single).toEqual(["a", "c"]);
		expect(scene.clients).toHaveLength(2);
		expect(scene.client.taken).toEqual(["d", "e"]);
		expect(scene.fates).toContain("1 topic out record 0 kafka_10");
		scene.client.report();
		await scene.pass();
		expect(scene.fates.filter((fate) => !fate.includes("kafka"))).toEqual(["0", "2", "3", "4"]);
	});

	it("are refused, too, where the client itself can't send one: nobody waits behind it", async () => {
		const scene = new RecordScene();
		scene.refused.add("a");
		scene.refusal = new PocKaffeError("header_nul", "header h: NUL");
		await scene.produce("out", "a", "b");
		scene.client.report(tooLarge, ["a"]);
		scene.client.report();
		await scene.pass(50);
		expect(scene.fates.toSorted()).toEqual(["0 topic out record 0 kafka_87", "1"]);
		expect(scene.producer.problems).toEqual([]);
	});

	it("are refused where the broker says that no topic can have that name", async () => {
		const scene = new RecordScene();
		scene.refused.add("a");
		scene.refusal = new KafkaError("invalid topic", 17);
		await scene.produce("out", "a");
		scene.client.report(new KafkaError("invalid topic", 17));
		await scene.pass(50);
		expect(scene.fates).toEqual(["0 topic out record 0 kafka_17"]);
	});

	it("wait for a topic that is missing, which is told; others go on", async () => {
		const scene = new RecordScene();
		scene.missing.add("out");
		await scene.produce("out", "a", "b");
		await scene.produce("other", "c");
		await scene.pass();
		scene.client.report();
		await scene.pass();
		expect(scene.fates).toEqual(["2"]);
		expect(scene.producer.problems).toMatchObject([
			{
				code: "produce_blocked",
				where: { topic: "out", partition: null },
				message: expect.stringMatching(/out can't be produced: no such topic; make out/),
			},
		]);
		expect(scene.producer.isMoving({ topic: "orders", partition: 2 })).toBe(false);
		scene.missing.clear();
		await scene.pass(10_000);
		expect(scene.single).toEqual(["a"]);
		expect(scene.client.taken).toEqual(["c", "b"]);
		scene.client.report();
		await scene.pass();
		expect(scene.fates).toEqual(["2", "0", "1"]);
		expect(scene.producer.problems).toEqual([]);
	});

	it("for many topics that are missing are tried by a few clients at a time, and all are told", async () => {
		const scene = new RecordScene();
		const topics = Array.from({ length: 10 }, (_, i) => `missing-${i}`);
		for (const topic of topics) scene.missing.add(topic);
		let goOn: (() => void)[] = [];
		scene.singleWaits = () => new Promise((resolve) => goOn.push(resolve));
		for (const topic of topics) await scene.produce(topic, topic);
		expect(scene.singles).toEqual({ open: 4, most: 4 });
		scene.singleWaits = async () => {};
		for (const go of goOn) go();
		goOn = [];
		await scene.pass();
		expect(scene.producer.problems).toHaveLength(10);
		expect(scene.singles).toEqual({ open: 0, most: 4 });
		scene.missing.clear();
		await scene.pass(20_000);
		expect(scene.single.toSorted()).toEqual(topics);
		expect(scene.producer.bytes).toBe(0);
	});

	it("leave no trace of a topic that has none, where there are many; a late report is of none that came later", async () => {
		const scene = new RecordScene();
		const { release } = await scene.produce("topic-0", "old");
		release();
		expect(scene.producer.problems).toEqual([]);
		for (let i = 1; i <= 100; i++) {
			await scene.produce(`topic-${i}`, `v${i}`);
			scene.client.report(null, [`v${i}`]);
		}
		expect(scene.looks).toHaveLength(101);
		await scene.produce("topic-0", "new");
		expect(scene.looks).toHaveLength(102);
		scene.client.report(null, ["old"]);
		await scene.pass();
		expect(scene.fates).not.toContain("101");
		scene.client.report(null, ["new"]);
		await scene.pass();
		expect(scene.fates).toContain("101");
	});

	it("wait in order, too, where a topic is deleted while some are under way", async () => {
		const scene = new RecordScene();
		await scene.produce("out", "a", "b", "c");
		scene.missing.add("out");
		scene.client.report(null, ["a"]);
		scene.client.report(unknownTopic, ["b"]);
		await scene.produce("out", "d");
		expect(scene.client.taken).toEqual(["a", "b", "c"]);
		scene.client.report(unknownTopic, ["c"]);
		await scene.pass(20_000);
		expect(scene.producer.problems).toHaveLength(1);
		scene.missing.clear();
		await scene.pass(10_000);
		expect([...scene.single, ...scene.client.taken.slice(3)]).toEqual(["b", "c", "d"]);
	});

	it("say that no broker answers, where none does", async () => {
		const scene = new RecordScene();
		scene.isAway = true;
		await scene.produce("out", "a");
		await scene.pass(20_000);
		expect(scene.producer.problems).toMatchObject([
			{ code: "produce_blocked", where: null, message: "records can't be produced: no connection" },
		]);
		scene.isAway = false;
		await scene.pass(10_000);
		scene.client.report();
		await scene.pass();
		expect(scene.fates).toEqual(["0"]);
		expect(scene.producer.problems).toEqual([]);
	});

	it("say that nothing is acknowledged any more", async () => {
		const scene = new RecordScene();
		await scene.produce("out", "a");
		await scene.pass(9_000);
		expect(scene.producer.problems).toEqual([]);
		await scene.pass(3_000);
		expect(scene.producer.problems).toMatchObject([
			{ where: { topic: "out" }, message: expect.stringMatching(/none of the oldest records for topic out for 12 s, and \d+ bytes wait$/) },
		]);
		expect(scene.producer.isMoving({ topic: "orders", partition: 2 })).toBe(false);
		scene.client.report();
		await scene.pass();
		expect(scene.producer.problems).toEqual([]);
	});

	it("say so of the topic that it concerns, and that a partition has no leader, though others go on", async () => {
		const scene = new RecordScene();
		scene.leaderless.set("out", [1]);
		await scene.produce("out", "a", "b");
		for (let second = 0; second < 16; second++) {
			await scene.produce("other", `o${second}`);
			scene.client.report(null, [`o${second}`]);
			// Behind what waits for the leader the topic's other partitions go on.
			await scene.produce("out", `c${second}`);
			scene.client.report(null, [`c${second}`]);
			await scene.pass(1_000);
		}
		expect(scene.producer.problems).toMatchObject([
			{
				where: { topic: "out", partition: null },
				message: expect.stringMatching(
					/none of the oldest records for topic out for 16 s, and \d+ bytes wait: partition 1 has no leader: the broker is down/,
				),
			},
		]);
		scene.client.report(null, ["a"]);
		await scene.pass();
		expect(scene.producer.problems).toEqual([]);
	});

	it("move behind one that waits for a leader: a drain waits for them, and no longer than they move", async () => {
		const scene = new RecordScene();
		await scene.produce("out", "a");
		await scene.pass(20_000);
		const other = { topic: "orders", partition: 3 };
		await scene.produceFrom(other, "out", "b", "c");
		expect(scene.producer.problems).toHaveLength(1);
		const isMoving = () => [{ topic: "orders", partition: 2 }, other].map((partition) => scene.producer.isMoving(partition));
		expect(isMoving()).toEqual([false, true]);
		await scene.pass(9_000);
		scene.client.report(null, ["b"]);
		await scene.pass(9_000);
		expect(isMoving()).toEqual([false, true]);
		await scene.pass(2_000);
		expect(isMoving()).toEqual([false, false]);
	});

	it("hold up no other topic, however many of them nobody acknowledges", async () => {
		const scene = new RecordScene(1e9);
		const large = "x".repeat(2 ** 20);
		await scene.produce("out", ...Array.from({ length: 40 }, () => large));
		await scene.pass();
		const before = scene.client.taken.length;
		expect(before).toBeLessThan(40);
		await scene.produce("other", "o");
		await scene.pass(20_000);
		expect(scene.client.taken.slice(before)).toEqual(["o"]);
		scene.client.report(null, ["o"]);
		await scene.pass();
		expect(scene.fates).toEqual(["40"]);
	});

	it("of a partition that was given away are not sent any more, and nobody hears of those that were", async () => {
		const scene = new RecordScene();
		await scene.produce("out", "a");
		scene.client.room = 2;
		const { release } = await scene.produce("out", "b", "c");
		await scene.produce("out", "d");
		release();
		scene.client.report();
		await scene.pass();
		expect(scene.client.taken).toEqual(["a", "b", "d"]);
		scene.client.report();
		await scene.pass();
		expect(scene.fates).toEqual(["0", "3"]);
		expect(scene.producer.bytes).toBe(0);
	});

	it("of partitions that are given away again and again, and that nobody acknowledges, do not heap up in a client", async () => {
		const scene = new RecordScene(1e9);
		const large = "x".repeat(2 ** 20);
		await scene.produce("other", "o");
		for (let rebalance = 0; rebalance < 6; rebalance++) {
			const { release } = await scene.produce("out", ...Array.from({ length: 12 }, () => large));
			await scene.pass(2_000);
			release();
			// As the daemon does each second.
			void scene.producer.problems;
		}
		await scene.pass(20_000);
		const each = scene.clients.map(({ taken }) => taken.filter((value) => value === large).length);
		expect(each).toEqual([36, 36, 0]);
		expect(scene.clients.map(({ isClosed }) => isClosed)).toEqual([true, true, false]);
		expect(scene.client.taken).toEqual(["o"]);
	});

	it("of partitions that are given away do not count as held by the client behind its reports: it is not replaced for them", async () => {
		const scene = new RecordScene(1e9);
		const large = "x".repeat(2 ** 20);
		for (let rebalance = 0; rebalance < 6; rebalance++) {
			const { release } = await scene.produce("out", ...Array.from({ length: 12 }, () => large));
			await scene.pass();
			release();
			void scene.producer.problems;
			scene.client.report();
			await scene.pass();
		}
		expect(scene.clients.map(({ taken, isClosed }) => [taken.length, isClosed])).toEqual([[72, false]]);
	});

	it("of a partition that is given away while one of them is tried take no room, and give none back twice", async () => {
		const scene = new RecordScene();
		scene.missing.add("out");
		let goOn = () => {};
		scene.singleWaits = () => new Promise((resolve) => (goOn = resolve));
		const { release } = await scene.produce("out", "a");
		release();
		expect(scene.producer.problems).toEqual([]);
		expect(scene.producer.bytes).toBe(0);
		scene.missing.clear();
		goOn();
		await scene.pass();
		expect(scene.producer.bytes).toBe(0);
	});

	it("are full at so many bytes, and tell when there is room", async () => {
		const scene = new RecordScene(1_000);
		await scene.produce("out", "x".repeat(900));
		expect(scene.producer.isFull).toBe(false);
		await scene.produce("out", "y".repeat(900));
		expect(scene.producer.isFull).toBe(true);
		let told = 0;
		const listener = () => told++;
		scene.producer.whenRoom(listener);
		scene.producer.whenRoom(listener);
		scene.client.report(null, ["x".repeat(900)]);
		expect(told).toBe(0);
		scene.client.report();
		expect([told, scene.producer.isFull]).toEqual([1, false]);
	});

	it("are not full of what nobody waits for", async () => {
		const scene = new RecordScene(1_000);
		await scene.produce("out", "a");
		scene.client.room = 1;
		const { release } = await scene.produce("out", "y".repeat(2_000));
		expect(scene.producer.isFull).toBe(true);
		release();
		expect(scene.producer.isFull).toBe(false);
	});

	it("are not looked for any more behind the end", async () => {
		const scene = new RecordScene();
		await scene.produce("out", "a", "b");
		scene.client.report(null, ["a"]);
		await scene.producer.dispose();
		expect(scene.fates).toEqual(["0"]);
		expect(scene.client.isClosed).toBe(true);
		await scene.produce("out", "c");
		expect(scene.client.taken).toEqual(["a", "b"]);
	});

	it("leave no client behind the end: one of a try under way is closed, and waited for", async () => {
		const scene = new RecordScene();
		scene.missing.add("out");
		scene.singleWaits = () => new Promise(() => {});
		await scene.produce("out", "a");
		expect(scene.singles.open).toBe(1);
		let goOn = () => {};
		scene.singleCloses = () => new Promise((resolve) => (goOn = resolve));
		let isOver = false;
		const disposed = scene.producer.dispose().then(() => (isOver = true));
		await scene.pass(60_000);
		expect([scene.singles.open, isOver]).toEqual([1, false]);
		goOn();
		await disposed;
		expect(scene.singles.open).toBe(0);
		expect(scene.fates).toEqual([]);
	});

	it("leave none behind either that connects at the end", async () => {
		const scene = new RecordScene();
		scene.missing.add("out");
		let connected = () => {};
		scene.singleConnects = () => new Promise((resolve) => (connected = resolve));
		await scene.produce("out", "a");
		const disposed = scene.producer.dispose();
		connected();
		await disposed;
		expect(scene.singles).toEqual({ open: 0, most: 1 });
		expect(scene.single).toEqual([]);
	});

	it("go by a client with new settings", async () => {
		const scene = new RecordScene();
		await scene.produce("out", "a");
		const renewed = scene.producer.renew();
		scene.client.report();
		await scene.pass(50);
		await renewed;
		await scene.produce("out", "b");
		expect(scene.clients.map(({ taken }) => taken)).toEqual([["a"], ["b"]]);
	});

	it("go by one with new settings, too, where another was connecting with the old ones", async () => {
		const scene = new RecordScene();
		let connected = () => {};
		scene.connects = () => new Promise((resolve) => (connected = resolve));
		await scene.produce("out", "a");
		scene.connects = async () => {};
		await scene.producer.renew();
		connected();
		await scene.pass();
		expect(scene.clients.map(({ taken, isClosed }) => [taken, isClosed])).toEqual([
			[[], true],
			[["a"], false],
		]);
	});

	it("by the hundred thousand go in turns, in order", async () => {
		const scene = new RecordScene(1e9);
		const values = Array.from({ length: 30_000 }, (_, index) => String(index));
		await scene.produce("out", ...values);
		expect(scene.client.taken.length).toBeLessThan(30_000);
		await scene.pass(20);
		expect(scene.client.taken).toEqual(values);
		scene.client.report();
		await scene.pass();
		expect(scene.fates).toEqual(values);
	});
});
