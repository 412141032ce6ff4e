/** Commits of a client whose results the test plays: node-rdkafka tells them as events, by their offsets alone. */
import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { ClientCommits } from "../../../../src/kafka/client/client-commits.ts";
import { KafkaError } from "../../../../src/kafka/client/kafka-error.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";

interface Offset {
	readonly topic: string;
	readonly partition: number;
	readonly offset: number;
}

const at = (...offsets: number[]): Offset[] => offsets.map((offset, partition) => ({ topic: "t", partition, offset }));

function scene({ refuses = false } = {}) {
	const clock = new ManualClock();
	const asked: Offset[][] = [];
	const raw = Object.assign(new EventEmitter(), {
		commit: (offsets: Offset[]) => {
			if (refuses) throw Object.assign(new Error("erroneous state"), { code: -172 });
			asked.push(offsets);
		},
	});
	const commits = new ClientCommits(raw as never, clock, ({ message, code }) => new KafkaError(message, code));
	const told: string[] = [];
	const commit = (...offsets: number[]) =>
		void commits.commit(at(...offsets)).then(
			() => told.push(`${offsets} committed`),
			({ message }) => told.push(`${offsets} ${message}`),
		);
	const answer = async (offsets: Offset[], error: Error | null = null) => {
		raw.emit("offset.commit", error, offsets);
		await settle();
	};
	return { clock, asked, commits, told, commit, answer };
}

describe("commits of a client", () => {
	it("go one by one, each answered by its own result, in whatever order its partitions come", async () => {
		const { asked, told, commit, answer } = scene();
		commit(5, 7);
		commit(6, 8);
		await settle();
		expect(asked).toEqual([at(5, 7)]);
		await answer(at(5, 7).reverse());
		expect([told, asked.length]).toEqual([["5,7 committed"], 2]);
		await answer(at(6, 8), Object.assign(new Error("not coordinator"), { code: 16 }));
		expect(told.at(-1)).toBe("6,8 not coordinator");
	});

	it("are not answered by the result of another, which counts as answered all the same", async () => {
		const { clock, commits, told, commit, answer } = scene();
		commit(5);
		await settle();
		await clock.advance(30_000);
		expect([told, commits.unanswered]).toEqual([["5 no answer to the commit within 30000 ms"], 1]);
		commit(6);
		await settle();
		expect(commits.unanswered).toBe(2);
		await answer(at(5));
		expect([told.length, commits.unanswered]).toEqual([1, 1]);
		await answer(at(6));
		expect([told.at(-1), commits.unanswered]).toEqual(["6 committed", 0]);
	});

	it("that the client refuses at once owe no answer, and hold up no other", async () => {
		const { commits, told, commit } = scene({ refuses: true });
		commit(5);
		commit(6);
		await settle();
		expect([told, commits.unanswered]).toEqual([["5 erroneous state", "6 erroneous state"], 0]);
	});
});
