/** What the member's state is at the moment of asking, between the client's statistics, which come every few seconds. */
import { describe, expect, it } from "vitest";
import { CoordinatorContact } from "../../../../src/kafka/group/coordinator-contact.ts";

const statistics = (state: string, joinState: string) => JSON.stringify({ cgrp: { state, join_state: joinState } });

describe("the member's state", () => {
	it("follows the start, the assignment and a rebalance without statistics", () => {
		const contact = new CoordinatorContact(["127.0.0.1:9092"]);
		const seen = [contact.state];
		contact.joining();
		seen.push(contact.state);
		contact.joined();
		seen.push(contact.state);
		contact.rebalancing();
		seen.push(contact.state);
		contact.joined();
		seen.push(contact.state);
		expect(contact.lost(45_000)).toEqual({ member: false, message: expect.stringContaining("45000 ms") });
		seen.push(contact.state);
		contact.replaced();
		seen.push(contact.state);
		expect(seen).toEqual(["connecting", "joining", "up/steady", "up/rebalancing", "up/steady", "lost", "connecting"]);
	});

	it("is not taken back by statistics that were read while the assignment was being answered", () => {
		const contact = new CoordinatorContact([]);
		contact.joining();
		contact.read(statistics("up", "wait-assign-call"), false);
		expect(contact.state).toBe("up/wait-assign-call");
		contact.joined();
		contact.read(statistics("up", "wait-assign-call"), true);
		expect(contact.state).toBe("up/steady");
		contact.read(statistics("up", "wait-assign-call"), true);
		expect(contact.state).toBe("up/wait-assign-call");
		contact.read(statistics("up", "wait-join"), true);
		expect(contact.state).toBe("up/wait-join");
	});

	it("is away no longer once an assignment was answered", () => {
		const contact = new CoordinatorContact([]);
		contact.read(statistics("wait-coord", "init"), false);
		expect([contact.state, contact.away]).toEqual(["wait-coord/init", "the group's coordinator is away (wait-coord/init)"]);
		contact.joined();
		expect([contact.state, contact.away]).toEqual(["up/steady", null]);
	});
});

describe("a member without its coordinator", () => {
	const away = "the group's coordinator is away (wait-coord/init)";
	const newsOf = (contact: CoordinatorContact, state: string, joinState: string, hasRebalanced = true) =>
		contact.read(statistics(state, joinState), hasRebalanced)?.news;

	it("is told with the cause of the failure, until it is a member again", () => {
		const contact = new CoordinatorContact([]);
		contact.failed("the broker's certificate has expired");
		expect(newsOf(contact, "wait-coord", "init")).toEqual({ member: false, message: `${away}; the broker's certificate has expired` });
		expect(newsOf(contact, "up", "steady")).toEqual({ member: true, message: "" });
		expect(newsOf(contact, "wait-coord", "init")).toEqual({ member: false, message: away });
	});

	it("is not back while it joins, as in a rebalance, which by itself is not told; an assignment of its own ends that", () => {
		const contact = new CoordinatorContact([]);
		expect([newsOf(contact, "up", "wait-join"), newsOf(contact, "up", "steady", false), contact.isLost]).toEqual([null, null, false]);
		newsOf(contact, "wait-coord", "init");
		expect([newsOf(contact, "up", "wait-join"), contact.isLost]).toEqual([expect.objectContaining({ member: false }), true]);
		contact.assigned();
		expect([newsOf(contact, "up", "wait-join"), contact.isLost]).toEqual([null, false]);
	});
});
