/** What people and accidents do to what is in the database: rows and tables that are gone or put back, a full disk, a constraint. */

import type { Operation } from "./operation.ts";
import type { OperationScene } from "./scene.ts";
import { smallTablespace } from "./small-tablespace.ts";

/** The rows' table and the notes that come with it in a backup. */
const KEPT = ["events", "pockaffe_offsets_start"];

const inPostgres = { offsets: { store: "postgres", commitIntervalMs: 100 } };

const readAllAgain = (scene: OperationScene) => scene.whileStopped(() => scene.command("offsets", "set", "--to", "earliest", "--yes"));

/** Of these tables, put back in one transaction after some of the load. */
async function putBack(scene: OperationScene, tables: readonly string[]): Promise<void> {
	await scene.sql(tables.map((table) => `create table backup_of_${table} as select * from ${table}`).join(";"));
	await scene.progress();
	await scene.during(2_000);
	await scene.sql(
		tables
			.map(
				(table) =>
					`lock table ${table} in access exclusive mode; delete from ${table}; insert into ${table} select * from backup_of_${table}`,
			)
			.join(";"),
	);
}

export const dataOperations: readonly Operation[] = [
	{
		name: "the table is emptied, and all is read again",
		may: ["database"],
		run: async (scene) => {
			await scene.sql("truncate events");
			await scene.progress();
			await scene.ready();
			await readAllAgain(scene);
		},
	},
	{
		name: "all tables are dropped and made again, and all is read again",
		says: ["database"],
		may: ["table_restored", "commits_failing"],
		run: async (scene) => {
			await scene.sql("drop table events, pockaffe_offsets_start, pockaffe_dead_letters");
			await scene.says("database");
			await scene.makeTables();
			await scene.followAdvice("table_restored");
		},
	},
	{
		name: "the database is dropped and made again, and all is read again",
		says: ["database"],
		may: ["table_restored", "dead_letter_target", "commits_failing"],
		run: async (scene) => {
			await scene.ofServer(`drop database ${scene.databaseName} with (force)`);
			await scene.says("database");
			await scene.makeDatabase();
			await scene.makeTables();
			await scene.followAdvice("table_restored");
		},
	},
	{
		name: "the database is dropped and made again while no daemon runs, and all is read again",
		run: (scene) =>
			scene.whileStopped(async () => {
				await scene.ofServer(`drop database ${scene.databaseName} with (force)`);
				await scene.makeDatabase();
				await scene.command("offsets", "set", "--to", "earliest", "--yes");
			}),
	},
	{
		name: "a backup is put back under a running daemon (offsets in kafka)",
		says: ["table_restored"],
		may: ["database"],
		run: async (scene) => {
			await putBack(scene, KEPT);
			await scene.followAdvice("table_restored");
		},
	},
	{
		name: "a backup is put back under a running daemon (offsets in postgres)",
		config: inPostgres,
		may: ["database", "starting"],
		run: (scene) => putBack(scene, [...KEPT, "pockaffe_offsets"]),
	},
	{
		name: "a check that every row breaks is added, and dropped; the letters are replayed",
		says: ["parked"],
		run: async (scene) => {
			await scene.sql("alter table events add constraint none check (false) not valid");
			const parked = await scene.saysOfEvery("parked");
			await scene.sql("alter table events drop constraint none");
			for (const { topic, partition } of parked) {
				await scene.command("resume", String(topic), String(partition), "--url", await scene.daemon.url());
			}
			await scene.progress();
			await scene.command("dead-letters", "replay", "--all");
		},
	},
	{
		name: "the disk is full, and has room again",
		says: ["database"],
		run: async (scene) => {
			await using space = await smallTablespace(scene);
			await space.fill();
			await scene.says("database");
			await scene.during(1_000);
			await space.empty();
			await scene.progress();
		},
	},
];
