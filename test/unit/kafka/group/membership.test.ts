import { describe, expect, it } from "vitest";
import { readMembership } from "../../../../src/kafka/group/membership.ts";

const CONFIGURED = ["127.0.0.1:9092"];

function broker(nodename: string, nodeid: number, state: string, source = "learned") {
	return [`${nodename}/${nodeid} ${source}`, { nodename, nodeid, state, source }] as const;
}

const coordinator = (nodename: string, state: string) => broker(nodename, -1, state, "logical");

function read(state: string, joinState: string, ...brokers: (readonly [string, object])[]) {
	return readMembership(JSON.stringify({ cgrp: { state, join_state: joinState }, brokers: Object.fromEntries(brokers) }), CONFIGURED);
}

describe("membership by the client's statistics", () => {
	it("is nothing where they know of no group", () => {
		expect(readMembership("{}", CONFIGURED)).toBeNull();
	});

	it("is steady, or joining between two generations", () => {
		expect(read("up", "steady")).toMatchObject({ kind: "steady", state: "up/steady" });
		expect(read("up", "wait-join")).toMatchObject({ kind: "joining", state: "up/wait-join" });
	});

	it("names the coordinator's address, and no connection that was never tried", () => {
		const found = read("wait-broker-transport", "steady", broker("a:1", 1, "UP"), broker("b:1", 2, "INIT"), coordinator("c:1", "CONNECT"));
		expect(found?.message).toBe("the group's coordinator is away (wait-broker-transport/steady): c:1 can't be reached");
	});

	it("points at advertised.listeners where no broker is reached at what it advertises, and that is no configured address", () => {
		const advertised = read("wait-broker-transport", "init", broker("kafka:9092", 1, "TRY_CONNECT"), coordinator("kafka:9092", "CONNECT"));
		expect(advertised?.message).toMatch(/kafka:9092 can't be reached.*found at 127\.0\.0\.1:9092 .*advertised\.listeners/);
		const away = read("query-coord", "steady", broker("127.0.0.1:9092", 1, "CONNECT"));
		expect(away?.message).toMatch(/127\.0\.0\.1:9092 can't be reached$/);
	});

	it("is not stranded while no broker of the cluster is known: an address to begin with says nothing", () => {
		const begins = broker("start:1", -1, "UP", "configured");
		expect(read("wait-broker-transport", "init", begins, coordinator("old:1", "CONNECT"))).toMatchObject({ kind: "away", stranded: false });
		expect(read("wait-broker-transport", "init", begins, broker("old:1", 1, "UP"), coordinator("old:1", "CONNECT"))?.stranded).toBe(false);
	});

	it("is stranded where the coordinator's address is none that the cluster has", () => {
		expect(read("wait-broker-transport", "init", broker("new:1", 1, "UP"), coordinator("old:1", "CONNECT"))).toMatchObject({
			stranded: true,
		});
		expect(read("wait-broker-transport", "init", broker("old:1", 1, "DOWN"), coordinator("old:1", "CONNECT"))).toMatchObject({
			stranded: false,
		});
		// One of several is enough.
		expect(
			read("wait-broker-transport", "init", broker("new:1", 1, "UP"), broker("old:1", 2, "DOWN"), coordinator("old:1", "CONNECT")),
		).toMatchObject({ stranded: false });
		expect(read("query-coord", "init", coordinator("old:1", "CONNECT"))).toMatchObject({ stranded: false });
		// It is still looked for.
		expect(read("query-coord", "init", broker("new:1", 1, "UP"), coordinator("", "INIT"))).toMatchObject({
			stranded: false,
			message: "the group's coordinator is away (query-coord/init)",
		});
	});
});
