/**
 * A real Postgres on loopback that PocKaffe supervises. Its data is kept between runs: created once, started, adopted if a killed run left
 * it running, restarted when it dies, stopped cleanly. It runs in a process group of its own, so that Ctrl-C reaches PocKaffe first and the
 * database is there until the drain has ended.
 *
 *    preparing -> (initdb) -> starting -> running <-> restarting -> stopped
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chown, lchown, lstat, mkdir, readFile, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import type { Clock } from "../core/clock.ts";
import { ExitError, exitCodes, messageOf, PocKaffeError } from "../core/errors.ts";
import { exponentialBackOff } from "../core/exponential-back-off.ts";
import { isAlive } from "../core/is-alive.ts";
import { type PostgresBinary, preparePostgres, type ServerUser } from "./postgres-binary.ts";
import { dataPlace, keptFolder, keptSecret, serverUser } from "./postgres-folder.ts";
import { isPostgresOf, type Postmaster, readPostmasterPid } from "./postmaster-pid.ts";
import { checkFolder, openOwnLog, readOwnFile, writeOwnFile } from "./private-files.ts";

/** What a start needs. */
export interface EmbeddedPostgresOptions {
	/** Where everything is kept, e.g. `.pockaffe/postgres`. */
	readonly folder: string;
	readonly clock: Clock;
	/** True if a database answers at this URL; passed in because this folder may not import the client. */
	readonly probe: (url: string) => Promise<boolean>;
	readonly log: (message: string) => void;
}

const USER = "pockaffe";
/** initdb makes this one; another would need a client. */
const DATABASE = "postgres";
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;
const POLL_MS = 25;
const RESTART = { minMs: 100, maxMs: 5_000 };

const settings: Readonly<Record<string, string>> = {
	listen_addresses: "127.0.0.1",
	unix_socket_directories: "",
	// Few checkpoints: the full-page images after each cost most.
	max_wal_size: "4GB",
	checkpoint_timeout: "15min",
	shared_buffers: "256MB",
	log_destination: "stderr",
};

/** A running embedded Postgres. */
export class EmbeddedPostgres implements AsyncDisposable {
	readonly #options: EmbeddedPostgresOptions;
	readonly #binary: PostgresBinary;
	readonly #user: ServerUser | null;
	readonly #data: string;
	readonly #password: string;
	#port = 0;
	#child: ChildProcess | null = null;
	/** Servers that answered once: their end is a crash, not a failed start. */
	readonly #started = new WeakSet<ChildProcess>();
	#pid = 0;
	#stopping = false;
	#adopted = false;

	private constructor(options: EmbeddedPostgresOptions, binary: PostgresBinary, user: ServerUser | null, data: string, password: string) {
		this.#options = options;
		this.#binary = binary;
		this.#user = user;
		this.#data = data;
		this.#password = password;
	}

	/** Creates, adopts or starts the server of `folder`; resolves when it answers. */
	static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
		const user = await serverUser();
		const { folder } = options;
		await keptFolder(folder, user);
		const place = await dataPlace(folder, user, options.log);
		const binary = await preparePostgres(user, place);
		const password = await keptSecret(join(folder, "password"));
		const data = join(place, "data");
		const server = new EmbeddedPostgres(options, binary, user, data, password);
		try {
			await server.#makeCluster(place);
			await checkFolder(data, user?.uid ?? process.getuid?.());
			await server.#adoptOrStart(folder);
		} catch (error) {
			// A server of ours that does not answer must not stay behind.
			if (server.#child) await server[Symbol.asyncDispose]();
			throw error;
		}
		return server;
	}

	/** The URL to connect to; contains the password. */
	get url(): string {
		return `postgres://${USER}:${this.#password}@127.0.0.1:${this.#port}/${DATABASE}?sslmode=disable`;
	}

	get port(): number {
		return this.#port;
	}

	get pid(): number {
		return this.#pid;
	}

	/** True if the server was already running, left by a killed run. */
	get adopted(): boolean {
		return this.#adopted;
	}

	/** Fast shutdown: ends connections, writes everything, waits until the process is gone. Idempotent. */
	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#stopping) return;
		this.#stopping = true;
		await this.#end(this.#pid);
	}

	/**
	 * Creates the database's files if they are missing. `place` belongs to us: nobody can swap a new file for a link before we give it to the
	 * server's user.
	 */
	async #makeCluster(place: string): Promise<void> {
		if (await exists(join(this.#data, "PG_VERSION"))) {
			await this.#checkVersion();
			return;
		}
		this.#options.log("making the embedded database (once)");
		const fresh = join(place, `data.${process.pid}.new`);
		await rm(fresh, { recursive: true, force: true });
		await mkdir(fresh, { mode: 0o700 });
		if (this.#user) await lchown(fresh, this.#user.uid, this.#user.gid);
		const passwordFile = join(place, `.pwfile.${process.pid}`);
		await rm(passwordFile, { force: true });
		await writeOwnFile(passwordFile, this.#password);
		if (this.#user) await chown(passwordFile, this.#user.uid, this.#user.gid);
		try {
			const args = ["-D", fresh, "-U", USER, `--pwfile=${passwordFile}`, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"];
			await this.#runToEnd(this.#binary.initdb, args);
		} finally {
			await rm(passwordFile, { force: true });
		}
		// Renamed when complete: a kill in between leaves nothing half-made behind.
		await rename(fresh, this.#data);
	}

	async #checkVersion(): Promise<void> {
		const made = (await readFile(join(this.#data, "PG_VERSION"), "utf8")).trim();
		const major = this.#binary.version.split(".")[0];
		if (made === major) return;
		const message = `${dirname(this.#data)} was made by Postgres ${made}, this is ${major}: move the folder away, or dump it with Postgres ${made}`;
		throw new ExitError(exitCodes.usage, "embedded_version", message);
	}

	async #adoptOrStart(folder: string): Promise<void> {
		const left = await readPostmasterPid(this.#data);
		if (left && (await isPostgresOf(left, this.#data, this.#user))) {
			const owner = (await readOwnFile(join(folder, "owner.pid"))) ?? "";
			if (Number(owner) !== process.pid && isAlive(Number(owner))) {
				throw new ExitError(
					exitCodes.usage,
					"embedded_in_use",
					`another embedded daemon (pid ${owner.trim()}) uses ${folder}: stop it, or start in another folder`,
				);
			}
			if (await this.#adopt(left)) {
				await writeOwnFile(join(folder, "owner.pid"), String(process.pid));
				return;
			}
			await this.#end(left.pid);
		} else if (left) {
			// Left by a killed server; another process may have its pid by now.
			await rm(join(this.#data, "postmaster.pid"), { force: true });
		}
		this.#port = await freePort(Number((await readOwnFile(join(folder, "port"))) ?? "0"));
		await writeOwnFile(join(folder, "port"), String(this.#port));
		await this.#launch(folder);
		await writeOwnFile(join(folder, "owner.pid"), String(process.pid));
	}

	async #adopt({ pid, port }: Postmaster): Promise<boolean> {
		this.#port = port;
		this.#pid = pid;
		if (!(await this.#options.probe(this.url))) return false;
		this.#adopted = true;
		this.#options.log(`adopted the embedded database that a killed run left (pid ${pid})`);
		return true;
	}

	async #launch(folder: string): Promise<void> {
		const logFile = join(folder, "server.log");
		const log = await openOwnLog(logFile);
		const options = Object.entries({ ...settings, port: String(this.#port) }).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
		const child = spawn(this.#binary.postgres, ["-D", this.#data, ...options], {
			detached: true,
			stdio: ["ignore", log.fd, log.fd],
			env: { ...this.#binary.environment, PATH: process.env.PATH ?? "", TZ: "UTC" },
			cwd: this.#data,
			...this.#user,
		});
		await log.close();
		child.unref();
		this.#child = child;
		this.#pid = child.pid ?? 0;
		let ended = false;
		let failure: unknown = null;
		child.on("error", (error) => {
			failure = error;
			ended = true;
		});
		child.on("exit", () => {
			ended = true;
			if (!this.#stopping && this.#child === child && this.#started.has(child)) void this.#restart(folder);
		});
		const deadline = this.#options.clock.monotonic() + START_TIMEOUT_MS;
		while (!(await this.#options.probe(this.url))) {
			if (ended || this.#options.clock.monotonic() > deadline) {
				throw new PocKaffeError(
					"embedded_postgres",
					`the embedded database did not start${failure ? `: ${messageOf(failure)}` : ""}; see ${logFile}`,
				);
			}
			await this.#options.clock.sleep(POLL_MS);
		}
		this.#started.add(child);
	}

	/** The server died while it was needed: starts it again, for ever. */
	async #restart(folder: string): Promise<void> {
		for (let failures = 1; !this.#stopping; failures++) {
			this.#options.log("the embedded database died; it is started again");
			await this.#options.clock.sleep(exponentialBackOff(failures, RESTART));
			try {
				const left = await readPostmasterPid(this.#data);
				if (left && !(await isPostgresOf(left, this.#data, this.#user))) await rm(join(this.#data, "postmaster.pid"), { force: true });
				await this.#launch(folder);
				return;
			} catch (error) {
				this.#options.log(messageOf(error));
			}
		}
	}

	async #end(pid: number): Promise<void> {
		if (pid <= 0) return;
		const { clock } = this.#options;
		const deadline = clock.monotonic() + STOP_TIMEOUT_MS;
		signal(pid, "SIGINT");
		while (isAlive(pid) && (await isPostgresOf({ pid, port: this.#port }, this.#data, this.#user))) {
			if (clock.monotonic() > deadline) {
				signal(pid, "SIGQUIT");
				return;
			}
			await clock.sleep(POLL_MS);
		}
	}

	#runToEnd(program: string, args: readonly string[]): Promise<void> {
		const env = { ...this.#binary.environment, PATH: process.env.PATH ?? "", TZ: "UTC" };
		return new Promise((resolve, reject) => {
			const child = spawn(program, args, { env, cwd: dirname(program), stdio: ["ignore", "pipe", "pipe"], ...this.#user });
			let said = "";
			child.stdout?.on("data", (chunk) => (said += chunk));
			child.stderr?.on("data", (chunk) => (said += chunk));
			child.on("error", (error) => reject(new PocKaffeError("initdb", `initdb could not be run: ${error.message}`)));
			child.on("close", (code) => {
				if (code === 0) resolve();
				else reject(new PocKaffeError("initdb", `initdb failed: ${said.trim().split("\n").slice(-3).join(" ")}`));
			});
		});
	}
}

/** The port `wanted` if it is free, else any free one. */
function freePort(wanted: number): Promise<number> {
	return new Promise((resolve, reject) => {
		const server = createServer();
		server.on("error", (error) => (wanted === 0 ? reject(error) : resolve(freePort(0))));
		server.listen(wanted, "127.0.0.1", () => {
			const { port } = server.address() as { port: number };
			server.close(() => resolve(port));
		});
	});
}

function signal(pid: number, name: NodeJS.Signals): void {
	try {
		process.kill(pid, name);
	} catch {
		// It has ended, or is not ours.
	}
}

function exists(path: string): Promise<boolean> {
	return lstat(path).then(
		() => true,
		() => false,
	);
}
