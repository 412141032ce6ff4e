/** Which server a pool goes to, and how it talks to a pooler in between: against Postgres servers by script. */
import { describe, expect, it } from "vitest";
import { fate, scriptedDatabases } from "../../support/postgres/scripted-databases.ts";

const scene = scriptedDatabases();

describe("behind a pooler", () => {
	const limits = ["set local statement_timeout = 30000", "set local lock_timeout = 2000"];
	const pooled = ["begin", ...limits, "select $1", "commit"].map((text) => `2: ${text}`);

	/** Nothing of these sessions outlives its transaction. */
	function expectPooled(): void {
		expect(scene.server.told).toEqual(pooled);
		expect(scene.server.statements.filter(({ session }) => session === 2).map(({ isPrepared }) => isPrepared)).not.toContain(true);
		expect([...(scene.server.sessions[1]?.parameters.keys() ?? [])]).not.toContain("statement_timeout");
	}

	it.each([undefined, 1])(
		"that names another process, a query is asked again without a trace (greeting in pieces of %s)",
		async (piece) => {
			scene.server.greeting = { pid: 7, backend: 8, ...(piece && { piece }) };
			const database = scene.connected();
			await database.query("select $1", ["x"]);
			expectPooled();
			await database.query("select $1", ["x"]);
			expect(scene.server.told.slice(5)).toEqual(pooled);
		},
	);

	it.each(["statement_timeout", "lock_timeout"])("that refuses sessions with a %s, a query is asked again without", async (parameter) => {
		scene.server.greeting = { refuses: [parameter, "08P01", `unsupported startup parameter: ${parameter}`] };
		await scene.connected().query("select $1", ["x"]);
		expectPooled();
	});

	it("that refuses something else, it is an error", async () => {
		scene.server.greeting = { refuses: ["user", "08P01", "unsupported startup parameter: user"] };
		expect(await fate(scene.connected().query("select $1", ["x"]))).toBe("08P01");
	});

	it("limits of a query's own go first", async () => {
		scene.server.greeting = { pid: 7, backend: 8 };
		await scene.connected().query("select 1", [], { lockTimeoutMs: 5 });
		expect(scene.server.told.slice(1, 3)).toEqual(["2: set local statement_timeout = 30000", "2: set local lock_timeout = 5"]);
	});

	it.each([
		["says no process id in the greeting", { pid: null, backend: 8 }],
		["has no processes", { pid: 7, backend: 0 }],
	])("nobody believes to be whose server %s", async (_, greeting) => {
		scene.server.greeting = greeting;
		await scene.connected().query("select $1", ["x"]);
		expect(scene.server.told).toEqual(["1: select $1"]);
	});
});

describe("of several servers", () => {
	const writable = { parameters: "&target_session_attrs=read-write" };

	it("the first that takes writes is used, where that is asked for", async () => {
		const second = await scene.another();
		scene.server.greeting = { takesNoWrites: true };
		const database = scene.connected({ hosts: [scene.server, second], ...writable });
		await database.query("select 1");
		await database.query("select 2");
		expect([scene.server.told, second.told]).toEqual([[], ["1: select 1", "1: select 2"]]);
		await scene.server.sessions[0]?.closed;
	});

	it("each is asked once where none takes writes", async () => {
		const second = await scene.another();
		for (const each of [scene.server, second]) each.greeting = { takesNoWrites: true };
		const database = scene.connected({ hosts: [scene.server, second], ...writable });
		await expect(database.query("select 1")).rejects.toMatchObject({
			code: "25006",
			message: `${second.address} takes no writes, and target_session_attrs asks for a server that does`,
		});
		expect([scene.server.sessions.length, second.sessions.length]).toEqual([1, 1]);
	});

	it("the one behind it comes next where one is left, also if one before it is away", async () => {
		const [away, second] = [await scene.another(), await scene.another()];
		const { address } = away;
		await away[Symbol.asyncDispose]();
		scene.server.answer = () => ({ error: ["25006", "cannot execute INSERT in a read-only transaction"] });
		const database = scene.connected({ hosts: [{ address }, scene.server, second] });
		expect(await fate(database.query("insert 1"))).toBe("25006");
		await database.query("insert 1");
		expect([scene.server.told, second.told]).toEqual([["1: insert 1"], ["1: insert 1"]]);
	});

	it("the first is used where nobody asks for writes", async () => {
		const second = await scene.another();
		scene.server.greeting = { takesNoWrites: true };
		await scene.connected({ hosts: [scene.server, second] }).query("select 1");
		expect([scene.server.told, second.told]).toEqual([["1: select 1"], []]);
	});

	it("one that takes no writes any more is left with the next query", async () => {
		const second = await scene.another();
		scene.server.answer = () => ({ error: ["25006", "cannot execute INSERT in a read-only transaction"] });
		const database = scene.connected({ hosts: [scene.server, second] });
		expect(await fate(database.query("insert 1"))).toBe("25006");
		await database.query("insert 1");
		expect([scene.server.told, second.told]).toEqual([["1: insert 1"], ["1: insert 1"]]);
	});

	it("one whose session was lost is asked again first; one that gave none is left", async () => {
		const second = await scene.another();
		const database = scene.connected({ hosts: [scene.server, second] });
		scene.server.answer = () => ({ hangsUp: true });
		expect(await fate(database.query("select 1"))).toBe("CONNECTION_CLOSED");
		scene.server.answer = () => ({});
		await database.query("select 2");
		expect([scene.server.told, second.told]).toEqual([["1: select 1", "2: select 2"], []]);
		scene.server.answer = () => ({ hangsUp: true });
		scene.server.greeting = { hangsUp: true };
		await fate(database.query("select 3"));
		expect(await fate(database.query("select 4"))).toBe("ECONNRESET");
		await database.query("select 5");
		expect(second.told).toEqual(["1: select 5"]);
	});
});
