/**
 * A real Kafka with passwords and access lists: users by SASL/PLAIN, rights by the StandardAuthorizer, given and taken away while it runs.
 * `admin` may do everything, every other user nothing until it is given. With an authority for its certificates it is reached by TLS, and
 * asks clients for theirs; there SCRAM-SHA-256 is a login too, with re-authentication within seconds.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, type Admin, Kafka, logLevel, ResourcePatternTypes } from "kafkajs";
import type { Config } from "../../../src/config/config.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { awaitTopic, createTopic } from "../../../src/kafka/topics.ts";
import type { Operation } from "../../../src/kafka/watches/rights.ts";
import type { Authority, Certificate } from "../certificates.ts";
import { freePort } from "../free-port.ts";
import { setScramPassword } from "./kafka-admin.ts";
import { type KafkaServer, startKafka } from "./kafka-server.ts";
import { kafkaAt } from "./load-topic.ts";

const login = "org.apache.kafka.common.security.plain.PlainLoginModule required";

/** What may be done with what. */
export type Right = readonly [operation: Operation, resource: "topic" | "group", name: string];

/** See the file's header. */
export interface SecuredKafka extends AsyncDisposable {
	readonly server: KafkaServer;
	readonly brokers: string;
	/** The address of a listener of `certificates`. */
	at(listener: string): string;
	/** Of a user that logs in by SCRAM-SHA-256. */
	setPassword(user: string, password: string): Promise<void>;
	/** The part of `kafka` of a configuration that logs in as this user. */
	as(user: string): Pick<Config["kafka"], "brokers" | "sasl">;
	/** Everything for tests' own clients. */
	readonly admin: Config["kafka"];
	createTopic(name: string, partitions: number): Promise<void>;
	/** Resolves when the broker has it; takes effect at the user's next request. */
	give(user: string, ...rights: readonly Right[]): Promise<void>;
	take(user: string, ...rights: readonly Right[]): Promise<void>;
	/** Starts again with this certificate, which clients meet from then on; `clients` is the file of the CA that it takes theirs from. */
	present(certificate: Certificate, clients?: string): Promise<void>;
}

/** How it is started. */
export interface SecuredKafkaOptions {
	/** Over the usual ones. */
	readonly properties?: Record<string, string>;
	/** Signs the server's certificate and the clients'; without it there is no TLS. */
	readonly authority?: Authority;
	/** For the files that the server reads. */
	readonly folder?: string;
	/** The file of the CAs that it takes clients' certificates from; by default the authority's. */
	readonly clients?: string;
	/** Listeners by name where a client's certificate is the login, and what each shows; with `authority`. */
	readonly certificates?: Readonly<Record<string, Certificate>>;
}

/** How soon whoever has logged in by SCRAM has to do so again. */
export const SCRAM_AGAIN_MS = 3_000;

/** The password of a user. */
function passwordOf(user: string): string {
	return `${user}-secret`;
}

/** Starts one with these users beside `admin`. */
export async function startSecuredKafka(users: readonly string[], options: SecuredKafkaOptions = {}): Promise<SecuredKafka> {
	const { properties = {}, authority, folder = "", clients: takes = authority?.certificate.cert ?? "", certificates = {} } = options;
	const ports: Record<string, number> = {};
	for (const name of Object.keys(certificates)) ports[name] = await freePort();
	const byCertificate = Object.keys(certificates).map((name) => `,${name}:SSL`);
	const known = ["admin", ...users].map((user) => `user_${user}="${passwordOf(user)}"`).join(" ");
	const jaas = `${login} username="admin" password="${passwordOf("admin")}" ${known};`;
	const usual = {
		"listener.security.protocol.map": `PLAINTEXT:${authority ? "SASL_SSL" : "SASL_PLAINTEXT"},CONTROLLER:SASL_PLAINTEXT${byCertificate.join("")}`,
		"sasl.enabled.mechanisms": "PLAIN",
		"sasl.mechanism.controller.protocol": "PLAIN",
		"sasl.mechanism.inter.broker.protocol": "PLAIN",
		"listener.name.plaintext.plain.sasl.jaas.config": jaas,
		"listener.name.controller.plain.sasl.jaas.config": jaas,
		"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users": "User:admin",
		...(authority ? tlsProperties(folder, authority.sign("kafka", { name: "kafka", names: ["IP:127.0.0.1"] }), takes) : {}),
		...(authority ? scramProperties : {}),
	};
	const shown = Object.entries(certificates).map(([name, certificate]) => tlsProperties(folder, certificate, takes, name.toLowerCase()));
	const server = await startKafka({ ...usual, ...Object.assign({}, ...shown), ...properties }, ports);
	const ofAdmin = authority?.sign("kafka-admin", { name: "admin" });
	const tls = authority && ofAdmin ? { ca: authority.certificate.cert, ...ofAdmin } : {};
	const as = (user: string) => ({
		brokers: [server.brokers],
		sasl: { mechanism: "PLAIN" as const, username: user, password: passwordOf(user) },
	});
	const admin = { ...kafkaAt(server.brokers), ...as("admin"), tls };
	return {
		server,
		brokers: server.brokers,
		at: (listener) => `127.0.0.1:${ports[listener]}`,
		async setPassword(user, password) {
			const login = join(folder, "scram-admin.properties");
			writeFileSync(login, adminProperties(folder, jaas, authority, ofAdmin));
			await setScramPassword(server.brokers, login, user, password);
		},
		as,
		admin,
		async createTopic(name, partitions) {
			await createTopic(admin, { name, partitions, replication: 1 });
			await awaitTopic(admin, systemClock, name, partitions);
		},
		async give(user, ...given) {
			if (given.length === 0) return;
			await using rights = await connectRights(server.brokers, ofAdmin);
			await rights.admin.createAcls({ acl: given.map((right) => aclOf(user, right)) });
		},
		async take(user, ...taken) {
			if (taken.length === 0) return;
			await using rights = await connectRights(server.brokers, ofAdmin);
			await rights.admin.deleteAcls({ filters: taken.map((right) => aclOf(user, right)) });
		},
		async present(certificate, clients = takes) {
			await server.kill("SIGTERM");
			await server.restart(tlsProperties(folder, certificate, clients));
		},
		async [Symbol.asyncDispose]() {
			await server.stop();
		},
	};
}

/** What the server shows and whom it takes. Names of their own each time: it may still read the former. */
function tlsProperties(folder: string, certificate: Certificate, clients: string, name = "plaintext"): Record<string, string> {
	const keystore = keyAndCertificate(join(folder, `kafka-${name}-${Date.now()}.pem`), certificate);
	const listener = `listener.name.${name}.ssl`;
	return {
		[`${listener}.keystore.type`]: "PEM",
		[`${listener}.keystore.location`]: keystore,
		[`${listener}.truststore.type`]: "PEM",
		[`${listener}.truststore.location`]: clients,
		[`${listener}.client.auth`]: "required",
	};
}

const scramProperties = {
	"listener.name.plaintext.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
	"listener.name.plaintext.scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
	"listener.name.plaintext.scram-sha-256.connections.max.reauth.ms": String(SCRAM_AGAIN_MS),
};

function keyAndCertificate(path: string, { cert, key }: Certificate): string {
	writeFileSync(path, [key, cert].map((file) => readFileSync(file, "utf8")).join(""));
	return path;
}

/** How Kafka's own client logs in as `admin`. */
function adminProperties(folder: string, jaas: string, authority: Authority | undefined, ofAdmin: Certificate | undefined): string {
	if (!authority || !ofAdmin) throw new Error("SCRAM is there with an authority only");
	const properties = {
		"security.protocol": "SASL_SSL",
		"sasl.mechanism": "PLAIN",
		"sasl.jaas.config": jaas,
		"ssl.truststore.type": "PEM",
		"ssl.truststore.location": authority.certificate.cert,
		"ssl.keystore.type": "PEM",
		"ssl.keystore.location": keyAndCertificate(join(folder, "kafka-admin.pem"), ofAdmin),
	};
	return Object.entries(properties)
		.map((pair) => pair.join("="))
		.join("\n");
}

/** Whatever certificate the server shows. For one call: kafkajs survives no re-authentication. */
async function connectRights(brokers: string, tls: Certificate | undefined): Promise<{ readonly admin: Admin } & AsyncDisposable> {
	const sasl = { mechanism: "plain" as const, username: "admin", password: passwordOf("admin") };
	const read = (file: string) => readFileSync(file, "utf8");
	const ssl = tls ? { cert: read(tls.cert), key: read(tls.key), rejectUnauthorized: false } : false;
	const admin = new Kafka({ brokers: [brokers], sasl, ssl, logLevel: logLevel.NOTHING }).admin();
	await admin.connect();
	return { admin, [Symbol.asyncDispose]: () => admin.disconnect() };
}

const operations = {
	Read: AclOperationTypes.READ,
	Write: AclOperationTypes.WRITE,
	Describe: AclOperationTypes.DESCRIBE,
	DescribeConfigs: AclOperationTypes.DESCRIBE_CONFIGS,
	Create: AclOperationTypes.CREATE,
};

function aclOf(user: string, [operation, resource, name]: Right) {
	return {
		resourceType: resource === "topic" ? AclResourceTypes.TOPIC : AclResourceTypes.GROUP,
		resourceName: name,
		resourcePatternType: ResourcePatternTypes.LITERAL,
		principal: `User:${user}`,
		host: "*",
		operation: operations[operation],
		permissionType: AclPermissionTypes.ALLOW,
	};
}
