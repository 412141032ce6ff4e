/** How letters get into their topic: what is tried when one is refused, what is told meanwhile, and with which clients. */
import { afterEach, describe, expect, it, vi } from "vitest";
import type { DeadLetter } from "../../../../src/core/dead-letters/dead-letter.ts";
import { KafkaError } from "../../../../src/kafka/client/kafka-error.ts";
import { DeadLetterTopic } from "../../../../src/kafka/dead-letters/dead-letter-topic.ts";
import { Producer } from "../../../../src/kafka/producer.ts";
import { deadLetter } from "../../../support/fakes/dead-letters.ts";
import { LettersCluster, sized, tooLarge } from "../../../support/fakes/letters-cluster.ts";
import { settle } from "../../../support/fakes/manual-clock.ts";

const MIB = 2 ** 20;

afterEach(() => void vi.restoreAllMocks());

function open({ own = false } = {}) {
	const cluster = new LettersCluster();
	const { connectProducer: _, ...parts } = cluster.parts;
	const letters = new DeadLetterTopic(own ? parts : cluster.parts);
	const told: string[] = [];
	const cut: { letter: DeadLetter; why: string }[] = [];
	letters.on("target:blocked", ({ message }) => told.push(message));
	letters.on("target:unblocked", () => told.push("unblocked"));
	letters.on("letter:cut", (fact) => cut.push(fact));
	const ended = new AbortController();
	const store = (over: Partial<DeadLetter> = {}) => letters.store(deadLetter({ topic: "orders", partition: 1, ...over }), ended.signal);
	const sizes = () => cluster.records.map(({ value }) => value?.length ?? null);
	const header = (name: string) => cluster.records.at(-1)?.headers?.find(([each]) => each === name)?.[1];
	return { cluster, clock: cluster.clock, letters, told, cut, store, sizes, header, ended };
}

describe("a letter", () => {
	it("goes to the partition with its message's number, or the same remainder where there are fewer, with its age", async () => {
		const { cluster, clock, store, header } = open();
		await clock.advance(5_000);
		await store({ partition: 5, receivedAtMs: 3_800 });
		expect([cluster.records[0]?.topic, cluster.records[0]?.partition, header("pockaffe.age-ms")]).toEqual(["dead", 2, "1200"]);
		await store({ partition: 1, receivedAtMs: 6_000 });
		expect([cluster.records[1]?.partition, header("pockaffe.age-ms")]).toEqual([1, "0"]);
	});

	it("is moving while it is on its way, until an attempt fails: then its partition stands still", async () => {
		const { cluster, clock, letters, store } = open();
		let fail: (error: Error) => void = () => {};
		const moving = (partition: number, topic = "orders") => letters.isMoving({ topic, partition });
		cluster.answer = () => new Promise((_, reject) => (fail = reject));
		expect(moving(1)).toBe(false);
		const storing = store();
		await settle();
		expect([moving(1), moving(0), moving(1, "other")]).toEqual([true, false, false]);
		fail(new KafkaError("no leader", -192));
		await settle();
		expect([moving(1), letters.blocked]).toEqual([false, true]);
		cluster.answer = async () => 9;
		await clock.advance(1_000);
		await storing;
		expect([moving(1), letters.blocked]).toEqual([false, false]);
	});

	it("is tried later each time, and told once with its place: blocked, and unblocked when all of them are stored", async () => {
		const { cluster, clock, letters, told, store } = open();
		cluster.refusals.push(...Array.from({ length: 9 }, () => new KafkaError("no leader", -195)));
		const storing = store({ offset: 77 });
		await clock.advance(60_000);
		await storing;
		const waits = cluster.recordedAt.slice(1).map((at, index) => at - (cluster.recordedAt[index] as number));
		expect(waits).toEqual([50, 100, 200, 400, 800, 1_600, 2_500, 2_500, 2_500]);
		expect(told).toEqual(["dead letters can't be stored in topic dead: no leader (orders/1 offset 77)", "unblocked"]);
		expect(letters.blocked).toBe(false);
	});

	it("leaves its target blocked while another one fails", async () => {
		const { cluster, clock, letters, told, store } = open();
		cluster.refusals.push(...Array.from({ length: 3 }, () => new KafkaError("no leader", -195)));
		const both = [store({ offset: 1 }), store({ offset: 2 })];
		await clock.advance(60);
		expect([letters.blocked, told.length, cluster.records.length]).toEqual([true, 1, 4]);
		await clock.advance(1_000);
		await Promise.all(both);
		expect([letters.blocked, told.length]).toEqual([false, 2]);
	});

	it("that is too large goes without its largest part, at once, and that is told with the reason", async () => {
		const { cluster, clock, letters, told, cut, store } = open();
		cluster.refusals.push(tooLarge());
		await store({ key: Buffer.from("key"), value: Buffer.alloc(2_000) });
		expect(clock.monotonic()).toBe(0);
		expect(cluster.records.map(({ key, value }) => [key?.toString(), value?.length])).toEqual([
			["key", 2_000],
			["key", undefined],
		]);
		expect(cut).toMatchObject([{ letter: { value: null, omitted: { value: { bytes: 2_000 } } }, why: "Broker: Message size too large" }]);
		expect([told, letters.blocked]).toEqual([[], false]);
	});

	it("that goes whole is not told of", async () => {
		const { cut, store } = open();
		await store();
		expect(cut).toEqual([]);
	});

	it("that is too large without its message goes with shorter texts; if that is too large too, its target is blocked", async () => {
		const { cluster, clock, letters, told, store, header } = open();
		cluster.refusals.push(tooLarge(), tooLarge());
		const long = { key: null, value: Buffer.alloc(2_000), error: "x".repeat(5_000) };
		await store(long);
		expect([cluster.records.length, String(header("kafka_dlt-exception-message")).length]).toEqual([3, 201]);
		expect(clock.monotonic()).toBe(0);
		cluster.records.length = 0;
		// Whole and without its value, and both again with short texts.
		cluster.refusals.push(tooLarge(), tooLarge(), tooLarge(), tooLarge());
		const storing = store(long);
		await settle();
		expect([letters.blocked, cluster.records.length, told]).toEqual([
			true,
			4,
			[
				"dead letters can't be stored in topic dead: Broker: Message size too large; raise the topic's max.message.bytes: even the letter without its message is too large (orders/1 offset 7)",
			],
		]);
		await clock.advance(1_000);
		await storing;
	});

	it("that has no value stays whole and is brief at once where it is too large", async () => {
		const { cluster, cut, store, header } = open();
		cluster.refusals.push(tooLarge());
		await store({ key: null, value: null, error: "x".repeat(5_000) });
		expect([cluster.records.length, String(header("kafka_dlt-exception-message")).length, cut]).toEqual([2, 201, []]);
	});

	it("of more than 64 MiB whose time is over three times goes without its value: no broker takes it, and none says so", async () => {
		const timedOut = () => new KafkaError("Local: Message timed out", -192);
		const { cluster, clock, store, sizes, cut } = open();
		cluster.refusals.push(timedOut(), timedOut(), timedOut());
		const storing = store(sized(64 * MIB + 1));
		await clock.advance(10_000);
		await storing;
		expect(sizes()).toEqual([64 * MIB + 1, 64 * MIB + 1, 64 * MIB + 1, null]);
		// Without it at once.
		expect(cluster.recordedAt.slice(2)).toEqual([150, 150]);
		expect(cut).toMatchObject([{ why: "Local: Message timed out" }]);
		// Of 64 MiB it may be the broker that is away.
		const smaller = open();
		smaller.cluster.refusals.push(timedOut(), timedOut(), timedOut(), timedOut());
		const other = smaller.store(sized(64 * MIB));
		await smaller.clock.advance(10_000);
		await other;
		expect([smaller.sizes(), smaller.cut]).toEqual([Array(5).fill(64 * MIB), []]);
	});

	it("is tried whole again where its size turns out not to be the cause", async () => {
		const { cluster, clock, store, sizes, cut } = open();
		cluster.refusals.push(tooLarge(), new KafkaError("no leader", -195));
		const storing = store({ key: null, value: Buffer.alloc(2_000) });
		await clock.advance(1_000);
		await storing;
		expect([sizes(), cut]).toEqual([[2_000, null, 2_000], []]);
		// Not at once: something else is wrong.
		expect(cluster.recordedAt).toEqual([0, 0, 100]);
	});

	it("is given up with the reason of whoever stores it, or at the end of the letters", async () => {
		const { cluster, letters, told, store, ended } = open();
		cluster.answer = () => new Promise(() => {});
		const storing = store();
		await settle();
		ended.abort(new Error("the partition is gone"));
		await expect(storing).rejects.toThrow("the partition is gone");
		expect(letters.isMoving({ topic: "orders", partition: 1 })).toBe(false);
		await expect(store()).rejects.toThrow("the partition is gone");
		// Nothing is wrong with the target, and nothing is tried any more.
		expect([told, cluster.records.length]).toEqual([[], 1]);
		const other = open();
		other.cluster.answer = () => new Promise(() => {});
		const waiting = other.store();
		await settle();
		void other.letters.dispose();
		await expect(waiting).rejects.toThrow("the dead letters were ended");
	});

	it("that this user may not write says which right it takes", async () => {
		const { cluster, clock, told, store } = open();
		cluster.refusals.push(new KafkaError("Broker: Topic authorization failed", 29));
		const storing = store();
		await clock.advance(1_000);
		await storing;
		expect(told[0]).toMatch(/Topic authorization failed; give the right: .* --operation Write --topic dead \(orders\/1 offset 7\)$/);
	});
});

describe("the clients of the letters", () => {
	it("are two: large letters have one with a longer delivery time, and all give up a topic that is gone soon", async () => {
		const { cluster, letters, store } = open({ own: true });
		const connect = vi.spyOn(Producer, "connect").mockImplementation(async () => cluster.connect() as Producer);
		await store(sized(MIB));
		await store(sized(MIB));
		await store(sized(MIB + 1));
		await store(sized(MIB + 1));
		expect(connect.mock.calls.map(([, options]) => options)).toEqual([
			{ timeoutMs: 5_000, deliveryTimeoutMs: 5_000, absentTopicMs: 5_000 },
			{ timeoutMs: 5_000, deliveryTimeoutMs: 120_000, absentTopicMs: 5_000 },
		]);
		await letters.dispose();
		expect(cluster.closed).toEqual(["flushed for 0 ms", "flushed for 0 ms"]);
	});

	it("are given up once they gave up themselves: the next letter has a new one", async () => {
		const { cluster, store } = open();
		await store();
		cluster.gaveUp = true;
		await store();
		expect([cluster.clients, cluster.closed]).toEqual([1, ["flushed for 0 ms"]]);
		cluster.gaveUp = false;
		await store();
		expect(cluster.clients).toBe(2);
	});

	it.each([
		["a fatal error", -150, 2],
		["a client in no state to produce", -172, 2],
		["no leader", -195, 1],
	])("after %s (%i): a record is tried again by client %i", async (_, code, clients) => {
		const { cluster, clock, store } = open();
		cluster.refusals.push(new KafkaError("no", code));
		const storing = store();
		await clock.advance(1_000);
		await storing;
		expect([cluster.clients, cluster.closed.length]).toEqual([clients, clients - 1]);
	});

	it.each([-188, -190, 3])("are closed at once where the topic is gone (%i): their records will not be reported", async (code) => {
		const { cluster, clock, store } = open();
		cluster.refusals.push(new KafkaError("gone", code));
		const storing = store();
		await clock.advance(1_000);
		await storing;
		expect(cluster.closed).toEqual(["flushed for 0 ms"]);
	});

	it("are replaced where a letter gets the offset of the last one: it is another topic, which may not keep letters", async () => {
		const { cluster, store } = open();
		cluster.answer = async () => 4;
		await store();
		expect(cluster.closed).toEqual([]);
		await store();
		expect(cluster.closed).toEqual(["flushed for 5000 ms"]);
	});

	it("are disposed where the topic can't be looked at, and tried again", async () => {
		const { cluster, clock, told, store } = open();
		cluster.topicsError = new KafkaError("Local: Timed out", -185);
		const storing = store();
		await settle();
		expect([cluster.closed, told]).toEqual([
			["disposed"],
			["dead letters can't be stored in topic dead: Local: Timed out (orders/1 offset 7)"],
		]);
		cluster.topicsError = null;
		await clock.advance(1_000);
		await storing;
		expect([cluster.clients, cluster.closed.length]).toEqual([2, 1]);
	});

	it("connect before the first letter, and later each time; a topic that can't be reached is told once, and that it can be", async () => {
		const { cluster, clock, letters, told, store } = open();
		cluster.connectError = new Error("no broker");
		await letters.prepare();
		await settle();
		expect([letters.blocked, told]).toEqual([true, ["dead letters can't be stored in topic dead: no broker"]]);
		cluster.answer = () => new Promise(() => {});
		void store().catch(() => {});
		// Nothing is known of this letter yet, but of its target.
		expect(letters.isMoving({ topic: "orders", partition: 1 })).toBe(false);
		const before = cluster.clients;
		await clock.advance(49);
		expect(cluster.clients).toBe(before);
		await letters.dispose();
		const other = open();
		other.cluster.connectError = new Error("no broker");
		await other.letters.prepare();
		await other.clock.advance(49);
		expect(other.cluster.clients).toBe(1);
		await other.clock.advance(1);
		expect(other.cluster.clients).toBe(2);
		await other.clock.advance(99);
		expect(other.cluster.clients).toBe(2);
		other.cluster.connectError = null;
		await other.clock.advance(1);
		expect([other.letters.blocked, other.told.at(-1), other.cluster.clients]).toEqual([false, "unblocked", 3]);
		await other.store();
		await other.clock.advance(60_000);
		expect(other.cluster.clients).toBe(3);
	});

	it("connect no more once the letters are ended", async () => {
		const { cluster, clock, letters } = open();
		cluster.connectError = new Error("no broker");
		await letters.prepare();
		await settle();
		await letters.dispose();
		await clock.advance(60_000);
		expect([cluster.clients, clock.pending]).toEqual([1, []]);
	});
});
