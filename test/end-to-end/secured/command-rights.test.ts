/** What docs/rights.md says of each command: those rights are enough, and each that is taken away is told by name, with nothing done. */
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { pockaffe, pockaffeInProcess } from "../../support/daemons/command-line.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { type Right, type SecuredKafka, startSecuredKafka } from "../../support/kafka/secured-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { withAddon } from "../../support/project/with-addon.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

/** `select on table app.events` */
type Grant = `${"select" | "insert" | "update" | "delete" | "usage"} on ${"table" | "schema"} ${string}`;

interface Row {
	readonly command: readonly string[];
	readonly stdin?: string;
	/** Beside the usual configuration. */
	readonly over?: Record<string, unknown>;
	readonly kafka?: readonly Right[];
	readonly grants?: readonly Grant[];
	/** Emptied before the run that may not insert: what is there is updated. */
	readonly emptied?: string;
	/** As the handbook's table has it. */
	readonly named: string;
}

const [topic, other, letters, group, made, role] = [
	uniqueName("commands"),
	uniqueName("other"),
	uniqueName("letters"),
	uniqueName("g"),
	uniqueName("made"),
	uniqueName("tool").replace("-", "_"),
];
const [events, others, ofLetters, starts, offsets] = [
	"events",
	"others",
	"pockaffe_dead_letters",
	"pockaffe_offsets_start",
	"pockaffe_offsets",
];
const tableOf = (name: string) => ({ tables: { [`app.${name}`]: { columns: { name: "text" }, create: true } } });
const inTable = { deadLetters: { table: `app.${ofLetters}` }, ...tableOf(others) };
const asTheDaemon = { handler: { module: "./handler.mjs" } };
const inTopic = { deadLetters: { target: "topic", topic: letters } };
const inDatabase = { offsets: { store: "postgres", table: `app.${offsets}` } };
const usage: Grant = "usage on schema app";
const on = (table: string, ...rights: readonly ("select" | "insert" | "update" | "delete")[]) =>
	rights.map((right): Grant => `${right} on table app.${table}`);
const written = (table: string) => on(table, "select", "update", "insert");

const handler = `
	export function handleMessage({ key }) {
		return String(key).endsWith("refused") ? { reject: "not yet" } : { id: String(key), fields: { name: "x" } };
	}`;

const rows: readonly Row[] = [
	{
		named: "verify",
		command: ["verify"],
		over: { ...inTopic, ...asTheDaemon },
		kafka: [
			["Read", "topic", topic],
			["Read", "topic", letters],
			["Describe", "group", group],
		],
		grants: [usage, ...on(events, "select"), ...on(starts, "select")],
	},
	{
		named: "reprocess",
		command: ["reprocess", "--yes"],
		over: { ...inTopic, handler: { module: "./corrected.mjs" } },
		kafka: [
			["Read", "topic", topic],
			["Read", "topic", letters],
			["Describe", "group", group],
		],
		grants: [usage, ...on(events, "select", "update"), ...on(starts, "select")],
	},
	{
		named: "offsets",
		command: ["offsets", group, "--topic", topic],
		kafka: [
			["Describe", "topic", topic],
			["Describe", "group", group],
		],
	},
	{
		named: "offsets set",
		command: ["offsets", "set", "--to", "earliest", "--yes"],
		kafka: [
			["Read", "topic", topic],
			["Read", "group", group],
		],
		grants: [usage, ...written(starts)],
		emptied: starts,
	},
	{
		// Behind `offsets set`: the group stands at the first message.
		named: "skip",
		command: ["skip", topic, "0", "0"],
		over: inTopic,
		kafka: [
			["Read", "topic", topic],
			["Read", "group", group],
			["Write", "topic", letters],
		],
		grants: [usage, ...on(starts, "select", "update")],
	},
	{
		named: "offsets set",
		command: ["offsets", "set", "--to", "earliest", "--yes"],
		over: inDatabase,
		// Which daemons run is asked of the group, whoever keeps its offsets.
		kafka: [
			["Describe", "topic", topic],
			["Describe", "group", group],
		],
		grants: [usage, ...written(starts), ...written(offsets)],
		emptied: starts,
	},
	{ named: "dead-letters list", command: ["dead-letters", "list"], over: inTopic, kafka: [["Read", "topic", letters]] },
	{ named: "dead-letters list", command: ["dead-letters", "list"], over: inTable, grants: [usage, ...on(ofLetters, "select")] },
	{
		named: "dead-letters show",
		command: ["dead-letters", "show", other, "0", "2"],
		over: inTable,
		grants: [usage, ...on(ofLetters, "select")],
	},
	{
		named: "dead-letters discard",
		command: ["dead-letters", "discard", "--all", "--yes"],
		over: inTopic,
		kafka: [
			["Read", "topic", letters],
			["Write", "topic", letters],
		],
	},
	{
		named: "dead-letters discard",
		command: ["dead-letters", "discard", "--all", "--yes"],
		over: inTable,
		grants: [usage, ...on(ofLetters, "select", "update")],
	},
	{
		named: "dead-letters replay",
		command: ["dead-letters", "replay", "--state", "discarded"],
		over: inTopic,
		kafka: [
			["Read", "topic", letters],
			["Write", "topic", letters],
		],
		grants: [usage, ...written(events)],
	},
	{
		named: "dead-letters replay",
		command: ["dead-letters", "replay", "--state", "discarded"],
		over: inTable,
		grants: [usage, ...written(others), ...on(ofLetters, "select", "update")],
	},
	{
		named: "dead-letters discard --purge",
		command: ["dead-letters", "discard", "--purge", "--all", "--yes"],
		over: inTable,
		grants: [usage, ...on(ofLetters, "select", "delete")],
	},
	{ named: "produce", command: ["produce", topic, "-k", "c"], stdin: '{"name":"y"}\n', kafka: [["Write", "topic", topic]] },
	{
		named: "consume",
		command: ["consume", topic, "-g", "tool", "-n", "1"],
		kafka: [
			["Read", "topic", topic],
			["Read", "group", "tool"],
		],
	},
	{ named: "topic create", command: ["topic", "create", made, "-p", "1"], kafka: [["Create", "topic", made]] },
	{ named: "topic describe", command: ["topic", "describe", topic], kafka: [["Describe", "topic", topic]] },
];

describeOnKafka("the rights that a command needs", () => {
	let kafka: SecuredKafka;
	let db: TestDatabase;
	let folder: Awaited<ReturnType<typeof temporaryFolder>>;

	beforeAll(async () => {
		[kafka, db, folder] = await Promise.all([startSecuredKafka(["tool"]), createTestDatabase(), temporaryFolder()]);
		await using producer = await Producer.connect(kafka.admin);
		await db.database.query("create schema app");
		await db.database.query(`create role ${role} login password 'pass'`);
		// The daemon makes the tables, and letters of both kinds, which another handler takes.
		await writeFile(join(folder.path, "handler.mjs"), handler);
		await writeFile(join(folder.path, "corrected.mjs"), handler.replace('name: "x"', 'name: "corrected"'));
		for (const [read, over] of [[topic, inTopic] as const, [other, { ...inTable, ...inDatabase }] as const]) {
			await kafka.createTopic(read, 1);
			for (const key of ["a", "b", "refused"]) await producer.produce({ topic: read, key: `${read}-${key}`, value: '{"name":"x"}' });
			await using daemon = await runDaemon(folder.path, { ...configuration(kafka.admin, db.url, read), ...asTheDaemon, ...over });
			await waitFor("a letter", async () => (await daemon.metric("pockaffe_dead_letters_total")) === 1);
			expect(await daemon.stop()).toBe(0);
		}
	});

	afterAll(async () => {
		await kafka?.[Symbol.asyncDispose]();
		await db?.[Symbol.asyncDispose]();
		await folder?.[Symbol.asyncDispose]();
	});

	const configuration = (as: object, url: string, read = topic) => ({
		http: { port: 0 },
		kafka: { ...as, topics: [read], group },
		handler: { module: "pockaffe:json" },
		database: { url },
		...tableOf(events),
		offsets: { table: `app.${offsets}` },
	});

	/** With these rights alone. */
	async function run({ command, stdin = "", over = {} }: Row, rights: readonly Right[], grants: readonly Grant[]) {
		const url = db.url.replace(/\/\/[^@]*@/, `//${role}:pass@`);
		await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify({ ...configuration(kafka.as("tool"), url), ...over }));
		for (const grant of grants) await db.database.query(`grant ${grant} to ${role}`);
		await kafka.give("tool", ...rights);
		const hasHandler = ["verify", "reprocess", "replay"].some((name) => command.includes(name));
		const { code, stdout, stderr } = await (hasHandler ? pockaffe : pockaffeInProcess)(command, { cwd: folder.path, stdin });
		await kafka.take("tool", ...rights);
		for (const grant of grants) await db.database.query(`revoke ${grant} from ${role}`);
		return { code, told: stdout + stderr };
	}

	describe.each(rows)("$named: $command", (row) => {
		const { kafka: rights = [], grants = [], emptied } = row;

		it("are enough, and each is missed by name", withAddon, async () => {
			for (const right of rights) {
				const { code, told } = await run(
					row,
					rights.filter((each) => each !== right),
					grants,
				);
				expect({ right, code, told }).toMatchObject({ code: row.named === "consume" && right[1] === "group" ? 5 : 1 });
				const [operation, resource, name] = right;
				expect(told).toMatch(new RegExp(`authorization failed.*--operation ${operation} --${resource} ${name}`, "i"));
			}
			for (const grant of grants) {
				if (emptied && grant.startsWith("insert")) await db.database.query(`delete from app.${emptied}`);
				const { code, told } = await run(
					row,
					rights,
					grants.filter((each) => each !== grant),
				);
				expect({ grant, code, told }).toMatchObject({ code: 1 });
				expect(told).toMatch(new RegExp(`permission denied for (table|schema) ${grant.split(/[ .]/).at(-1)}`));
			}
			expect(await run(row, rights, grants)).toMatchObject({ code: 0 });
		});
	});

	it("are tried out for every command of the handbook", () => {
		const text = readFileSync(new URL("../../../docs/rights.md", import.meta.url), "utf8");
		const firstCells = [...text.matchAll(/^\| (`.*?) \|/gm)].map(([, cell = ""]) => cell);
		const commands = firstCells.flatMap((cell) => [...cell.matchAll(/`(.*?)`/g)].map(([, name = ""]) => name));
		// What a run needs, and check asks for, is least-rights.test.ts.
		expect(new Set([...rows.map(({ named }) => named), "run", "check"])).toEqual(new Set(commands));
	});
});
