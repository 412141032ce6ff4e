/** What a command says of an error, by whose it is. */
import { expect, it } from "vitest";
import { failureWords } from "../../../src/commands/failure-words.ts";
import { PocKaffeError } from "../../../src/core/errors.ts";
import { KafkaError, kafkaErrors } from "../../../src/kafka/client/kafka-error.ts";

it.each([
	["PocKaffe's own: its message", new PocKaffeError("stuck", "the table is stuck"), "the table is stuck"],
	["Kafka's: its message", new KafkaError("no broker", kafkaErrors.transport), "no broker"],
	["the database's: its meaning, without values", Object.assign(new Error("Key (id)=(secret)"), { code: "23505" }), "SQLSTATE 23505"],
	["one without a code: what went wrong", new TypeError("x is not a function"), "x is not a function"],
	["something else that was thrown", "no", "no"],
])("%s", (_, error, words) => {
	expect(failureWords(error)).toContain(words);
	expect(failureWords(error)).not.toContain("secret");
});
