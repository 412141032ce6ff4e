/** The commands that give a right: for the user as Kafka names it. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { aclCommand, isRefusal, missingRight, missingWriteRight, refused, withRight } from "../../../../src/kafka/watches/rights.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const kafka = { brokers: ["a:1", "b:2"], group: "g", sasl: {} };
const principalIn = (command: string) => / --allow-principal (.*) --operation /.exec(command)?.[1];

it("names brokers, operation and resource", () => {
	expect(aclCommand({ ...kafka, sasl: { username: "app" } }, "Write", "topic", "letters")).toBe(
		"kafka-acls.sh --bootstrap-server a:1,b:2 --add --allow-principal User:app --operation Write --topic letters",
	);
});

it("names the user of SASL, else the certificate's, as a file and as text, else nobody", async () => {
	await using folder = await temporaryFolder();
	const [cert, key] = [join(folder.path, "cert.pem"), join(folder.path, "key.pem")];
	const subject = ["-subj", "/C=DE/O=Shop/OU=Orders/CN=app"];
	execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" });
	const byCertificate = "'User:CN=app,OU=Orders,O=Shop,C=DE'";
	expect(principalIn(aclCommand({ ...kafka, tls: { cert, key } }, "Read", "group", "g"))).toBe(byCertificate);
	expect(principalIn(aclCommand({ ...kafka, tls: { cert: readFileSync(cert, "utf8"), key } }, "Read", "group", "g"))).toBe(byCertificate);
	expect(principalIn(aclCommand({ ...kafka, sasl: { username: "app" }, tls: { cert, key } }, "Read", "group", "g"))).toBe("User:app");
	expect(principalIn(aclCommand(kafka, "Read", "group", "g"))).toBe("User:ANONYMOUS");
	expect(principalIn(aclCommand({ ...kafka, tls: { cert: "/nowhere/cert.pem", key } }, "Read", "group", "g"))).toBe("User:NAME");
});

it("what mends an error is known of a missing right alone: to read a topic or use the group, or to write", () => {
	const reading = (code: number) => missingRight(kafka, code, "orders");
	expect(reading(kafkaErrors.topicAuthorizationFailed)).toMatch(/^give the right: .* --operation Read --topic orders$/);
	expect(reading(kafkaErrors.groupAuthorizationFailed)).toMatch(/^give the right: .* --operation Read --group g$/);
	expect([reading(kafkaErrors.clusterAuthorizationFailed), reading(kafkaErrors.unknownMember)]).toEqual([null, null]);
	const writing = (code: number) => missingWriteRight(kafka, code, "orders");
	for (const code of [kafkaErrors.topicAuthorizationFailed, kafkaErrors.clusterAuthorizationFailed])
		expect(writing(code)).toMatch(/^give the right: .* --operation Write --topic orders$/);
	expect(writing(kafkaErrors.groupAuthorizationFailed)).toBe(null);
	const { topicAuthorizationFailed, groupAuthorizationFailed, clusterAuthorizationFailed } = kafkaErrors;
	expect([topicAuthorizationFailed, groupAuthorizationFailed, clusterAuthorizationFailed].map(isRefusal)).toEqual([true, true, false]);
});

it("no right is named where it is not known which one an operation needs", () => {
	const refusal = new KafkaError("no", kafkaErrors.groupAuthorizationFailed);
	expect(withRight(kafka, { topic: ["Read", "orders"] }, refusal)).toBe(refusal);
	const ofTopic = new KafkaError("no", kafkaErrors.topicAuthorizationFailed);
	expect(withRight(kafka, { group: "Read", topic: null }, ofTopic)).toBe(ofTopic);
});

it("a refusal of Kafka is thrown with the command that gives the right, and any other error as it is", () => {
	const thrown = (error: unknown) => {
		try {
			return refused(kafka, { group: "Describe", topic: ["Write", "letters"] })(error);
		} catch (given) {
			return given;
		}
	};
	const ofCode = (code: number) => thrown(new KafkaError("no", code));
	expect(ofCode(kafkaErrors.groupAuthorizationFailed)).toMatchObject({
		message: expect.stringMatching(/^no; give the right: .* --operation Describe --group g$/),
	});
	for (const code of [kafkaErrors.topicAuthorizationFailed, kafkaErrors.clusterAuthorizationFailed])
		expect(ofCode(code)).toMatchObject({ message: expect.stringMatching(/ --operation Write --topic letters$/) });
	expect(ofCode(kafkaErrors.unknownMember)).toMatchObject({ message: "no" });
	const other = new Error("no");
	expect(thrown(other)).toBe(other);
});
