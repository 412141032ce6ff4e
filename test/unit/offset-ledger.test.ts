import { describe, expect, it } from "vitest";
import { KafkaError, kafkaErrors } from "../../src/kafka/kafka-error.ts";
import { OffsetCommitter, type OffsetStore } from "../../src/kafka/offset-committer.ts";
import { OffsetLedger } from "../../src/kafka/offset-ledger.ts";
import { ManualClock, settle } from "../support/manual-clock.ts";

const partition = { topic: "t", partition: 0 };

function ledgerWith(offsets: readonly number[]): { ledger: OffsetLedger; epoch: number } {
	const ledger = new OffsetLedger();
	const epoch = ledger.assign(partition, offsets[0] ?? 0, offsets[0] ?? 0);
	ledger.received(partition, epoch, offsets);
	return { ledger, epoch };
}

describe("OffsetLedger", () => {
	it("drops an acknowledgement of an older epoch", () => {
		const { ledger, epoch } = ledgerWith([0, 1, 2]);
		ledger.release(partition);
		const next = ledger.assign(partition, 0, 0);
		ledger.received(partition, next, [0, 1, 2]);
		expect(ledger.acknowledger(partition, epoch)(0)).toBe(false);
		expect(ledger.of(partition)?.committable).toBe(0);
		expect(ledger.acknowledger(partition, next)(0)).toBe(true);
		expect(ledger.of(partition)?.committable).toBe(1);
	});

	it("raises the epoch at every assignment and every release", () => {
		const { ledger, epoch } = ledgerWith([0]);
		ledger.release(partition);
		expect(ledger.assign(partition, 0, 0)).toBe(epoch + 2);
		expect(ledger.assign(partition, 0, 0)).toBe(epoch + 3);
	});

	it("ignores a commit that was taken under an older epoch", () => {
		const { ledger, epoch } = ledgerWith([5]);
		ledger.acknowledger(partition, epoch)(5);
		const [due] = ledger.due();
		ledger.assign(partition, 2, 2);
		ledger.committed(due ? [due] : []);
		expect(ledger.of(partition)?.committed).toBe(2);
	});

	it("has nothing due before anything moved", () => {
		expect(ledgerWith([3, 4]).ledger.due()).toEqual([]);
	});
});

class ScriptedStore implements OffsetStore {
	readonly commits: number[][] = [];
	answers: (() => Promise<void>)[] = [];
	commit(offsets: readonly { offset: number }[]): Promise<void> {
		this.commits.push(offsets.map(({ offset }) => offset));
		return (this.answers.shift() ?? (() => Promise.resolve()))();
	}
}

describe("OffsetCommitter", () => {
	it("commits by interval, and only what moved", async () => {
		const { ledger, epoch } = ledgerWith([0, 1, 2]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, clock, intervalMs: 1_000 });
		committer.start();
		ledger.acknowledger(partition, epoch)(0);
		await clock.advance(999);
		expect(store.commits).toEqual([]);
		await clock.advance(1);
		expect(store.commits).toEqual([[1]]);
		await clock.advance(5_000);
		expect(store.commits).toEqual([[1]]);
		ledger.acknowledger(partition, epoch)(1);
		await clock.advance(1_000);
		expect(store.commits).toEqual([[1], [2]]);
		committer.dispose();
		ledger.acknowledger(partition, epoch)(2);
		await clock.advance(5_000);
		expect(store.commits).toEqual([[1], [2]]);
	});

	it("has one commit under way at a time, so that an older one can't land after a newer one", async () => {
		const { ledger, epoch } = ledgerWith([0, 1]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, clock, intervalMs: 1_000 });
		let answer: () => void = () => {};
		store.answers.push(() => new Promise((resolve) => (answer = resolve)));
		ledger.acknowledger(partition, epoch)(0);
		const first = committer.commit();
		await settle();
		ledger.acknowledger(partition, epoch)(1);
		const second = committer.commit();
		await settle();
		expect(store.commits).toEqual([[1]]);
		answer();
		expect([await first, await second]).toEqual([true, true]);
		expect(store.commits).toEqual([[1], [2]]);
	});

	it("changes nothing when a commit fails, tells it, and takes the offset along with the next", async () => {
		const { ledger, epoch } = ledgerWith([0]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, clock, intervalMs: 1_000 });
		const failed: unknown[] = [];
		committer.on("offsets:commit_failed", (fact) => failed.push(fact));
		store.answers.push(() => Promise.reject(Object.assign(new Error("away"), { code: "kafka_-195" })));
		ledger.acknowledger(partition, epoch)(0);
		expect(await committer.commit()).toBe(false);
		expect(failed).toMatchObject([{ message: "away", code: "kafka_-195" }]);
		expect(ledger.of(partition)?.committed).toBe(0);
		expect(await committer.commit()).toBe(true);
		expect(ledger.of(partition)?.committed).toBe(1);
	});

	it("tries the last commit again where the group is between generations, and nothing else", async () => {
		const { ledger, epoch } = ledgerWith([0]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, clock, intervalMs: 1_000 });
		const refused = (code: number) => () => Promise.reject(new KafkaError("refused", code));
		store.answers.push(refused(kafkaErrors.illegalGeneration), refused(kafkaErrors.rebalanceInProgress));
		ledger.acknowledger(partition, epoch)(0);
		const committed = committer.commitLast([partition]);
		await clock.advance(1_000);
		expect(await committed).toBe(true);
		expect(store.commits).toEqual([[1], [1], [1]]);
	});

	it("gives the last commit up after five tries, and at once where the member was given up", async () => {
		const { ledger, epoch } = ledgerWith([0]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, clock, intervalMs: 1_000 });
		const refused = (code: number) => () => Promise.reject(new KafkaError("refused", code));
		ledger.acknowledger(partition, epoch)(0);
		store.answers.push(refused(kafkaErrors.unknownMember));
		expect(await committer.commitLast([partition])).toBe(false);
		store.answers.push(...Array.from({ length: 9 }, () => refused(kafkaErrors.illegalGeneration)));
		const committed = committer.commitLast([partition]);
		await clock.advance(60_000);
		expect(await committed).toBe(false);
		expect(store.commits.length).toBe(6);
	});
});
