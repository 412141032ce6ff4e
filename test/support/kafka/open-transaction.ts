/** A producer's transaction on a real Kafka, with a record in it, which stays open until it is aborted. */
import { once } from "node:events";
import rdkafka from "node-rdkafka";
import { uniqueName } from "./real-kafka.ts";

const CALL_MS = 10_000;

/** See the file's header; the record goes into partition 0 under the key. */
export async function openTransaction(brokers: string, topic: string, key = "aborted"): Promise<{ abort(): Promise<void> }> {
	const raw = new rdkafka.Producer({ "bootstrap.servers": brokers, "transactional.id": uniqueName("transaction") } as never);
	const done = (call: (callback: (error: unknown) => void) => void) =>
		new Promise<void>((resolve, reject) => call((error) => (error ? reject(error) : resolve())));
	raw.connect();
	await once(raw, "ready");
	await done((callback) => raw.initTransactions(CALL_MS, callback));
	await done((callback) => raw.beginTransaction(callback));
	raw.produce(topic, 0, Buffer.from('{"name":"aborted"}'), key);
	await done((callback) => raw.flush(CALL_MS, callback));
	return {
		async abort() {
			await done((callback) => raw.abortTransaction(CALL_MS, callback));
			await done((callback) => raw.disconnect(callback));
		},
	};
}
