import { describe, expect, it } from "vitest";
import { PocKaffeError } from "../../../src/core/errors.ts";
import type { TopicPartition } from "../../../src/core/messages/message.ts";
import { NOTES_REFUSED } from "../../../src/core/offsets/position-note.ts";
import { KafkaError, kafkaErrors } from "../../../src/kafka/client/kafka-error.ts";
import { OffsetCommitter } from "../../../src/kafka/offsets/offset-committer.ts";
import { OffsetLedger } from "../../../src/kafka/offsets/offset-ledger.ts";
import type { OffsetStore } from "../../../src/kafka/offsets/offset-store.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";

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

	it("knows which log its offsets are of, and a record of it", () => {
		const ledger = new OffsetLedger();
		const epoch = ledger.assign(partition, 0, null, "id");
		expect(ledger.due()).toEqual([{ ...partition, epoch, offset: 0, logId: "id", witness: null }]);
		ledger.received(partition, epoch, [0, 4], 1_700);
		ledger.received(partition, epoch, [5], -1);
		expect(ledger.due()[0]?.witness).toEqual({ offset: 4, timestamp: 1_700 });
		// The first instant of all is a time, too; nothing received is none.
		ledger.received(partition, epoch, [6], 0);
		ledger.received(partition, epoch, [], 1_800);
		expect(ledger.due()[0]?.witness).toEqual({ offset: 6, timestamp: 0 });
		expect(ledger.assigned).toEqual([{ ...partition, epoch, logId: "id" }]);
		expect(ledger.current([{ ...partition, epoch: epoch + 1 }])).toEqual([]);
	});

	it("knows where each partition is: what it received, finished and committed", () => {
		const { ledger, epoch } = ledgerWith([3, 4, 7]);
		const acknowledge = ledger.acknowledger(partition, epoch);
		expect([acknowledge(3), acknowledge(7)]).toEqual([true, true]);
		expect(ledger.of(partition)).toEqual({ epoch, logId: null, committed: 3, position: 8, committable: 4, unfinished: 2 });
		ledger.endOfPartition(partition, 9);
		ledger.endOfPartition({ topic: "t", partition: 5 }, 9);
		expect(ledger.of(partition)).toMatchObject({ position: 9, committable: 4 });
		expect(acknowledge(4)).toBe(true);
		expect(ledger.of(partition)?.committable).toBe(9);
		expect(ledger.of({ topic: "t", partition: 5 })).toBeUndefined();
	});

	it("has due what is past a commit, of all partitions or of those that are asked for, and commits only forwards", () => {
		const { ledger, epoch } = ledgerWith([0, 1]);
		const other = { topic: "t", partition: 5 };
		const otherEpoch = ledger.assign(other, 8, null);
		ledger.acknowledger(partition, epoch)(0);
		expect(ledger.due().map(({ partition: id, offset }) => [id, offset])).toEqual([
			[0, 1],
			[5, 8],
		]);
		expect(ledger.due([other, { topic: "t", partition: 6 }]).map(({ offset }) => offset)).toEqual([8]);
		const [due] = ledger.due([partition]);
		ledger.acknowledger(partition, epoch)(1);
		ledger.committed(ledger.due());
		ledger.committed(due ? [due] : []);
		expect([ledger.of(partition)?.committed, ledger.of(other)?.committed, ledger.due()]).toEqual([2, 8, []]);
		expect(
			ledger.current([
				{ ...other, epoch: otherEpoch },
				{ ...other, epoch: otherEpoch - 1 },
			]),
		).toHaveLength(1);
	});

	it("takes no messages of an epoch that is over, and none of a partition that it does not have", () => {
		const { ledger, epoch } = ledgerWith([0]);
		expect(ledger.received(partition, epoch, [1])).toBe(true);
		expect(ledger.received(partition, epoch + 1, [2])).toBe(false);
		ledger.release(partition);
		expect(ledger.received(partition, epoch, [2])).toBe(false);
		expect([ledger.assigned, ledger.due()]).toEqual([[], []]);
	});

	it("has nothing due before anything moved", () => {
		expect(ledgerWith([3, 4]).ledger.due()).toEqual([]);
	});
});

class ScriptedStore implements Pick<OffsetStore, "commit" | "note"> {
	readonly commits: number[][] = [];
	/** What was asked and noted before, in order. */
	readonly steps: string[] = [];
	asked: () => Promise<void> = async () => {};
	noted: () => Promise<readonly TopicPartition[]> = async () => [];

	/** The look whether it is still the same log. */
	check(): Promise<void> {
		this.steps.push("looked");
		return this.asked();
	}

	note(positions: readonly { offset: number }[]): Promise<readonly TopicPartition[]> {
		this.steps.push(`noted ${positions.map(({ offset }) => offset)}`);
		return this.noted();
	}

	answers: (() => Promise<void>)[] = [];
	commit(offsets: readonly { offset: number }[]): Promise<void> {
		this.steps.push(`committed ${offsets.map(({ offset }) => offset)}`);
		this.commits.push(offsets.map(({ offset }) => offset));
		return (this.answers.shift() ?? (() => Promise.resolve()))();
	}
}

describe("OffsetCommitter", () => {
	it("commits by interval, and only what moved", async () => {
		const { ledger, epoch } = ledgerWith([0, 1, 2]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, logs: store, client: () => null, clock, intervalMs: 1_000 });
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
		// As where a stop comes in the middle of a start.
		committer.start();
		ledger.acknowledger(partition, epoch)(2);
		await clock.advance(5_000);
		expect(store.commits).toEqual([[1], [2]]);
	});

	it("has one commit under way at a time, so that an older one can't land after a newer one", async () => {
		const { ledger, epoch } = ledgerWith([0, 1]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, logs: store, client: () => null, clock, intervalMs: 1_000 });
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
		const committer = new OffsetCommitter({ ledger, store, logs: store, client: () => null, clock, intervalMs: 1_000 });
		ledger.acknowledger(partition, epoch)(0);
		store.asked = async () => ledger.release(partition);
		expect(await committer.commit()).toBe(true);
		expect(store.commits).toEqual([]);
	});

	it("notes how far it came before Kafka hears of it, and looks again where that took long", async () => {
		const { ledger, epoch } = ledgerWith([0, 1]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, logs: store, client: () => null, clock, intervalMs: 1_000 });
		ledger.acknowledger(partition, epoch)(0);
		await committer.commit();
		expect(store.steps.splice(0)).toEqual(["looked", "noted 1", "committed 1"]);
		store.noted = async () => {
			await clock.sleep(1_000);
			// What was finished meanwhile is not noted yet.
			return [];
		};
		ledger.acknowledger(partition, epoch)(1);
		const committed = committer.commit();
		await clock.advance(1_000);
		await committed;
		expect(store.steps).toEqual(["looked", "noted 2", "looked", "committed 2"]);
	});

	it("commits what was noted and no more, whatever is finished meanwhile", async () => {
		const { ledger, epoch } = ledgerWith([0, 1]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, logs: store, client: () => null, clock, intervalMs: 1_000 });
		ledger.acknowledger(partition, epoch)(0);
		store.noted = async () => {
			ledger.acknowledger(partition, epoch)(1);
			return [];
		};
		await committer.commit();
		expect(store.commits).toEqual([[1]]);
	});

	it("commits nothing that can't be noted, and takes it along with the next", async () => {
		const { ledger, epoch } = ledgerWith([0]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, logs: store, client: () => null, clock, intervalMs: 1_000 });
		const failed: unknown[] = [];
		committer.on("offsets:commit_failed", (fact) => failed.push(fact));
		ledger.acknowledger(partition, epoch)(0);
		store.noted = () => Promise.reject(Object.assign(new Error("away"), { code: "ECONNREFUSED" }));
		expect(await committer.commit()).toBe(false);
		expect([store.commits, failed]).toMatchObject([[], [{ message: "away", code: "ECONNREFUSED" }]]);
		store.noted = async () => [];
		expect(await committer.commit()).toBe(true);
		expect(store.commits).toEqual([[1]]);
	});

	it("commits nothing of a partition whose note is of another log by now", async () => {
		const { ledger, epoch } = ledgerWith([0]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, logs: store, client: () => null, clock, intervalMs: 1_000 });
		ledger.acknowledger(partition, epoch)(0);
		store.noted = async () => [partition];
		await committer.commit();
		expect(store.commits).toEqual([]);
	});

	it("changes nothing when a commit fails, tells it, and takes the offset along with the next", async () => {
		const { ledger, epoch } = ledgerWith([0]);
		const [clock, store] = [new ManualClock(), new ScriptedStore()];
		const committer = new OffsetCommitter({ ledger, store, logs: store, client: () => null, clock, intervalMs: 1_000 });
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
			const committer = new OffsetCommitter({ ledger, store, logs: store, client: () => null, clock, intervalMs: 1_000 });
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

		it("gives up at once where the notes' table refuses: a person has to mend that", async () => {
			const { ledger, epoch } = ledgerWith([0]);
			const [clock, store] = [new ManualClock(), new ScriptedStore()];
			ledger.acknowledger(partition, epoch)(0);
			store.noted = () => Promise.reject(new PocKaffeError(NOTES_REFUSED, "no right"));
			const committer = new OffsetCommitter({ ledger, store, logs: store, client: () => null, clock, intervalMs: 1_000 });
			expect(await committer.commitWithin(1_000, [partition])).toBe(false);
			expect(store.commits).toEqual([]);
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
			let isGivenUp = false;
			void committed.then(() => (isGivenUp = true));
			await clock.advance(999);
			expect(isGivenUp).toBe(false);
			await clock.advance(1);
			expect(await committed).toBe(false);
			expect(clock.pending).toEqual([]);
		});
	});
});

describe("OffsetCommitter with several topics", () => {
	const topics = ["a", "b", "c"];
	const { topicAuthorizationFailed, groupAuthorizationFailed, unknownTopicOrPartition } = kafkaErrors;

	/** A topic each, with one message finished; commits that hold one of `refused` are refused with its code. */
	function scene(refused: Readonly<Record<string, number>>, unchecked: Readonly<Record<string, number>> = {}) {
		const [clock, ledger] = [new ManualClock(), new OffsetLedger()];
		for (const topic of topics) {
			const epoch = ledger.assign({ topic, partition: 0 }, 0, 0);
			ledger.received({ topic, partition: 0 }, epoch, [0]);
			ledger.acknowledger({ topic, partition: 0 }, epoch)(0);
		}
		const commits: string[] = [];
		const take = async (offsets: readonly (TopicPartition & { offset: number })[]) => {
			commits.push(offsets.map(({ topic, offset }) => `${topic}@${offset}`).join());
			const code = offsets.map(({ topic }) => refused[topic]).find(Boolean);
			if (code !== undefined) throw new KafkaError(`Kafka's ${code}`, code);
		};
		/** Where topics have no id: asked for all of them, Kafka gives one error. */
		const check = async (positions: readonly TopicPartition[]) => {
			const code = positions.map(({ topic }) => unchecked[topic]).find(Boolean);
			if (code !== undefined) throw new KafkaError(`Kafka's ${code}`, code);
		};
		const committer = new OffsetCommitter({
			ledger,
			store: { note: async () => [], commit: take },
			logs: { check },
			client: () => ({ commit: take }),
			clock,
			intervalMs: 1_000,
		});
		const told: string[] = [];
		committer.on("offsets:committed", ({ offsets }) => told.push(`committed ${offsets.map(({ topic }) => topic)}`));
		committer.on("offsets:commit_failed", ({ offsets, message }) => told.push(`failed ${offsets.map(({ topic }) => topic)}: ${message}`));
		const committed = () => topics.map((topic) => ledger.of({ topic, partition: 0 })?.committed);
		return { clock, ledger, committer, commits, told, committed };
	}

	it.each([topicAuthorizationFailed, unknownTopicOrPartition])(
		"commits them one by one where one of them is refused (%i): the others go in",
		async (code) => {
			const { committer, commits, told, committed } = scene({ b: code });
			expect(await committer.commit()).toBe(false);
			expect(commits).toEqual(["a@1,b@1,c@1", "a@1", "b@1", "c@1"]);
			expect(told).toEqual(["committed a", `failed b: Kafka's ${code}`, "committed c"]);
			expect(committed()).toEqual([1, 0, 1]);
		},
	);

	it.each([topicAuthorizationFailed, unknownTopicOrPartition])(
		"commits them one by one where the look at one of them is refused (%i): the others go in",
		async (code) => {
			const { committer, commits, told, committed } = scene({}, { b: code });
			expect(await committer.commit()).toBe(false);
			expect(commits).toEqual(["a@1", "c@1"]);
			expect(told).toEqual(["committed a", `failed b: Kafka's ${code}`, "committed c"]);
			expect(committed()).toEqual([1, 0, 1]);
		},
	);

	it("does not take apart what the whole group is refused", async () => {
		const { committer, commits, committed } = scene({ b: groupAuthorizationFailed });
		expect(await committer.commit()).toBe(false);
		expect([commits.length, committed()]).toEqual([1, [0, 0, 0]]);
	});

	it("says after half a minute which partitions can't be committed, until they can", async () => {
		const refused: Record<string, number> = { b: topicAuthorizationFailed };
		const { clock, committer } = scene(refused);
		committer.start();
		await clock.advance(31_500);
		expect(committer.problems).toMatchObject([
			{ code: "commits_failing", message: expect.stringMatching(/^the offsets of b\/0 can't be committed: Kafka's 29;/) },
		]);
		delete refused.b;
		await clock.advance(1_000);
		expect(committer.problems).toEqual([]);
		committer.dispose();
	});

	it("knows which topics nothing was committed of lately, and commits those once more where they are", async () => {
		const { clock, committer, commits } = scene({});
		const of = (...some: string[]) => some.map((topic) => ({ topic, partition: 0 }));
		expect(committer.idleFor(5_000)).toEqual(of(...topics));
		await committer.commit(of("a", "c"));
		await clock.advance(4_000);
		expect(committer.idleFor(5_000)).toEqual(of("b"));
		await committer.commit();
		await clock.advance(1_000);
		expect(committer.idleFor(5_000)).toEqual(of("a", "c"));
		await committer.commitAgain(of("a"));
		expect(commits).toEqual(["a@1,c@1", "b@1", "a@1"]);
	});

	it("once more never means an offset that another commit has passed", async () => {
		const { ledger, committer, commits } = scene({});
		const [first, again] = [committer.commit(), committer.commitAgain([{ topic: "a", partition: 0 }])];
		await Promise.all([first, again]);
		expect(commits).toEqual(["a@1,b@1,c@1", "a@1"]);
		ledger.release({ topic: "a", partition: 0 });
		await committer.commitAgain([{ topic: "a", partition: 0 }]);
		expect(commits).toHaveLength(2);
	});
});
