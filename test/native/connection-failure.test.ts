/** Why a broker can't be reached by TLS, as the client and the commands tell it: beside a server that only shakes hands. */
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";
import { afterAll, beforeAll, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { messageOf } from "../../src/core/errors.ts";
import { kafkaClientSettings } from "../../src/kafka/client/client-settings.ts";
import { ConsumerClient } from "../../src/kafka/client/consumer-client.ts";
import { ClusterInspector } from "../../src/kafka/topics.ts";
import { Authority, type Certificate, joined } from "../support/certificates.ts";
import { kafkaAt } from "../support/kafka/load-topic.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** A handshake takes milliseconds; on a machine that is too busy for it a client tries again with four times as long. */
const CONNECT_MS = 1_500;
const LONGEST_CONNECT_MS = 100_000;
const LOCAL = ["IP:127.0.0.1"];
const certificates = {} as Record<"right" | "expired" | "otherName" | "client" | "oldClient" | "foreignClient", Certificate>;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let ours: Authority;
let others: Authority;

beforeAll(async () => {
	folder = await temporaryFolder();
	ours = Authority.create(folder.path, "ours");
	others = Authority.create(folder.path, "others");
	Object.assign(certificates, {
		right: ours.sign("right", { name: "broker", names: LOCAL }),
		expired: ours.sign("expired", { name: "broker", names: LOCAL, days: -1 }),
		otherName: ours.sign("other-name", { name: "broker", names: ["DNS:elsewhere.example"] }),
		client: ours.sign("client", { name: "app" }),
		oldClient: ours.sign("old-client", { name: "app", days: -1 }),
		foreignClient: others.sign("foreign-client", { name: "app" }),
	});
});

afterAll(() => folder?.[Symbol.asyncDispose]());

/** What the handbook says will be told. */
const documented = [...readFileSync(new URL("../../docs/kafka.md", import.meta.url), "utf8").matchAll(/^\| `(the .*?)` \|/gm)].map(
	([, words = ""]) => words,
);

type Case = [
	what: string,
	server: keyof typeof certificates,
	asksClients: boolean,
	tls: () => { ca?: string; cert?: string; key?: string },
	words: RegExp,
];

it.concurrent.each<Case>([
	["expired", "expired", false, () => ({ ca: ours.certificate.cert }), /the broker's certificate has expired \(\w/],
	["of another CA", "right", false, () => ({ ca: others.certificate.cert }), /is of a CA that is not known here: .* kafka\.tls\.ca/],
	["for another name", "otherName", false, () => ({ ca: ours.certificate.cert }), /is not for this name: IP: 127\.0\.0\.1/],
	[
		"asked of us, and we have none",
		"right",
		true,
		() => ({ ca: ours.certificate.cert }),
		/asks for a client certificate: give kafka\.tls\.cert/,
	],
	[
		"ours, and has expired",
		"right",
		true,
		() => ({ ca: ours.certificate.cert, ...certificates.oldClient }),
		/the client certificate \(kafka\.tls\.cert\) has expired \(\w/,
	],
	[
		"ours, of a CA that the broker does not know",
		"right",
		true,
		() => ({ ca: ours.certificate.cert, ...certificates.foreignClient }),
		/does not take the client certificate \(kafka\.tls\.cert\)/,
	],
])("a certificate that is %s is told as that", async (_, shown, asksClients, tls, words) => {
	const { cert, key } = certificates[shown];
	const options = { cert: readFileSync(cert), key: readFileSync(key), ca: readFileSync(ours.certificate.cert) };
	const server = createServer({ ...options, requestCert: asksClients, rejectUnauthorized: asksClients });
	server.on("tlsClientError", () => {});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	const kafka = { ...kafkaAt(address), tls: tls() };
	const causes = new Set<string>();
	const connect = async (connectMs: number) => {
		const client = new ConsumerClient({ ...kafkaClientSettings(kafka), "group.id": "g" }, {}, systemClock);
		client.on("broker:error", ({ cause }) => cause && causes.add(cause));
		await client.connect(connectMs).finally(() => client.close());
	};
	const refusalOf = async (tryFor: (connectMs: number) => Promise<unknown>) => {
		for (let connectMs = CONNECT_MS; ; connectMs *= 4) {
			const refusal = await tryFor(connectMs).then(() => "", messageOf);
			if (words.test(refusal) || connectMs > LONGEST_CONNECT_MS) return refusal;
		}
	};
	try {
		const refusal = await refusalOf(connect);
		expect(refusal).toMatch(words);
		expect(documented.filter((each) => refusal.includes(each))).toHaveLength(1);
		for (const cause of causes) expect(cause).toMatch(words);
		expect(await refusalOf((connectMs) => ClusterInspector.connect(kafka, systemClock, "g", connectMs))).toMatch(words);
	} finally {
		server.close();
	}
});

it.concurrent.each([
	["files", (file: string) => file],
	["text", (file: string) => readFileSync(file, "utf8")],
] as const)("certificates behind another one are taken and sent with it, given as %s", async (form, given) => {
	const between = ours.intermediate(`between-${form}`);
	const chained = (name: string, names: string[]) => {
		const { cert, key } = between.sign(`${name}-${form}`, { name, names });
		return { cert: joined(join(folder.path, `${name}-${form}-chain.crt`), cert, between.certificate.cert), key };
	};
	const [shown, client] = [chained("broker", LOCAL), chained("app", [])];
	const ca = readFileSync(ours.certificate.cert);
	const server = createServer({
		cert: readFileSync(shown.cert),
		key: readFileSync(shown.key),
		ca,
		requestCert: true,
		rejectUnauthorized: true,
	});
	server.on("tlsClientError", () => {});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const accepted: boolean[] = [];
	server.on("secureConnection", (socket) => accepted.push(socket.authorized));
	const tls = { ca: given(ours.certificate.cert), cert: given(client.cert), key: given(client.key) };
	const kafka = { ...kafkaAt(`127.0.0.1:${(server.address() as AddressInfo).port}`), tls };
	for (let connectMs = CONNECT_MS; accepted.length === 0 && connectMs <= LONGEST_CONNECT_MS; connectMs *= 4) {
		const consumer = new ConsumerClient({ ...kafkaClientSettings(kafka), "group.id": "g" }, {}, systemClock);
		// Nobody speaks Kafka there.
		await expect(consumer.connect(connectMs)).rejects.toThrow();
		await consumer.close();
	}
	expect(accepted[0]).toBe(true);
	server.close();
});
