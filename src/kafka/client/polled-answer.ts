/** Gets answers for a client that nobody polls. */

import { isRefusal } from "../watches/rights.ts";
import type { ConsumerClient } from "./consumer-client.ts";
import { KafkaError } from "./kafka-error.ts";

const POLL_MS = 50;

/**
 * Polls until `asked` settles, and settles like it. The results of commits arrive only by polls. So does the refusal of a group that this
 * user may not see: requests to its coordinator then have no answer, so a refusal ends the wait. Polls must bring no messages.
 */
export async function polledAnswer<T>(client: Pick<ConsumerClient, "consume">, asked: Promise<T>): Promise<T> {
	let isSettled = false;
	const settled = asked.finally(() => {
		isSettled = true;
	});
	// A failure is reported after the last poll.
	settled.catch(() => {});
	// An answer that is there already needs no poll.
	await new Promise((resolve) => setImmediate(resolve));
	while (!isSettled) {
		const polled = await client.consume(1, POLL_MS).catch((error: unknown) => error);
		if (!isSettled && polled instanceof KafkaError && isRefusal(polled.kafkaCode)) throw polled;
	}
	return settled;
}
