import { describe, expect, it } from "vitest";
import { kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { JoinRefusal } from "../../../../src/kafka/group/join-refusal.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

const kafka = { brokers: ["a:1", "b:2"], group: "orders", instanceId: "one", protocol: "eager", sasl: { username: "app" } } as const;

function refused(code: number, words: string) {
	const clock = new ManualClock();
	const refusal = new JoinRefusal(clock, kafka);
	refusal.refused(code, words);
	return { clock, refusal };
}

describe("a refusal by the group", () => {
	it("is told in Kafka's words with what mends it, since the first time", async () => {
		const { clock, refusal } = refused(kafkaErrors.inconsistentGroupProtocol, "Broker: Inconsistent group protocol");
		const sinceMs = clock.now();
		await clock.advance(10_000);
		refusal.refused(kafkaErrors.inconsistentGroupProtocol, "Broker: Inconsistent group protocol");
		const message =
			"the group orders refuses this member: Broker: Inconsistent group protocol; other members of the group join by another protocol than this one (kafka.protocol: eager): give all the same, or stop the others first; tried again by itself";
		expect(refusal.problems).toEqual([{ code: "cannot_join", where: null, message, sinceMs }]);
	});

	it("that is a missing right says so, with the command that gives it", () => {
		const { refusal } = refused(kafkaErrors.groupAuthorizationFailed, "Broker: Group authorization failed");
		const command = "kafka-acls.sh --bootstrap-server a:1,b:2 --add --allow-principal User:app --operation Read --group orders";
		expect(refusal.problems).toMatchObject([{ code: "not_authorized", message: expect.stringContaining(command) }]);
	});

	it.each([
		kafkaErrors.groupMaxSizeReached,
		kafkaErrors.invalidSessionTimeout,
		kafkaErrors.unreleasedInstanceId,
		kafkaErrors.unsupportedAssignor,
		kafkaErrors.unsupportedFeature,
		kafkaErrors.unsupportedVersion,
	])("by code %i has a remedy", (code) => {
		const { refusal } = refused(code, "words");
		expect(JoinRefusal.isOne(code)).toBe(true);
		expect(refusal.problems).toMatchObject([{ message: expect.stringMatching(/words; .{20,}; tried again by itself/) }]);
	});

	it("is none where the error is about something else", () => {
		const others = [kafkaErrors.timedOut, kafkaErrors.transport, kafkaErrors.topicAuthorizationFailed, kafkaErrors.illegalGeneration];
		expect(others.filter((code) => JoinRefusal.isOne(code))).toEqual([]);
	});

	it("ends when the member is taken, and when nobody has said it for a minute", async () => {
		const { clock, refusal } = refused(kafkaErrors.groupMaxSizeReached, "words");
		refusal.joined();
		expect(refusal.problems).toEqual([]);
		// However long the daemon has been running.
		await clock.advance(100_000);
		refusal.refused(kafkaErrors.groupMaxSizeReached, "words");
		await clock.advance(59_999);
		expect(refusal.problems).toHaveLength(1);
		await clock.advance(1);
		expect(refusal.problems).toEqual([]);
		const againMs = clock.now();
		refusal.refused(kafkaErrors.groupMaxSizeReached, "words");
		expect(refusal.problems).toMatchObject([{ sinceMs: againMs }]);
	});

	it("of a missing right is told once by the client, and stays until the member is taken", async () => {
		const { clock, refusal } = refused(kafkaErrors.groupAuthorizationFailed, "words");
		await clock.advance(3_600_000);
		expect(refusal.problems).toHaveLength(1);
		refusal.joined();
		expect(refusal.problems).toEqual([]);
	});
});
