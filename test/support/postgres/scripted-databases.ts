/** For each test: a Postgres by script, others if wanted, databases connected to them, and a clock that stands still. */
import { afterEach, beforeEach } from "vitest";
import { connectDatabase, type Database, type DatabaseOptions } from "../../../src/sink/database/database.ts";
import { ManualClock } from "../fakes/manual-clock.ts";
import { ScriptedPostgres } from "./scripted-postgres.ts";

interface Wanted extends Partial<DatabaseOptions> {
	readonly hosts?: readonly Pick<ScriptedPostgres, "address">[];
	/** Behind `sslmode=disable`. */
	readonly parameters?: string;
}

/** See the file's header. */
class ScriptedDatabases {
	readonly clock = new ManualClock();
	readonly server: ScriptedPostgres;
	readonly #others: ScriptedPostgres[] = [];
	readonly #databases: Database[] = [];

	constructor(server: ScriptedPostgres) {
		this.server = server;
	}

	connected({ hosts = [this.server], parameters = "", ...over }: Wanted = {}): Database {
		const url = `postgres://u@${hosts.map(({ address }) => address).join(",")}/d?sslmode=disable${parameters}`;
		const database = connectDatabase({ url, connections: 1, clock: this.clock, ...over });
		this.#databases.push(database);
		return database;
	}

	async another(): Promise<ScriptedPostgres> {
		const postgres = await ScriptedPostgres.start();
		this.#others.push(postgres);
		return postgres;
	}

	async end(): Promise<void> {
		for (const database of this.#databases) await database.close();
		for (const each of [this.server, ...this.#others]) await each[Symbol.asyncDispose]();
	}
}

/** Call it once in a file; what it returns is the running test's. */
export function scriptedDatabases(): Pick<ScriptedDatabases, "server" | "clock" | "connected" | "another"> {
	let scene: ScriptedDatabases;
	beforeEach(async () => {
		scene = new ScriptedDatabases(await ScriptedPostgres.start());
	});
	afterEach(() => scene.end());
	return {
		get server() {
			return scene.server;
		},
		get clock() {
			return scene.clock;
		},
		connected: (wanted) => scene.connected(wanted),
		another: () => scene.another(),
	};
}

/** How a promise ended: its error's code, or "fulfilled". */
export function fate(promise: Promise<unknown>): Promise<string | undefined> {
	return promise.then(
		() => "fulfilled",
		(error: { code?: string }) => error.code,
	);
}
