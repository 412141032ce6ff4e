/**
 * A real Kafka with passwords and access lists: users by SASL/PLAIN, rights by the StandardAuthorizer, given and taken away while it runs.
 * `admin` may do everything, every other user nothing until it is given.
 */
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, type Admin, Kafka, logLevel, ResourcePatternTypes } from "kafkajs";
import type { Config } from "../../src/config/config.ts";
import { systemClock } from "../../src/core/clock.ts";
import { awaitTopic, createTopic } from "../../src/kafka/topics.ts";
import { type KafkaServer, startKafka } from "./kafka-server.ts";
import { kafkaAt } from "./load-topic.ts";

const login = "org.apache.kafka.common.security.plain.PlainLoginModule required";

/** What may be done with what. */
export type Right = readonly [operation: "Read" | "Write" | "Describe" | "Create", resource: "topic" | "group", name: string];

/** See the file's header. */
export interface SecuredKafka extends AsyncDisposable {
	readonly server: KafkaServer;
	readonly brokers: string;
	/** The part of `kafka` of a configuration that logs in as this user. */
	as(user: string): Pick<Config["kafka"], "brokers" | "sasl">;
	/** Everything for tests' own clients. */
	readonly admin: Config["kafka"];
	createTopic(name: string, partitions: number): Promise<void>;
	/** Resolves when the broker has it; takes effect at the user's next request. */
	give(user: string, ...rights: readonly Right[]): Promise<void>;
	take(user: string, ...rights: readonly Right[]): Promise<void>;
}

/** The password of a user. */
function passwordOf(user: string): string {
	return `${user}-secret`;
}

/** Starts one with these users beside `admin`; `properties` go over the usual ones. */
export async function startSecuredKafka(users: readonly string[], properties: Record<string, string> = {}): Promise<SecuredKafka> {
	const known = ["admin", ...users].map((user) => `user_${user}="${passwordOf(user)}"`).join(" ");
	const jaas = `${login} username="admin" password="${passwordOf("admin")}" ${known};`;
	const server = await startKafka({
		"listener.security.protocol.map": "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
		"sasl.enabled.mechanisms": "PLAIN",
		"sasl.mechanism.controller.protocol": "PLAIN",
		"sasl.mechanism.inter.broker.protocol": "PLAIN",
		"listener.name.plaintext.plain.sasl.jaas.config": jaas,
		"listener.name.controller.plain.sasl.jaas.config": jaas,
		"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users": "User:admin",
		...properties,
	});
	const as = (user: string) => ({
		brokers: [server.brokers],
		sasl: { mechanism: "PLAIN" as const, username: user, password: passwordOf(user) },
	});
	const admin = { ...kafkaAt(server.brokers), ...as("admin") };
	const rights = await connectRights(server.brokers);
	return {
		server,
		brokers: server.brokers,
		as,
		admin,
		async createTopic(name, partitions) {
			await createTopic(admin, { name, partitions, replication: 1 });
			await awaitTopic(admin, systemClock, name, partitions);
		},
		async give(user, ...given) {
			await rights.createAcls({ acl: given.map((right) => aclOf(user, right)) });
		},
		async take(user, ...taken) {
			await rights.deleteAcls({ filters: taken.map((right) => aclOf(user, right)) });
		},
		async [Symbol.asyncDispose]() {
			await rights.disconnect();
			await server.stop();
		},
	};
}

async function connectRights(brokers: string): Promise<Admin> {
	const sasl = { mechanism: "plain" as const, username: "admin", password: passwordOf("admin") };
	const admin = new Kafka({ brokers: [brokers], sasl, ssl: false, logLevel: logLevel.NOTHING }).admin();
	await admin.connect();
	return admin;
}

const operations = {
	Read: AclOperationTypes.READ,
	Write: AclOperationTypes.WRITE,
	Describe: AclOperationTypes.DESCRIBE,
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
