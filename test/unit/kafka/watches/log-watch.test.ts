import { describe, expect, it } from "vitest";
import type { TopicPartition } from "../../../../src/core/messages/message.ts";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { OffsetLedger } from "../../../../src/kafka/offsets/offset-ledger.ts";
import { LogWatch } from "../../../../src/kafka/watches/log-watch.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";

const at = (partition: number, topic = "t") => ({ topic, partition });

/** A watch over partitions that were assigned in the logs with these ids. */
function watching(...logs: readonly (readonly [partition: TopicPartition, logId: string | null])[]) {
	const clock = new ManualClock();
	const ledger = new OffsetLedger();
	for (const [partition, logId] of logs) ledger.assign(partition, 0, 0, logId);
	const kafka = { ids: new Map<string, string | null>(), forgotten: [] as TopicPartition[], answers: () => Promise.resolve() };
	const remade: string[] = [];
	const what: string[] = [];
	const watch = new LogWatch({
		clock,
		assigned: () => ledger.assigned,
		topicIds: async () => {
			await kafka.answers();
			return kafka.ids;
		},
		forgotten: async () => kafka.forgotten,
		remade: (found, told) => {
			what.push(told);
			for (const each of ledger.current(found)) {
				remade.push(`${each.topic}/${each.partition}`);
				ledger.release(each);
			}
		},
	});
	return { clock, ledger, kafka, remade, what, watch };
}

describe("a log that takes another's place", () => {
	it("is told by the topic's id, for all partitions of that topic and no other", async () => {
		const { watch, kafka, remade } = watching([at(0), "old"], [at(1), "old"], [at(0, "u"), "u"]);
		kafka.ids = new Map([
			["t", "old"],
			["u", "u"],
		]);
		await watch.look();
		expect(remade).toEqual([]);
		kafka.ids.set("t", "new");
		await watch.look();
		expect(remade).toEqual(["t/0", "t/1"]);
		// What was dropped is told once.
		await watch.look();
		expect(remade).toHaveLength(2);
	});

	it.each([
		["there is no id", null, new Map([["t", null]])],
		["the id was not known when it was assigned", null, new Map([["t", "now"]])],
		["the topic isn't there", "old", new Map()],
	])("is told by Kafka's having forgotten the group's offset where %s", async (_, logId, ids) => {
		const { watch, kafka, remade } = watching([at(0), logId], [at(1), logId]);
		kafka.ids = ids as Map<string, string | null>;
		await watch.look();
		expect(remade).toEqual([]);
		kafka.forgotten = [at(1)];
		await watch.look();
		expect(remade).toEqual(["t/1"]);
	});

	it.each([
		["there is another one by its name", new Map([["t", null]]), "made_again"],
		["there is none", new Map(), "deleted"],
	])("is told as what it is where %s", async (_, ids, told) => {
		const { watch, kafka, what } = watching([at(0), "old"]);
		kafka.ids = ids as Map<string, string | null>;
		kafka.forgotten = [at(0)];
		await watch.look();
		expect(what).toEqual([told]);
	});

	it("is looked for every two seconds, and no more once it is disposed", async () => {
		const { watch, clock, kafka, remade } = watching([at(0), "old"]);
		kafka.ids = new Map([["t", "new"]]);
		watch.start();
		await clock.advance(1_999);
		expect(remade).toEqual([]);
		await clock.advance(1);
		expect(remade).toEqual(["t/0"]);
		watch.dispose();
		await clock.advance(10_000);
		expect(clock.pending).toEqual([]);
	});

	it("is dropped before a commit that looks goes on; one that gets no answer goes on after a second", async () => {
		const { watch, clock, ledger, kafka } = watching([at(0), "old"]);
		kafka.ids = new Map([["t", "new"]]);
		kafka.answers = () => new Promise(() => {});
		let isThrough = false;
		const due = ledger.assigned;
		void watch.check(due).then(() => {
			isThrough = true;
		});
		await clock.advance(999);
		expect(isThrough).toBe(false);
		await clock.advance(1);
		expect([isThrough, ledger.current(due)]).toEqual([true, due]);
		kafka.answers = () => Promise.resolve();
		await watch.check(due);
		expect([ledger.current(due), clock.pending]).toEqual([[], []]);
	});

	it("holds up a commit of what has no id for as long as Kafka takes to answer, and none of what names its log", async () => {
		const { watch, clock, ledger, kafka, remade } = watching([at(0), "old"], [at(0, "u"), null]);
		const [named, nameless] = [ledger.assigned.slice(0, 1), ledger.assigned.slice(1)];
		kafka.ids = new Map([["t", "old"]]);
		kafka.answers = () => clock.sleep(9_000);
		const through: string[] = [];
		void watch.check(named).then(() => through.push("named"));
		void watch.check(nameless).then(() => through.push("nameless"));
		await clock.advance(1_000);
		expect(through).toEqual(["named"]);
		kafka.forgotten = [at(0, "u")];
		await clock.advance(7_999);
		expect([through, remade]).toEqual([["named"], []]);
		await clock.advance(1);
		expect([through, remade]).toEqual([["named", "nameless"], ["u/0"]]);
		expect(clock.pending).toEqual([]);
	});

	it("refuses a commit of what has no id with Kafka's error, and none of what names its log", async () => {
		const { watch, clock, ledger, kafka } = watching([at(0), "old"], [at(0, "u"), null]);
		const [named, nameless] = [ledger.assigned.slice(0, 1), ledger.assigned.slice(1)];
		kafka.answers = () => Promise.reject(new KafkaError("away", kafkaErrors.transport));
		const checks = await Promise.allSettled([watch.check(named), watch.check(nameless), watch.check(ledger.assigned)]);
		const reason = { message: "Kafka does not say whether the topics are still the same: away", kafkaCode: kafkaErrors.transport };
		expect(checks).toMatchObject([{ status: "fulfilled" }, { status: "rejected", reason }, { status: "rejected", reason }]);
		expect(clock.pending).toEqual([]);
	});

	it("refuses a commit of what has no id as Kafka does where a right is missing, and says that nobody answered where that is all", async () => {
		const { watch, ledger, kafka } = watching([at(0), null]);
		for (const code of [kafkaErrors.topicAuthorizationFailed, kafkaErrors.groupAuthorizationFailed]) {
			const refusal = new KafkaError("no right", code);
			kafka.answers = () => Promise.reject(refusal);
			await expect(watch.check(ledger.assigned)).rejects.toBe(refusal);
		}
		const broken = new Error("broken");
		kafka.answers = () => Promise.reject(broken);
		await expect(watch.check(ledger.assigned)).rejects.toMatchObject({
			message: "Kafka does not say whether the topics are still the same: broken",
			kafkaCode: kafkaErrors.timedOut,
			cause: broken,
		});
	});

	it("is not guessed where Kafka can't be asked", async () => {
		const { watch, ledger, kafka, remade } = watching([at(0), "old"]);
		// What it would answer, and what a topic that isn't there would come to.
		kafka.ids = new Map([["t", "new"]]);
		kafka.forgotten = [at(0)];
		kafka.answers = () => Promise.reject(new Error("away"));
		await watch.look();
		await watch.check(ledger.assigned);
		await settle();
		expect(remade).toEqual([]);
	});
});
