/**
 * Connects a client within a time limit, with an error that says what to look at: the client's own error is only "broker transport
 * failure".
 */
import type { Client } from "node-rdkafka";
import type { Config } from "../../config/config.ts";
import { PocKaffeError } from "../../core/errors.ts";
import { kafkaClientSettings, securityProtocol } from "../client/client-settings.ts";
import { ConnectionFailure } from "./connection-failure.ts";

/** Metadata of the cluster as the client gives it. */
export interface ClusterMetadata {
	readonly brokers: readonly { readonly id: number; readonly host: string; readonly port: number }[];
	readonly topics: readonly {
		readonly name: string;
		readonly partitions: readonly {
			readonly id: number;
			readonly leader: number;
			readonly replicas: readonly number[];
			readonly isrs: readonly number[];
		}[];
	}[];
}

/** Resolves with the first metadata; rejects with code `kafka_connect` at the latest after about `timeoutMs`. */
export function connectOrExplain(client: Client<never> | unknown, kafka: Config["kafka"], timeoutMs: number): Promise<ClusterMetadata> {
	const raw = client as {
		on(event: "event.error", listener: (error: Error) => void): void;
		on(event: "event.log", listener: (log: { fac: string; message: string }) => void): void;
		connect(options: object, callback: (error: Error | null, metadata: ClusterMetadata) => void): void;
	};
	const said: string[] = [];
	raw.on("event.error", ({ message }) => {
		if (!said.includes(message)) said.push(message);
	});
	const failure = new ConnectionFailure(kafkaClientSettings(kafka));
	raw.on("event.log", ({ fac, message }) => fac === "FAIL" && failure.told(withoutThread(message)));
	return new Promise((resolve, reject) => {
		raw.connect({ timeout: timeoutMs }, (error, metadata) => {
			if (!error) return resolve(metadata);
			failure.whenExplained(() => {
				const words = failure.cause ?? [...said, failure.words ?? ""].filter(Boolean).join("; ");
				reject(new PocKaffeError("kafka_connect", explainUnreachable(kafka, words || error.message), { cause: error }));
			});
		});
	});
}

/** Removes the client's internal prefix `[thrd:NAME]: ` from a log line. */
export function withoutThread(line: string): string {
	return line.replace(/^\[thrd:[^\]]*\]: /, "");
}

/** A sentence with the addresses, the client's own `words`, and what to look at. */
export function explainUnreachable(kafka: Config["kafka"], words: string): string {
	const protocol = securityProtocol(kafka);
	const look =
		protocol === "plaintext"
			? "is the address right, does the broker run, does it want TLS or SASL?"
			: "look at kafka.tls (ca, cert, key) and kafka.sasl";
	return `no connection to ${kafka.brokers.join(",")} (${protocol}): ${words}; ${look}`;
}
