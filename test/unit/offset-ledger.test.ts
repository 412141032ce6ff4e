import { describe, expect, it } from "vitest";
import { KafkaError } from "../../src/kafka/kafka-error.ts";
import { OffsetCommitter } from "../../src/kafka/offset-committer.ts";
import { OffsetLedger } from "../../src/kafka/offset-ledger.ts";
import type { OffsetStore } from "../../src/kafka/offset-store.ts";
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

class ScriptedStore implements Pick<OffsetStore, "commit" | "refuseVanished"> {
	readonly commits: number[][] = [];
	asked: () => Promise<void> = async () => {};

	refuseVanished(): Promise<void> {
		return this.asked();
	}

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

	it("commits nothing of what was lost while it was asked whether its topic is still there", async () => {
		const { ledger, epoch } = ledgerWith([0]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, clock, intervalMs: 1_000 });
		ledger.acknowledger(partition, epoch)(0);
		store.asked = async () => ledger.release(partition);
		expect(await committer.commit()).toBe(true);
		expect(store.commits).toEqual([]);
	});

	it("commits nothing of a topic that was deleted", async () => {
		const { ledger, epoch } = ledgerWith([0]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, clock, intervalMs: 1_000 });
		ledger.acknowledger(partition, epoch)(0);
		store.asked = () => Promise.reject(new KafkaError("deleted", 3));
		expect(await committer.commit()).toBe(false);
		expect(store.commits).toEqual([]);
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

	describe("for partitions that are given away", () => {
		function givingAway(...answers: (() => Promise<void>)[]) {
			const { ledger, epoch } = ledgerWith([0]);
			const [clock, store] = [new ManualClock(), new ScriptedStore()];
			store.answers = answers;
			ledger.acknowledger(partition, epoch)(0);
			const committer = new OffsetCommitter({ ledger, store, clock, intervalMs: 1_000 });
			return { clock, store, ledger, committed: committer.commitWithin(1_000, [partition]) };
		}
		const fails = (code: number) => () => Promise.reject(new KafkaError("no", code));

		it("tries again what failed for the moment", async () => {
			const { clock, store, committed } = givingAway(fails(22), fails(27));
			await clock.advance(200);
			expect(await committed).toBe(true);
			expect(store.commits).toEqual([[1], [1], [1]]);
			expect(clock.pending).toEqual([]);
		});

		it("has nothing left to commit when the look at a deleted topic has dropped what was its", async () => {
			const { clock, store, ledger, committed } = givingAway(fails(3), fails(3));
			await clock.advance(100);
			ledger.release(partition);
			await clock.advance(100);
			expect(await committed).toBe(true);
			expect(store.commits).toEqual([[1], [1]]);
			expect(clock.pending).toEqual([]);
		});

		it.each([25, 82, 29, 30, -180, -195])("gives up at once what is refused for more than a moment (%i)", async (code) => {
			const { store, committed } = givingAway(fails(code));
			expect(await committed).toBe(false);
			expect(store.commits).toEqual([[1]]);
		});

		it.each([
			["is not answered", () => new Promise<void>(() => {})],
			["fails each time", fails(22)],
		])("gives up when the time is over and a commit %s", async (_, answer) => {
			const { clock, committed } = givingAway(...Array.from({ length: 20 }, () => answer));
			await clock.advance(1_000);
			expect(await committed).toBe(false);
			expect(clock.pending).toEqual([]);
		});
	});
});
