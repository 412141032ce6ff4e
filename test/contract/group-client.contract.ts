/**
 * What delivery depends on in a GroupClient. The simulated client and node-rdkafka's on a real Kafka pass the same assertions, so that
 * the simulation can't drift away from what it stands for. Nothing here sleeps: what must not happen is looked for during polls that
 * bring other things, or that are counted.
 */
import { describe, expect, it } from "vitest";
import type { GroupScene } from "./group-scene.ts";
import { Member, QUIET_POLLS } from "./polling-member.ts";

/** Runs the suite; `open` makes a topic with so many partitions and a group. `ids`: options of the tests of topic ids. */
export function groupClientContract(
	name: string,
	open: (partitions: number) => Promise<GroupScene>,
	ids: { readonly skip?: boolean } = {},
): void {
	describe(`the group client: ${name}`, () => {
		describe("assignment", () => {
			it("is told by polling only, and asked for by joining", async () => {
				await using scene = await open(2);
				const first = await Member.join(scene);
				await first.untilAssigned([0, 1]);
				const second = await Member.join(scene, { polls: false });
				// The group knows of the second: the first has to give up something for it.
				await scene.until("a revocation", () => first.revoked.length === 1);
				await first.pollTimes(QUIET_POLLS);
				expect(second.told).toEqual([]);
				second.poll();
				await scene.until("a partition of its own", () => second.assigned.length === 1);
				expect([...first.assigned, ...second.assigned].sort()).toEqual([0, 1]);
				expect(second.assigned).toEqual(first.revoked);
			});

			it("stops all fetching until it is answered, and nothing is lost by that", async () => {
				await using scene = await open(2);
				const first = await Member.join(scene);
				await first.untilAssigned([0, 1]);
				await scene.produce(0, ["a", "b"]);
				await scene.produce(1, ["a", "b"]);
				await scene.until("four messages", () => first.messages.length === 4);
				first.answers = false;
				const second = await Member.join(scene);
				const revocation = await first.unanswered("revoke");
				await scene.produce(0, ["c", "d"]);
				await scene.produce(1, ["c", "d"]);
				await first.pollTimes(QUIET_POLLS);
				expect(first.messages.length).toBe(4);
				// Nor has the next owner got what is not given up yet.
				expect(second.assigned).toEqual([]);
				expect(second.messages).toEqual([]);
				first.answers = true;
				revocation.answer();
				await scene.until("all that was produced", () => {
					const seen = [0, 1].map((partition) => new Set([...first.offsets(partition), ...second.offsets(partition)]).size);
					return seen.every((count) => count === 4);
				});
				const [given] = revocation.partitions as [number];
				expect(second.assigned).toEqual([given]);
				expect(first.offsets(1 - given)).toEqual([0, 1, 2, 3]);
				expect(first.offsets(given)).toEqual([0, 1]);
				expect(second.offsets(given)).toEqual([0, 1, 2, 3]);
			});

			it("unanswered, fetches nothing either", async () => {
				await using scene = await open(1);
				await scene.produce(0, ["a"]);
				const member = await Member.join(scene, { answers: false });
				const assignment = await member.unanswered("assign");
				expect(assignment.partitions).toEqual([0]);
				await member.pollTimes(QUIET_POLLS);
				expect(member.messages).toEqual([]);
				member.answers = true;
				assignment.answer();
				await scene.until("the message", () => member.messages.length === 1);
			});

			it("ends each change for everybody, with nothing in it where nothing is added", async () => {
				await using scene = await open(1);
				const first = await Member.join(scene);
				await first.untilAssigned([0]);
				const [second, third] = [await Member.join(scene), await Member.join(scene)];
				await scene.until("assignments", () => [first, second, third].every(({ told }) => told.includes("assign ")));
				expect([first.assigned, second.assigned, third.assigned]).toEqual([[0], [], []]);
				expect(first.told[0]).toBe("assign 0");
				expect([first, second, third].flatMap(({ revoked }) => revoked)).toEqual([]);
				await scene.produce(0, ["a"]);
				await scene.until("the message", () => first.messages.length === 1);
			});

			it("of a member that left goes to who stays", async () => {
				await using scene = await open(2);
				const [first, second] = [await Member.join(scene), await Member.join(scene)];
				await scene.until("a share for each", () => first.assigned.length === 1 && second.assigned.length === 1);
				expect(await first.close()).toBe(true);
				await second.untilAssigned([0, 1]);
				expect(first.assigned).toEqual([]);
			});
		});

		describe("messages", () => {
			it("begin at the assigned offset and ascend, across gaps", async () => {
				await using scene = await open(2);
				await scene.produce(0, ["a", "b", "c"]);
				const gapTo = await scene.leaveGap(0);
				expect(gapTo).toBeGreaterThan(3);
				await scene.produce(0, ["d", "e"]);
				await scene.produce(1, ["a"]);
				const member = await Member.join(scene, { startAt: (partition) => (partition === 0 ? 1 : 0) });
				await scene.until("five messages", () => member.messages.length === 5);
				expect(member.offsets(0)).toEqual([1, 2, gapTo, gapTo + 1]);
				expect(member.offsets(1)).toEqual([0]);
				const [message] = member.messages.filter(({ partition }) => partition === 0);
				expect(message).toMatchObject({ topic: scene.topic, partition: 0, offset: 1, timestamp: 1_700_000_000_001 });
				expect([message?.key?.toString(), message?.value?.toString()]).toEqual(["b", "value of b"]);
			});

			it("are not fetched where the position lies outside the log: an error says so once, and a seek goes on", async () => {
				await using scene = await open(1);
				await scene.produce(0, ["a", "b"]);
				const member = await Member.join(scene, { startAt: () => 100 });
				await scene.until("the error", () => member.told.includes("failed -140"));
				await member.pollTimes(QUIET_POLLS);
				await scene.produce(0, ["c"]);
				await member.pollTimes(QUIET_POLLS);
				expect([member.messages, member.told]).toEqual([[], ["assign 0", "failed -140"]]);
				member.seek(0, 1);
				await scene.until("two messages", () => member.messages.length === 2);
				expect([member.offsets(0), member.assigned]).toEqual([[1, 2], [0]]);
				await scene.until("the end", () => member.endsOf(0).includes(3));
			});

			it("come from where a seek says, back and forth, and those of other partitions go on", async () => {
				await using scene = await open(2);
				const keys = ["a", "b", "c", "d", "e"];
				await scene.produce(0, keys);
				const member = await Member.join(scene);
				await scene.until("five messages", () => member.messages.length === 5);
				member.seek(0, 3);
				await scene.produce(1, keys);
				await scene.until("two again, and five", () => member.messages.length === 12);
				expect([member.offsets(0), member.offsets(1)]).toEqual([
					[0, 1, 2, 3, 4, 3, 4],
					[0, 1, 2, 3, 4],
				]);
				member.pause(0);
				member.seek(0, 1);
				member.pause(0);
				await member.pollTimes(QUIET_POLLS);
				expect(member.messages.length).toBe(12);
				member.resume(0);
				await scene.until("four again", () => member.messages.length === 16);
				expect(member.offsets(0).slice(7)).toEqual([1, 2, 3, 4]);
				await member.commit(0, 5);
				expect(await member.committed()).toEqual([5, null]);
			});

			it("of a paused partition don't come, others do; resumed it goes on without loss or repeat", async () => {
				await using scene = await open(2);
				const many = Array.from({ length: 300 }, (_, index) => `k${index}`);
				await scene.produce(0, many);
				await scene.produce(1, many);
				const member = await Member.join(scene, { polls: false });
				while (member.offsets(0).length === 0 || member.assigned.length < 2) await member.pollTimes(1, 10);
				member.pause(0);
				const before = member.offsets(0).length;
				expect(before).toBeLessThan(many.length);
				while (member.offsets(1).length < many.length) await member.pollTimes(1);
				await member.pollTimes(QUIET_POLLS);
				expect(member.offsets(0).length).toBe(before);
				member.resume(0);
				await scene.produce(0, ["last"]);
				member.poll();
				await scene.until("the rest", () => member.offsets(0).at(-1) === many.length);
				expect(member.offsets(0)).toEqual(Array.from({ length: many.length + 1 }, (_, offset) => offset));
			});
		});

		describe("a partition that was paused, given away and given back", () => {
			it("is fetched: nobody who has it now paused it", async () => {
				await using scene = await open(1);
				const member = await Member.join(scene);
				await member.untilAssigned([0]);
				member.pause(0);
				await scene.produce(0, ["a"]);
				await member.pollTimes(QUIET_POLLS);
				expect(member.messages).toEqual([]);
				member.unsubscribe();
				await member.untilAssigned([]);
				member.subscribe();
				await scene.until("the message", () => member.messages.length === 1);
				expect(member.offsets(0)).toEqual([0]);
			});
		});

		describe("the end of a partition", () => {
			it("is told once, with the next offset, and again only behind more", async () => {
				await using scene = await open(2);
				await scene.produce(0, ["a", "b"]);
				const member = await Member.join(scene);
				await scene.until("both ends", () => member.ends.length === 2);
				await member.pollTimes(QUIET_POLLS);
				expect(member.endsOf(0)).toEqual([2]);
				expect(member.endsOf(1)).toEqual([0]);
				await scene.produce(0, ["c"]);
				await scene.until("the new end", () => member.endsOf(0).length === 2);
				expect(member.offsets(0)).toEqual([0, 1, 2]);
				await member.pollTimes(QUIET_POLLS);
				expect([member.endsOf(0), member.endsOf(1)]).toEqual([[2, 3], [0]]);
			});

			it("lies behind a gap where no message is", async () => {
				await using scene = await open(1);
				await scene.produce(0, ["a"]);
				const end = await scene.leaveGap(0);
				const member = await Member.join(scene);
				await scene.until("the end", () => member.endsOf(0).includes(end));
				expect(member.offsets(0)).toEqual([0]);
				const next = await scene.leaveGap(0);
				await scene.until("the new end", () => member.endsOf(0).includes(next));
				expect(member.offsets(0)).toEqual([0]);
				expect(await member.watermarks(0)).toEqual({ low: 0, high: next });
			});

			it("is told to a partition that was paused meanwhile", async () => {
				await using scene = await open(1);
				const member = await Member.join(scene);
				await scene.until("the empty end", () => member.endsOf(0).length === 1);
				member.pause(0);
				await scene.produce(0, ["a"]);
				await member.pollTimes(QUIET_POLLS);
				expect([member.messages.length, member.endsOf(0)]).toEqual([0, [0]]);
				member.resume(0);
				await scene.until("the end", () => member.endsOf(0).at(-1) === 1);
				expect(member.offsets(0)).toEqual([0]);
			});
		});

		describe("offsets", () => {
			it("are null before the first commit, then what was committed last", async () => {
				await using scene = await open(2);
				const member = await Member.join(scene);
				await member.untilAssigned([0, 1]);
				expect(await member.committed()).toEqual([null, null]);
				await member.commit(0, 7);
				expect(await member.committed()).toEqual([7, null]);
				await Promise.all([member.commit(0, 9), member.commit(0, 8), member.commit(1, 0)]);
				expect(await member.committed()).toEqual([8, 0]);
				const other = await Member.connect(scene);
				expect(await other.committed()).toEqual([8, 0]);
			});

			it("are told by watermarks, time and metadata", async () => {
				await using scene = await open(2);
				await scene.produceAt(0, [100, 300, 200, 400]);
				const member = await Member.connect(scene);
				expect([await member.watermarks(0), await member.watermarks(1)]).toEqual([
					{ low: 0, high: 4 },
					{ low: 0, high: 0 },
				]);
				// The first offset that is as new, whatever comes behind it.
				const found: (number | null)[] = [];
				for (const timestamp of [50, 100, 150, 250, 350, 400, 401]) found.push(await member.offsetForTime(0, timestamp));
				expect(found).toEqual([0, 0, 1, 1, 3, 3, null]);
				expect(await member.offsetForTime(1, 0)).toBe(null);
				expect((await member.metadata()).get(scene.topic)).toBe(2);
				expect((await member.metadata()).get("no such topic") ?? 0).toBe(0);
			});

			it("have a record, or the next one behind a gap, or none", async () => {
				await using scene = await open(1);
				await scene.produce(0, ["a", "b"]);
				const gapTo = await scene.leaveGap(0);
				await scene.produce(0, ["c"]);
				const member = await Member.join(scene);
				await scene.until("three messages", () => member.messages.length === 3);
				expect(await member.recordAt(0, 1)).toEqual({ offset: 1, timestamp: 1_700_000_000_001 });
				expect(await member.recordAt(0, 2)).toEqual({ offset: gapTo, timestamp: 1_700_000_000_002 });
				expect(await member.recordAt(0, gapTo + 1)).toBe(null);
				// What is fetched is not disturbed by that.
				expect([member.assigned, member.messages.length]).toEqual([[0], 3]);
			});

			it("of the log's end are known without asking once something was fetched", async () => {
				await using scene = await open(1);
				await scene.produce(0, ["a", "b", "c"]);
				const member = await Member.join(scene, { polls: false });
				expect(member.cachedHighWatermark(0)).toBe(null);
				member.poll();
				await scene.until("the end", () => member.endsOf(0).length === 1);
				expect(member.cachedHighWatermark(0)).toBe(3);
			});
		});

		describe("the id of a topic", ids, () => {
			it("is the same for every client and over time; a topic that isn't there has none", async () => {
				await using scene = await open(1);
				const [first, second] = [await Member.connect(scene), await Member.join(scene)];
				const ids = await first.topicIds([scene.topic, "no such topic", "no-such-topic", scene.topic]);
				expect([...ids.keys()]).toEqual([scene.topic]);
				expect(ids.get(scene.topic)).toEqual(expect.any(String));
				await scene.produce(0, ["a"]);
				await scene.until("the message", () => second.messages.length === 1);
				expect(await second.topicIds()).toEqual(ids);
				expect(await first.topicIds()).toEqual(ids);
				expect(await first.topicIds([])).toEqual(new Map());
			});

			it("is another one where the topic was made again", async () => {
				await using scene = await open(2);
				const member = await Member.connect(scene);
				const before = (await member.topicIds()).get(scene.topic);
				await scene.recreate();
				const after = (await member.topicIds()).get(scene.topic);
				expect(after).toEqual(expect.any(String));
				expect(after).not.toBe(before);
				expect((await (await Member.connect(scene)).topicIds()).get(scene.topic)).toBe(after);
			});
		});

		describe("leaving", () => {
			it("by unsubscribing gives all up by a revocation; the member can come back", async () => {
				await using scene = await open(2);
				const member = await Member.join(scene);
				await member.untilAssigned([0, 1]);
				member.unsubscribe();
				await scene.until("a revocation", () => member.revoked.length === 2);
				expect(member.assigned).toEqual([]);
				const other = await Member.join(scene);
				await other.untilAssigned([0, 1]);
				member.subscribe();
				await scene.until("a share", () => member.assigned.length === 1);
			});

			it("and joining again in one breath revokes all, and assigns it anew", async () => {
				await using scene = await open(2);
				const member = await Member.join(scene);
				await member.untilAssigned([0, 1]);
				member.unsubscribe();
				member.subscribe();
				await scene.until("all anew", () => member.revoked.length === 2 && member.assigned.length === 2);
				await member.commit(0, 3);
				expect(await member.committed()).toEqual([3, null]);
			});

			it("by closing resolves true and revokes what is left", async () => {
				await using scene = await open(2);
				const member = await Member.join(scene);
				await member.untilAssigned([0, 1]);
				expect(await member.close()).toBe(true);
				expect([member.revoked.sort(), member.assigned]).toEqual([[0, 1], []]);
			});

			it("closing with an assignment to answer closes, taken or given back, and leaves nothing assigned", async () => {
				await using scene = await open(2);
				const member = await Member.join(scene, { answers: false });
				const assignment = await member.unanswered("assign");
				member.answers = true;
				const closed = member.client.close();
				assignment.answer();
				expect(await scene.settled(closed)).toBe(true);
				expect(member.assigned).toEqual([]);
			});

			it("closing before it joined revokes nothing", async () => {
				await using scene = await open(1);
				const member = await Member.connect(scene);
				expect(await member.close()).toBe(true);
				expect(member.told).toEqual([]);
			});
		});
	});
}
