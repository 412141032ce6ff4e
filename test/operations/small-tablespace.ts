/**
 * A disk that can be filled: the table and its index in a tablespace on a file system of a few MiB in memory. Where nothing may be mounted
 * a trigger says what the server would (53100).
 */
import { execFile } from "node:child_process";
import { chown, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { OperationScene } from "./scene.ts";

const run = promisify(execFile);
const SIZE = "16m";

/** See the file's header; `await using` leaves the table where it was. */
export interface SmallTablespace extends AsyncDisposable {
	fill(): Promise<void>;
	empty(): Promise<void>;
}

export async function smallTablespace(scene: OperationScene): Promise<SmallTablespace> {
	const folder = join(scene.folder, "disk");
	await mkdir(folder);
	const isMounted = await run("mount", ["-t", "tmpfs", "-o", `size=${SIZE}`, "tmpfs", folder]).then(
		() => true,
		() => false,
	);
	return isMounted ? await mounted(scene, folder) : pretended(scene);
}

async function mounted(scene: OperationScene, folder: string): Promise<SmallTablespace> {
	const { uid, gid } = await stat(`/proc/${scene.servers.postgres.pid}`);
	await chown(folder, uid, gid);
	const space = `space_${scene.databaseName}`;
	await scene.sql(`create tablespace ${space} location '${folder}'`, `alter table events set tablespace ${space}`);
	await scene.sql(`create table filler (content text) tablespace ${space}`, "alter table filler alter content set storage plain");
	// Somebody who still reads what was there: no room of an old row is used again.
	const reader = scene.sql("select pg_sleep(600) /* reader */").catch(() => {});
	return {
		async fill() {
			for (const rows of [1_000, 1]) {
				while (await fits(scene, `insert into filler select repeat('x', 1800) from generate_series(1, ${rows})`));
			}
		},
		async empty() {
			await scene.sql(
				"select pg_terminate_backend(pid) from pg_stat_activity where query like '%/* reader */' and pid <> pg_backend_pid()",
			);
			await reader;
			await scene.sql("drop table filler");
		},
		async [Symbol.asyncDispose]() {
			await scene.sql("drop table if exists filler", "alter table events set tablespace pg_default", `drop tablespace ${space}`);
			await run("umount", [folder]);
		},
	};
}

/** False where the disk is full. */
async function fits(scene: OperationScene, statement: string): Promise<boolean> {
	try {
		await scene.sql(statement);
		return true;
	} catch (error) {
		if ((error as { code?: string }).code === "53100") return false;
		throw error;
	}
}

function pretended(scene: OperationScene): SmallTablespace {
	return {
		fill: () =>
			scene.sql(
				"create function full() returns trigger language plpgsql as $$ begin raise sqlstate '53100' using message = 'no space left'; end $$",
				"create trigger full before insert or update on events execute function full()",
			),
		empty: () => scene.sql("drop function full cascade"),
		async [Symbol.asyncDispose]() {},
	};
}
