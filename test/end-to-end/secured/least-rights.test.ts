/**
 * As few rights as possible: what `check --rights` prints for a user that has none is enough for a run, and each of those rights is missed
 * by name once it is taken away.
 */
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { Producer } from "../../../src/kafka/producer.ts";
import { ClusterInspector } from "../../../src/kafka/topics.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { type Right, type SecuredKafka, startSecuredKafka } from "../../support/kafka/secured-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { withAddon } from "../../support/project/with-addon.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

/** Of what kafka-acls.sh is told. */
function rightOf(command: string): Right {
	const [, operation = "", resource = "", name = ""] = / --operation (\w+) --(topic|group) (\S+)$/.exec(command) ?? [];
	return [operation, resource, name] as unknown as Right;
}

/** The commands of docs/rights.md. */
function handbook(): string[] {
	const text = readFileSync(new URL("../../../docs/rights.md", import.meta.url), "utf8");
	return [...text.matchAll(/^```(?:sh|sql)\n(.*?)^```/gms)].flatMap(([, block = ""]) => block.trim().split("\n"));
}

describeOnKafka("rights that a run needs", () => {
	let kafka: SecuredKafka;
	let db: TestDatabase;
	let folder: Awaited<ReturnType<typeof temporaryFolder>>;
	const [topic, letters, group, role] = [
		uniqueName("least"),
		uniqueName("letters"),
		uniqueName("g"),
		uniqueName("least").replace("-", "_"),
	];
	let config: Record<string, unknown>;

	beforeAll(async () => {
		[kafka, db, folder] = await Promise.all([startSecuredKafka(["pockaffe"]), createTestDatabase(), temporaryFolder()]);
		await kafka.createTopic(topic, 1);
		await kafka.createTopic(letters, 1);
		await db.database.query(`create role ${role} login password 'pass'`);
		const url = db.url.replace(/\/\/[^@]*@/, `//${role}:pass@`);
		config = {
			kafka: { ...kafka.as("pockaffe"), topics: [topic], group },
			handler: { module: "pockaffe:json" },
			database: { url },
			tables: { "app.events": { columns: { name: "text" } } },
			deadLetters: { target: "topic", topic: letters },
			offsets: { table: "app.pockaffe_offsets" },
		};
		await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(config));
		const { stdout } = await pockaffe(["schema", "--json"], { cwd: folder.path });
		await db.database.query("create schema app");
		for (const { sql } of JSON.parse(stdout) as { sql: string }[]) await db.database.query(sql);
	});

	afterAll(async () => {
		await kafka?.[Symbol.asyncDispose]();
		await db?.[Symbol.asyncDispose]();
		await folder?.[Symbol.asyncDispose]();
	});

	const missing = async () => {
		const { stdout, code } = await pockaffe(["check", "--rights"], { cwd: folder.path });
		return { commands: stdout.trim().split("\n"), code };
	};

	it("are printed by check --rights, are enough, and each is missed by name", withAddon, async () => {
		const { commands, code } = await missing();
		expect(code).toBe(1);
		const acls = commands.filter((command) => command.startsWith("kafka-acls.sh"));
		const grants = commands.filter((command) => command.startsWith("grant"));
		const named = commands.map((command) =>
			command
				.replace(kafka.brokers, "kafka.example:9093")
				.replace(letters, "topic1-letters")
				.replace(topic, "topic1")
				.replace(group, "group1")
				.replace(role, "pockaffe"),
		);
		expect(named).toEqual(handbook());

		await kafka.give("pockaffe", ...acls.map(rightOf));
		for (const grant of grants) await db.database.query(grant);
		expect(await missing()).toEqual({ commands: ["# no right is missing"], code: 0 });

		await using producer = await Producer.connect(kafka.admin);
		await producer.produce({ topic, key: "a", value: '{"name":"x"}' });
		await producer.produce({ topic, key: "b", value: "no JSON" });
		await using daemon = await runDaemon(folder.path, config);
		await waitFor("the row", async () => (await db.database.query("select 1 from app.events")).length === 1);
		await waitFor("the letter", async () => (await daemon.metric("pockaffe_dead_letters_total")) === 1);
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
		await using inspector = await ClusterInspector.connect(kafka.admin, systemClock, group);
		expect(await inspector.groupOffsets([topic])).toMatchObject([{ committed: 2 }]);

		await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(config));
		for (const command of acls) {
			await kafka.take("pockaffe", rightOf(command));
			expect((await missing()).commands).toEqual([command]);
			await kafka.give("pockaffe", rightOf(command));
		}
		for (const grant of grants) {
			await db.database.query(grant.replace("grant", "revoke").replace(" to ", " from "));
			expect((await missing()).commands).toContain(grant);
			await db.database.query(grant);
		}
	});

	it("are told by check in the words that a run has", withAddon, async () => {
		await kafka.take("pockaffe", ["Read", "topic", topic]);
		await kafka.give("pockaffe", ["Describe", "topic", topic]);
		const { stdout, code } = await pockaffe(["check", "--json"], { cwd: folder.path });
		expect(code).toBe(1);
		const found = (JSON.parse(stdout) as { item: string; result: string; detail: string }[]).filter(({ result }) => result === "failed");
		expect(found).toMatchObject([
			{ item: `topic ${topic}`, detail: expect.stringMatching(/lacks the right Read: .*Topic authorization failed.*--operation Read/) },
		]);
	});

	it("to look at the letters topic's settings is asked for by check, and without it a run goes on", withAddon, async () => {
		await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(config));
		const told = async () => {
			const { stdout } = await pockaffe(["check", "--json"], { cwd: folder.path });
			const found = JSON.parse(stdout) as { item: string; result: string; detail: string }[];
			return found.filter(({ item }) => item === `dead letters ${letters}`).map(({ result, detail }) => [result, detail]);
		};
		const right = ["DescribeConfigs", "topic", letters] as const;
		const [unknown] = await told();
		expect(unknown).toEqual([
			"warning",
			expect.stringMatching(
				/^whether it keeps letters for ever .* is not known: .*authorization failed.*; give the right to look: kafka-acls/i,
			),
		]);
		expect(rightOf(unknown?.[1] ?? "")).toEqual(right);
		await kafka.give("pockaffe", right);
		expect(await told()).toEqual([["ok", "the topic is there, and keeps letters for ever"]]);
		await kafka.take("pockaffe", right);
	});

	it(
		"to make the topic of dead letters are asked for where it is missing, by check and by a run, which goes on once they are given",
		withAddon,
		async () => {
			const absent = uniqueName("absent");
			const withAbsent = { ...config, deadLetters: { target: "topic", topic: absent } };
			const [write, create] = [["Write", "topic", absent] as const, ["Create", "topic", absent] as const];
			await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(withAbsent));
			await kafka.give("pockaffe", ["Read", "topic", topic], write, create);
			const { stdout } = await pockaffe(["check", "--json"], { cwd: folder.path });
			const found = JSON.parse(stdout) as { item: string; result: string; detail: string }[];
			expect(found).toContainEqual({ item: `dead letters ${absent}`, result: "warning", detail: "the topic is missing; run creates it" });
			await kafka.take("pockaffe", create);
			const { commands } = await missing();
			expect(commands.map(rightOf)).toEqual([create]);
			await using daemon = await runDaemon(folder.path, withAbsent);
			await notReadyFor(daemon, "dead_letter_target", new RegExp(`authorization failed.*--topic ${absent}.*Create`, "i"));
			await kafka.give("pockaffe", create);
			await daemon.ready();
			// The topic is there: the right to write is all that is needed, and missed when it is taken away.
			await kafka.take("pockaffe", create, write);
			await kafka.give("pockaffe", ["Describe", "topic", absent]);
			await using producer = await Producer.connect(kafka.admin);
			await producer.produce({ topic, key: "c", value: "no JSON" });
			await notReadyFor(daemon, "dead_letter_target", new RegExp(`authorization failed.*--operation Write --topic ${absent}`, "i"));
			await kafka.give("pockaffe", write);
			await daemon.ready();
			await waitFor("the letter", async () => (await daemon.metric("pockaffe_dead_letters_total")) === 1);
			expect(await daemon.stop()).toBe(0);
		},
	);
});
