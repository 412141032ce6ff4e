/** What people and accidents do to the database. */
import type { Operation } from "./operation.ts";
import type { OperationScene } from "./scene.ts";

const endSessions = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";

/** Rows don't go in; what is there is told, mended, and everything goes in. */
function mended(name: string, breaks: string[], mends: string[], more: Partial<Operation> = {}): Operation {
	return {
		name,
		says: ["database"],
		...more,
		run: async (scene) => {
			await scene.sql(...breaks);
			await scene.says("database");
			await scene.during(1_000);
			await scene.sql(...mends);
		},
	};
}

/** What goes on under load without anybody noticing, or with a retry. */
function noticed(name: string, statements: (scene: OperationScene) => readonly string[], more: Partial<Operation> = {}): Operation {
	return { name, may: ["database"], ...more, run: (scene) => scene.sql(...statements(scene)) };
}

export const databaseOperations: readonly Operation[] = [
	{ name: "the database is killed", isShort: true, may: ["database", "dead_letter_target"], run: ({ servers }) => servers.killPostgres() },
	{
		name: "the database is killed three times",
		may: ["database", "dead_letter_target"],
		run: async (scene) => {
			for (let i = 0; i < 3; i++) {
				await scene.servers.killPostgres();
				await scene.progress();
			}
		},
	},
	{
		name: "the database hangs for ten seconds",
		may: ["database"],
		run: async (scene) => {
			const thaw = await scene.servers.freezePostgres();
			await scene.during(10_000);
			await thaw();
		},
	},
	{
		name: "the database hangs for a minute",
		says: ["database"],
		// How far the partitions came is noted there before Kafka is told.
		may: ["commits_failing"],
		run: async (scene) => {
			const thaw = await scene.servers.freezePostgres();
			await scene.during(60_000);
			await thaw();
		},
	},
	{
		name: "a daemon starts while the database hangs",
		may: ["database", "not_in_group"],
		run: async (scene) => {
			const thaw = await scene.servers.freezePostgres();
			await scene.startDaemon();
			await scene.during(10_000);
			await thaw();
		},
	},
	{
		name: "the sessions are ended every two seconds",
		may: ["database"],
		run: async (scene) => {
			for (let i = 0; i < 10; i++) {
				await scene.sql(endSessions);
				await scene.during(2_000);
			}
		},
	},
	{
		name: "the role may have one connection",
		may: ["database"],
		run: async (scene) => {
			await scene.sql(`alter role ${scene.role.name} connection limit 1`, endSessions);
			await scene.during(5_000);
			await scene.sql(`alter role ${scene.role.name} connection limit -1`);
		},
	},
	{
		name: "the password is changed, and changed back",
		says: ["database"],
		run: async (scene) => {
			const { name, password } = scene.role;
			await scene.sql(`alter role ${name} password 'another'`, endSessions);
			await scene.says("database");
			await scene.sql(`alter role ${name} password '${password}'`);
		},
	},
	{
		name: "the database is read-only for a while",
		says: ["database"],
		run: async (scene) => {
			const { databaseName } = scene;
			await scene.sql(`alter database ${databaseName} set default_transaction_read_only = on`, endSessions);
			await scene.says("database");
			await scene.sql(
				"set session characteristics as transaction read write",
				`alter database ${databaseName} reset default_transaction_read_only`,
				endSessions,
			);
		},
	},
	mended("a column is dropped, and added again", ["alter table events rename column n to m"], ["alter table events rename column m to n"]),
	mended("the table is away, and comes back", ["alter table events rename to away"], ["alter table away rename to events"]),
	noticed("a column is added, widened and dropped", () => [
		"alter table events add column more int default 7",
		"alter table events alter column more type bigint",
		"alter table events drop column more",
	]),
	noticed("an index is built concurrently", () => ["create index concurrently by_n on events (n)", "drop index concurrently by_n"]),
	noticed("vacuum full", () => ["vacuum full events"]),
	noticed("the table is swapped for a copy", () => [
		`do $$ begin
			lock table events in access exclusive mode;
			create table copy (like events including all);
			insert into copy select * from events;
			drop table events;
			alter table copy rename to events;
		end $$`,
		...["events"].map((table) => `grant all on ${table} to public`),
	]),
	{
		name: "the right to write is taken away, and given back",
		says: ["database"],
		run: async (scene) => {
			await scene.sql(`revoke insert, update on events from ${scene.role.name}`);
			await scene.says("database");
			await scene.sql(`grant insert, update on events to ${scene.role.name}`);
		},
	},
	mended(
		"a column of somebody else must not be null",
		["alter table events add column theirs text not null default ''", "alter table events alter column theirs drop default"],
		["alter table events alter column theirs drop not null"],
	),
	{
		name: "the role's idle sessions are ended after a fifth of a second",
		may: ["database"],
		run: async (scene) => {
			await scene.sql(`alter role ${scene.role.name} set idle_session_timeout = 200`, endSessions);
			await scene.during(4_000);
			await scene.sql(`alter role ${scene.role.name} reset idle_session_timeout`, endSessions);
		},
	},
	{
		name: "another session locks the table for eight seconds",
		may: ["database"],
		run: (scene) => scene.sql("do $$ begin lock table events in access exclusive mode; perform pg_sleep(8); end $$"),
	},
	{
		name: "another session changes the same rows in another order",
		may: ["database"],
		run: async (scene) => {
			for (let i = 0; i < 20; i++) {
				// Whoever is the victim of a deadlock: only the daemon's side has to cope.
				await scene
					.sql("update events set deleted = deleted where id in (select id from events order by id desc limit 200)")
					.catch(() => {});
				await scene.during(100);
			}
		},
	},
];
