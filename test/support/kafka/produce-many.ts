/** Many records by one producer. */
import type { Producer, ProducerRecord } from "../../../src/kafka/producer.ts";

/** Produces the records in order, keeping the queue full. Resolves with the number delivered. */
export async function produceMany(producer: Producer, records: Iterable<ProducerRecord>, inFlight = 50_000): Promise<number> {
	let delivered = 0;
	let failure: unknown;
	let pending = 0;
	let wake: () => void = () => {};
	for (const record of records) {
		pending++;
		producer
			.produce(record)
			.then(
				() => delivered++,
				(error) => {
					failure ??= error;
				},
			)
			.finally(() => {
				pending--;
				wake();
			});
		if (failure) throw failure;
		while (pending >= inFlight) await new Promise<void>((resolve) => (wake = resolve));
	}
	while (pending > 0) await new Promise<void>((resolve) => (wake = resolve));
	if (failure) throw failure;
	return delivered;
}
