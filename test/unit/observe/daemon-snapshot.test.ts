/** What the daemon shows of itself: nothing secret is among it. */
import { expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import type { Daemon } from "../../../src/daemon/daemon.ts";
import { buildSnapshot } from "../../../src/daemon/daemon-snapshot.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const secrets = {
	POCKAFFE_DATABASE_URL: "postgres://user:db-secret@db.example:5433/events?sslpassword=tls-secret",
	POCKAFFE_HTTP_TOKEN: "token-secret-0123456789",
	POCKAFFE_KAFKA_SASL_MECHANISM: "PLAIN",
	POCKAFFE_KAFKA_SASL_USERNAME: "user",
	POCKAFFE_KAFKA_SASL_PASSWORD: "sasl-secret",
	POCKAFFE_KAFKA_TLS_KEY: "key-secret",
	POCKAFFE_KAFKA_TLS_CERT: "cert",
	POCKAFFE_KAFKA_BROKERS: "a:1,b:2",
};

/** A daemon without partitions. */
function daemonWith(environment: Record<string, string>, away: string | null = null): Daemon {
	const { config } = loadConfig({ environment, cwd: "/nowhere" });
	const writer = { queueRows: 0, queueBytes: 0, oldestAgeMs: null, awaitingParents: 0, choices: [], inFlight: 0, lastError: null };
	const delivery = {
		writer,
		consumer: { connected: true, memberState: "stable", away, rebalances: 1 },
		restored: { all: [] },
		supervisor: { children: new Map() },
	};
	const readiness = { report: () => ({ ready: true }) };
	const parts = { config, clock: new ManualClock(), version: "1.2.3" };
	return {
		parts,
		delivery,
		readiness,
		startedAt: 0,
		state: "running",
		stuckThreads: { count: 0 },
		databaseProblem: null,
	} as unknown as Daemon;
}

it("a snapshot says where Kafka and the database are, without a word of the log-in", () => {
	const snapshot = buildSnapshot(daemonWith(secrets));
	expect(snapshot.connections.map(({ name, target }) => [name, target])).toEqual([
		["kafka", "a:1,b:2"],
		["database", "postgres://db.example:5433/events"],
	]);
	expect(JSON.stringify(snapshot)).not.toContain("secret");
});

it("a snapshot says that the group's coordinator can't be reached, and why", () => {
	const kafkaOf = (daemon: Daemon) => buildSnapshot(daemon).connections.find(({ name }) => name === "kafka");
	expect(kafkaOf(daemonWith(secrets))).toMatchObject({ state: "connected", message: null });
	const why = "the group's coordinator is away (wait-coord/init)";
	expect(kafkaOf(daemonWith(secrets, why))).toMatchObject({ state: "away", message: why });
});
