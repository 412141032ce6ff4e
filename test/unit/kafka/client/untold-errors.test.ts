/** Errors of polls, for who reads without handling. The client is not connected: the test plays what node-rdkafka's consume brings. */
import type { EventEmitter } from "eventemitter3";
import { expect, it } from "vitest";
import { ConsumerClient } from "../../../../src/kafka/client/consumer-client.ts";
import { kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

type Brought = "end" | "refused" | "away";

const codes = { refused: kafkaErrors.topicAuthorizationFailed, away: kafkaErrors.transport };

/** Each poll brings the next of these. */
function clientThat(...polls: Brought[][]): ConsumerClient {
	const client = new ConsumerClient({ "group.id": "g" }, {}, new ManualClock());
	const raw = client.raw as EventEmitter;
	const consume = (_: number, done: (error: { message: string; code: number } | null, messages: never[]) => void) => {
		const brought = polls.shift() ?? [];
		if (brought.includes("end")) raw.emit("partition.eof", { topic: "t", partition: 0, offset: 7 });
		const [error] = brought.filter((each) => each !== "end");
		done(error === undefined ? null : { message: error, code: codes[error] }, []);
	};
	Object.assign(raw, { consume, setDefaultConsumeTimeout: () => {}, assignments: () => [], pause: () => {}, resume: () => {} });
	return client;
}

/** What a `consume` comes to. */
async function consumed(client: ConsumerClient): Promise<string> {
	return client.consume(10, 100).then(
		({ ends }) => `${ends.length} ends`,
		({ message }) => message,
	);
}

it("one that came beside something is thrown next, once, before anything is polled", async () => {
	const client = clientThat(["end", "refused"], ["end"]);
	expect([await consumed(client), await consumed(client), await consumed(client)]).toEqual(["1 ends", "refused", "1 ends"]);
});

it("one that came while events were served is thrown next, and one of another code behind it", async () => {
	const client = clientThat(["away"], ["away"], ["refused"], ["end"]);
	for (let polls = 0; polls < 3; polls++) await client.serveEvents();
	expect([await consumed(client), await consumed(client), await consumed(client)]).toEqual(["away", "refused", "1 ends"]);
});

it("one that is all a poll brings is thrown by that", async () => {
	const client = clientThat(["away"], []);
	expect([await consumed(client), await consumed(client)]).toEqual(["away", "0 ends"]);
});
