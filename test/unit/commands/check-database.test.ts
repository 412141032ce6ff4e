/** What `check` says of the database: each finding in its place, with the commands that mend it. What is found is told by other tests. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { databaseFindings } from "../../../src/commands/check/check-database.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { ExitError, exitCodes } from "../../../src/core/errors.ts";
import * as crashSafety from "../../../src/sink/database/crash-safety.ts";
import * as databases from "../../../src/sink/database/database.ts";
import * as foreignKeys from "../../../src/sink/tables/foreign-keys.ts";
import * as schemaCheck from "../../../src/sink/tables/schema-check.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

/** What the parts find, and what they were asked. */
let found: {
	users: object[];
	own: object[];
	server: string[];
	unlogged: Map<string, string>;
	unkeyed: string[];
	error: Error | null;
	asked: unknown[];
};

beforeEach(() => {
	found = { users: [], own: [], server: [], unlogged: new Map(), unkeyed: [], error: null, asked: [] };
	vi.spyOn(databases, "connectDatabase").mockImplementation(({ connections, deadlineMs }) => {
		found.asked.push(["connected", connections, deadlineMs]);
		const query = async () => {
			if (found.error) throw found.error;
			return [{ version: "18.1" }];
		};
		return { query, close: async () => void found.asked.push("closed") } as never;
	});
	vi.spyOn(schemaCheck, "checkTables").mockImplementation(async () => found.users as never);
	vi.spyOn(schemaCheck, "checkOwnTables").mockImplementation(async () => found.own as never);
	vi.spyOn(crashSafety, "crashSafetyOf").mockImplementation(async (_, tables) => {
		found.asked.push(["safety", ...tables]);
		return { server: found.server, tables: found.unlogged };
	});
	vi.spyOn(foreignKeys, "withoutForeignKeys").mockImplementation(async (_, tables) => {
		found.asked.push(["keys", ...tables]);
		return found.unkeyed;
	});
});
afterEach(() => void vi.restoreAllMocks());

const { config } = loadConfig({
	written: {
		database: { url: "postgres://u@h/d" },
		tables: { events: {}, lines: { references: { waitMs: 1_000 } }, notes: { references: { waitMs: 1_000 } } },
	},
	environment: {},
	cwd: "/",
});
const findings = async () =>
	(await databaseFindings(config, new ManualClock())).map(({ item, result, detail, commands = [] }) =>
		[item, result, detail, ...commands].join(" | "),
	);
const table = (name: string, over: object = {}) => ({ table: name, problems: [], warnings: [], ...over });

it("the server's version, and that all tables are as they should be", async () => {
	found.users = [table("events")];
	found.own = [table("pockaffe_dead_letters")];
	expect(await findings()).toEqual([
		"database | ok | version 18.1",
		"table events | ok | as configured",
		"table pockaffe_dead_letters | ok | the table is there",
	]);
	expect(found.asked).toEqual([
		["connected", 1, 10_000],
		["safety", "events", "pockaffe_dead_letters"],
		["keys", "lines", "notes"],
		"closed",
	]);
});

it("a table that the daemon creates is fine, whatever else is said of it", async () => {
	found.users = [table("events", { isCreatedAtStart: true }), table("lines", { isCreatedAtStart: true, warnings: ["mind this"] })];
	expect((await findings()).slice(1)).toEqual([
		"table events | ok | is missing; the daemon creates it at start",
		"table lines | ok | is missing; the daemon creates it at start",
		"table lines | warning | mind this",
	]);
});

it("problems come before warnings, and the commands that mend with the first of all", async () => {
	found.users = [table("events", { problems: ["one", "two"], warnings: ["three"], grants: ["grant a", "grant b"] })];
	found.own = [table("notes", { warnings: ["four", "five"], grants: ["grant c"] })];
	expect((await findings()).slice(1)).toEqual([
		"table events | failed | one | grant a | grant b",
		"table events | failed | two",
		"table events | warning | three",
		"table notes | warning | four | grant c",
		"table notes | warning | five",
	]);
});

it("what would not survive a crash is the server's, or a problem of its table", async () => {
	found.server = ["fsync is off"];
	found.users = [table("events"), table("lines", { problems: ["one"] })];
	found.own = [table("letters")];
	found.unlogged = new Map([
		["lines", "is unlogged"],
		["letters", "is unlogged, too"],
	]);
	expect((await findings()).slice(1)).toEqual([
		"database | warning | fsync is off",
		"table events | ok | as configured",
		"table lines | failed | one",
		"table lines | failed | is unlogged",
		"table letters | failed | is unlogged, too",
	]);
});

it("rows that are to wait for others need a foreign key", async () => {
	found.users = [table("events"), table("lines")];
	found.unkeyed = ["lines"];
	expect((await findings()).slice(1)).toEqual([
		"table events | ok | as configured",
		"table lines | warning | has no foreign key: tables.lines.references has nothing to wait for",
	]);
});

it("tables in a schema that may not be used are asked nothing more", async () => {
	found.users = [table("events"), table("lines", { problems: ["hidden"], isHidden: true })];
	found.own = [table("app.letters", { problems: ["hidden"], isHidden: true })];
	await findings();
	expect(found.asked.slice(1, 3)).toEqual([
		["safety", "events"],
		["keys", "notes"],
	]);
});

it("a server that can't be asked is one finding, with what to do about it; the connection is closed", async () => {
	found.error = Object.assign(new Error("password authentication failed"), { code: "28P01" });
	const [only, ...others] = await findings();
	expect([only, others]).toEqual([expect.stringMatching(/^database \| failed \| SQLSTATE 28P01: .*; look at the user/), []]);
	expect(found.asked.at(-1)).toBe("closed");
	found.error = new ExitError(exitCodes.usage, "x", "in our own words");
	expect(await findings()).toEqual(["database | failed | in our own words"]);
});
