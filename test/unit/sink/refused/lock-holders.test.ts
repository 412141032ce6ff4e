/** What people are told of who holds a lock: whom to ask, and how to end it. */
import { expect, it } from "vitest";
import { describeHolders, type LockHolder } from "../../../../src/sink/writer/refused/lock-holders.ts";

const holder: LockHolder = {
	pid: 71,
	application: "psql",
	user: "ann",
	state: "idle in transaction",
	since: "2026-01-01T00:00:00Z",
	isOfTable: false,
};
const unknown = { application: null, user: null, state: null, since: null };

it.each([
	[[holder], "it is locked by pid 71 (psql, user ann): idle in transaction, its transaction began at 2026-01-01T00:00:00Z"],
	[[{ ...holder, ...unknown }], "it is locked by pid 71"],
	[[{ ...holder, ...unknown, user: "ann" }], "it is locked by pid 71 (user ann)"],
	[[{ ...holder, ...unknown, state: "active", isOfTable: true }], "the table events is locked by pid 71: active"],
	[[{ ...holder, ...unknown, pid: 0 }], "it is locked by a prepared transaction (pg_prepared_xacts)"],
	[
		[
			{ ...holder, ...unknown },
			{ ...holder, ...unknown, pid: 72 },
		],
		"it is locked by pid 71 and pid 72",
	],
])("%#", (holders, message) => {
	expect(describeHolders(holders, "events")?.message).toBe(message);
});

it("each is ended in its own way, and nobody is named where nobody was found", () => {
	expect(describeHolders([holder, { ...holder, pid: 0 }], "events")?.hint).toBe(
		"let that transaction end, or end it: select pg_terminate_backend(71); rollback prepared …; it goes on by itself",
	);
	expect(describeHolders([], "events")).toBeNull();
});
