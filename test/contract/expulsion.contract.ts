/**
 * What a GroupClient tells a member that its group gave up: also where the member had something to answer just then. Delivery takes a
 * partition for lost by it, and lives on. Part of the group client's contract.
 */
import { describe, expect, it } from "vitest";
import { KafkaError, kafkaErrors } from "../../src/kafka/client/kafka-error.ts";
import type { GroupScene } from "./group-scene.ts";
import { Member, QUIET_POLLS } from "./polling-member.ts";

/** Runs the suite; `open` makes a topic with so many partitions and a group. */
export function expulsionContract(name: string, open: (partitions: number) => Promise<GroupScene>): void {
	describe(`a member that doesn't poll for too long: ${name}`, () => {
		it("is told so, then revoked all, and gets a share again; its commits are refused", async () => {
			await using scene = await open(2);
			const first = await Member.join(scene);
			await first.untilAssigned([0, 1]);
			await first.commit(0, 1);
			await first.stopPolling();
			await scene.exceedMaxPoll(first.client);
			const second = await Member.join(scene);
			await second.untilAssigned([0, 1]);
			expect(first.told).toEqual(["assign 0 1"]);
			const late = first.commit(0, 2).catch((error) => error);
			first.poll();
			expect(await late).toBeInstanceOf(KafkaError);
			await scene.until("a share again", () => first.assigned.length === 1 && second.assigned.length === 1);
			expect(first.told.slice(0, 3)).toEqual(["assign 0 1", `failed ${kafkaErrors.maxPollExceeded}`, "revoke 0 1"]);
			expect(await second.committed()).toEqual([1, null]);
		});

		it("while it has a revocation to answer is revoked the rest behind that and an empty assignment", async () => {
			await using scene = await open(2);
			const first = await Member.join(scene);
			await first.untilAssigned([0, 1]);
			first.answers = false;
			const second = await Member.join(scene);
			const revocation = await first.unanswered("revoke");
			await first.stopPolling();
			await scene.exceedMaxPoll(first.client);
			await second.untilAssigned([0, 1]);
			first.answers = true;
			revocation.answer();
			first.poll();
			await scene.until("a share again", () => first.assigned.length === 1 && second.assigned.length === 1);
			const [given] = revocation.partitions as [number];
			const told = first.told.slice(first.told.indexOf(`revoke ${given}`));
			expect(told.slice(0, 4)).toEqual([`revoke ${given}`, `failed ${kafkaErrors.maxPollExceeded}`, "assign ", `revoke ${1 - given}`]);
		});

		it("while it has an assignment to answer is told nothing more before it answered; then that is revoked", async () => {
			await using scene = await open(2);
			const first = await Member.join(scene, { answers: false });
			const assignment = await first.unanswered("assign");
			await first.stopPolling();
			const second = await Member.join(scene);
			await scene.exceedMaxPoll(first.client);
			await second.untilAssigned([0, 1]);
			first.poll();
			expect(await first.commit(0, 2).catch((error) => error)).toMatchObject({ kafkaCode: kafkaErrors.unknownMember });
			await first.pollTimes(QUIET_POLLS);
			expect(first.told).toEqual(["assign 0 1"]);
			first.answers = true;
			assignment.answer();
			await scene.until("a share", () => first.assigned.length === 1 && second.assigned.length === 1);
			expect(first.told.slice(0, 2)).toEqual(["assign 0 1", "revoke 0 1"]);
		});
	});
}
