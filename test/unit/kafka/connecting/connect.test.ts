/** A connection that comes about, or the best reason why not. */
import { EventEmitter } from "node:events";
import { expect, it } from "vitest";
import { connectOrExplain, withoutThread } from "../../../../src/kafka/connecting/connect.ts";
import { kafkaAt } from "../../../support/kafka/load-topic.ts";

/** A client whose connecting the test ends. */
function connecting() {
	const client = new EventEmitter() as EventEmitter & { connect(options: object, callback: typeof answer): void; asked?: object };
	let answer: (error: Error | null, metadata?: object) => void = () => {};
	client.connect = (options, callback) => {
		client.asked = options;
		answer = callback;
	};
	const result = connectOrExplain(client, kafkaAt("127.0.0.1:1"), 1_234);
	return { client, result, answer: (error: Error | null, metadata?: object) => answer(error, metadata) };
}

it("a connection resolves with what the cluster has", async () => {
	const { client, result, answer } = connecting();
	answer(null, { topics: [] });
	expect(await result).toEqual({ topics: [] });
	expect(client.asked).toEqual({ timeout: 1_234 });
});

it("a connection that fails says what the client said meanwhile, each thing once", async () => {
	const { client, result, answer } = connecting();
	for (const message of ["all brokers are down", "all brokers are down", "no route"]) client.emit("event.error", new Error(message));
	const cause = new Error("timed out");
	answer(cause);
	const told = expect.stringContaining("all brokers are down; no route");
	await expect(result).rejects.toMatchObject({ code: "kafka_connect", message: told, cause });
	await expect(result).rejects.toMatchObject({ message: expect.stringContaining("127.0.0.1:1") });
});

it("a connection that fails says what its log said of it, behind what the client said", async () => {
	const { client, result, answer } = connecting();
	client.emit("event.error", new Error("all brokers are down"));
	client.emit("event.log", { fac: "FAIL", message: "[thrd:x]: 127.0.0.1:1/bootstrap: Connect failed: refused" });
	answer(new Error("timed out"));
	await expect(result).rejects.toMatchObject({
		message:
			"no connection to 127.0.0.1:1 (plaintext): all brokers are down; 127.0.0.1:1/bootstrap: Connect failed: refused; is the address right, does the broker run, does it want TLS or SASL?",
	});
});

it("a connection that fails without a word says the error's own", async () => {
	const { client, result, answer } = connecting();
	// Not about a connection.
	client.emit("event.log", { fac: "BROKER", message: "[thrd:main]: hidden" });
	answer(new Error("timed out"));
	await expect(result).rejects.toThrow("timed out");
	await expect(result).rejects.not.toThrow("hidden");
	expect(withoutThread("[thrd:app]: Connect to [::1]:1 failed")).toBe("Connect to [::1]:1 failed");
});
