/**
 * What becomes of statements, sessions and pools when the database answers, fails, falls silent or hangs up: against a Postgres by script,
 * with a clock that stands still.
 */
import { describe, expect, it } from "vitest";
import { settle } from "../../support/fakes/manual-clock.ts";
import { fate, scriptedDatabases } from "../../support/postgres/scripted-databases.ts";

const scene = scriptedDatabases();

describe("a query", () => {
	it("is answered, and leaves its session to the next", async () => {
		scene.server.answer = (text) => ({ rows: [{ said: text, n: 3 }] });
		const database = scene.connected();
		expect(await database.query("select 1")).toEqual([{ said: "select 1", n: 3 }]);
		expect(await database.query("select $1", ["x"])).toEqual([{ said: "select $1", n: 3 }]);
		expect([scene.server.told, scene.clock.pending]).toEqual([["1: select 1", "1: select $1"], []]);
	});

	it("is prepared if it has parameters", async () => {
		const database = scene.connected();
		for (let times = 0; times < 2; times++) await database.query("select $1", ["x"]);
		await database.query("select 2");
		const prepared = scene.server.statements.filter(({ text }) => !text.includes("pg_backend_pid")).map(({ isPrepared }) => isPrepared);
		expect(prepared).toEqual([true, true, false]);
	});

	it("has no holes behind a statement that failed after its first rows", async () => {
		scene.server.answer = (text) => ({
			rows: [{ n: 1 }, { n: 2 }],
			...(text.includes("bad") && { error: ["22012", "division by zero"] as const }),
		});
		const database = scene.connected();
		await expect(database.query("select bad")).rejects.toMatchObject({ code: "22012" });
		expect(await database.query("select good")).toEqual([{ n: 1 }, { n: 2 }]);
		expect(scene.server.sessions.length).toBe(1);
	});

	it("without an answer ends at its deadline, with its session; the next one has another", async () => {
		const held = scene.server.hold("silent");
		const database = scene.connected();
		const ended = fate(database.query("select silent"));
		await held.came;
		expect(scene.clock.pending).toEqual([45_000]);
		await scene.clock.advance(44_999);
		expect(scene.server.sessions[0]?.isOpen).toBe(true);
		scene.server.answer = () => ({ rows: [{ n: "next" }] });
		const next = ended.then(() => database.query("select next"));
		await scene.clock.advance(1);
		expect(await ended).toBe("QUERY_DEADLINE");
		await scene.server.sessions[0]?.closed;
		held.answer({ rows: [{ n: "late" }] });
		expect(await next).toEqual([{ n: "next" }]);
		expect(scene.server.told).toEqual(["1: select silent", "2: select next"]);
	});

	it("has the deadline that is given, or 15 s more than its own time on the server", async () => {
		const held = [scene.server.hold("first"), scene.server.hold("second")];
		const database = scene.connected({ connections: 2, deadlineMs: 9_000 });
		const both = [database.query("select first"), database.query("select second", [], { statementTimeoutMs: 100 })].map(fate);
		await Promise.all(held.map(({ came }) => came));
		expect(scene.clock.pending).toEqual([9_000, 15_100]);
		await scene.clock.advance(9_000);
		// One pool: nothing answers in the others of its sessions either.
		expect(await Promise.all(both)).toEqual(["QUERY_DEADLINE", "CONNECTION_DESTROYED"]);
		expect(scene.clock.pending).toEqual([]);
	});

	it("with limits has them for itself alone", async () => {
		const database = scene.connected();
		await database.query("select $1", ["x"], { statementTimeoutMs: 99.5, lockTimeoutMs: 7 });
		await database.query("select 2");
		const own = ["begin", "set local statement_timeout = 100", "set local lock_timeout = 7", "select $1", "commit"];
		expect(scene.server.told).toEqual([...own, "select 2"].map((text) => `1: ${text}`));
		expect(scene.server.statements.find(({ text }) => text === "select $1")?.isPrepared).toBe(true);
	});
});

describe("a transaction", () => {
	const statements = ["insert a", "insert b", "insert c"].map((text) => ({ text, parameters: [] }));

	it("answers its statements in order", async () => {
		scene.server.answer = (text) => ({ rows: [{ text }] });
		expect(await scene.connected().transaction(statements)).toEqual(statements.map(({ text }) => [{ text }]));
		expect(scene.server.told).toEqual(["begin", "insert a", "insert b", "insert c", "commit"].map((text) => `1: ${text}`));
	});

	it("is rolled back where a statement is refused, and says which", async () => {
		scene.server.answer = (text) => (text === "insert b" ? { error: ["23505", "there"] } : {});
		const database = scene.connected();
		await expect(database.transaction(statements)).rejects.toMatchObject({ code: "23505", statement: 1 });
		await database.query("select 1");
		expect(scene.server.told).toEqual(["begin", "insert a", "insert b", "rollback", "select 1"].map((text) => `1: ${text}`));
	});

	it("fails with its session, which gets no rollback; the next one has another", async () => {
		scene.server.answer = (text) => (text === "insert b" ? { hangsUp: true } : {});
		const database = scene.connected();
		expect(await fate(database.transaction(statements))).toBe("CONNECTION_CLOSED");
		await database.query("select 1");
		expect(scene.server.told).toEqual(["1: begin", "1: insert a", "1: insert b", "2: select 1"]);
		expect(scene.clock.pending).toEqual([]);
	});
});

describe("a session that ends", () => {
	it("takes its pool along once the others' statements are through; new ones have a new pool", async () => {
		const [slow, cut] = [scene.server.hold("slow"), scene.server.hold("cut")];
		const database = scene.connected({ connections: 2 });
		const [slowly, cutOff] = [database.query("select slow"), database.query("select cut")].map(fate);
		await Promise.all([slow.came, cut.came]);
		cut.answer({ hangsUp: true });
		expect(await cutOff).toBe("CONNECTION_CLOSED");
		await database.query("select next");
		const old = scene.server.sessions[Number(scene.server.told.find((told) => told.endsWith("slow"))?.[0]) - 1];
		expect([scene.server.told.at(-1), old?.isOpen]).toEqual(["3: select next", true]);
		slow.answer({ rows: [{ n: 1 }] });
		expect(await slowly).toBe("fulfilled");
		await old?.closed;
		await database.query("select last");
		expect(scene.server.told.at(-1)).toBe("3: select last");
	});

	it("of a pool that was replaced leaves the new one alone", async () => {
		const [first, second] = [scene.server.hold("first"), scene.server.hold("second")];
		const database = scene.connected({ connections: 2 });
		const both = [database.query("select first"), database.query("select second")].map(fate);
		await Promise.all([first.came, second.came]);
		first.answer({ hangsUp: true });
		expect(await both[0]).toBe("CONNECTION_CLOSED");
		await database.query("select 1");
		second.answer({ hangsUp: true });
		expect(await both[1]).toBe("CONNECTION_CLOSED");
		await database.query("select 2");
		expect(scene.server.told.slice(2)).toEqual(["3: select 1", "3: select 2"]);
	});

	it("before it has begun is an error at once, and another is tried by the next query", async () => {
		scene.server.greeting = { hangsUp: true };
		const database = scene.connected();
		expect(await fate(database.query("select 1"))).toBe("ECONNRESET");
		scene.server.greeting = {};
		expect(await fate(database.query("select 1"))).toBe("fulfilled");
		expect([scene.server.sessions.length, scene.clock.pending]).toEqual([2, []]);
	});
});

describe("a database that is closed", () => {
	it("lets a statement under way finish", async () => {
		const held = scene.server.hold("slow");
		const database = scene.connected();
		const answered = fate(database.query("select slow"));
		await held.came;
		const closed = database.close();
		await settle();
		// Timers of the same time go off in the order in which they were set: one that ends the session at once is over behind this.
		await new Promise((resolve) => setTimeout(resolve, 1));
		held.answer({ rows: [{ n: 1 }] });
		expect(await answered).toBe("fulfilled");
		await closed;
		expect([scene.clock.pending, await fate(database.close())]).toEqual([[], "fulfilled"]);
	});

	it("waits for those in a pool that was replaced, too", async () => {
		const held = [scene.server.hold("old"), scene.server.hold("refused")] as const;
		const database = scene.connected({ connections: 2 });
		const [old, refused] = [database.query("select old"), database.query("select refused")].map(fate);
		await Promise.all(held.map(({ came }) => came));
		held[1].answer({ error: ["25006", "read-only"] });
		expect(await refused).toBe("25006");
		await database.query("select new");
		let isClosed = false;
		const closed = database.close().then(() => (isClosed = true));
		await scene.server.sessions[2]?.closed;
		await settle();
		expect([isClosed, scene.server.told.at(-1)]).toEqual([false, "3: select new"]);
		held[0].answer({ rows: [{ n: 1 }] });
		expect(await old).toBe("fulfilled");
		await closed;
		await Promise.all(scene.server.sessions.map((session) => session.closed));
		expect(scene.clock.pending).toEqual([]);
	});
});

describe("a session begins", () => {
	it("with its name, its times, and what the URL says", async () => {
		await scene.connected({ statementTimeoutMs: 8_000, parameters: "&application_name=me&options=-c%20geqo%3Doff" }).query("select 1");
		expect(Object.fromEntries(scene.server.sessions[0]?.parameters ?? [])).toMatchObject({
			...{ user: "u", database: "d", application_name: "me", options: "-c geqo=off" },
			...{ statement_timeout: "8000", lock_timeout: "2000" },
		});
	});

	it("and is looked at again where that failed for a reason that passes", async () => {
		scene.server.hold("pg_backend_pid").answer({ error: ["57014", "canceling statement due to statement timeout"] });
		const database = scene.connected();
		expect(await fate(database.query("select 1"))).toBe("57014");
		await database.query("select 2");
		expect(scene.server.told).toEqual(["1: select 2"]);
	});

	it("and leaves the environment as it is, which the library does not understand", async () => {
		const before = process.env.PGTARGETSESSIONATTRS;
		process.env.PGTARGETSESSIONATTRS = "any";
		try {
			expect(await fate(scene.connected().query("select 1"))).toBe("fulfilled");
			expect(process.env.PGTARGETSESSIONATTRS).toBe("any");
		} finally {
			if (before === undefined) delete process.env.PGTARGETSESSIONATTRS;
			else process.env.PGTARGETSESSIONATTRS = before;
		}
	});
});
