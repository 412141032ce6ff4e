/** A pgbouncer of a test's own, with Debian's defaults but for what is given. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../free-port.ts";
import { waitFor } from "../wait-for.ts";

/** True where it is installed. */
export const hasPooler = spawnSync("pgbouncer", ["--version"]).status === 0;

/** See the file's header. */
export class Pooler implements AsyncDisposable {
	readonly #process: ChildProcess;
	readonly #folder: string;
	/** The server's URL, by way of it. */
	readonly url: string;

	private constructor(process: ChildProcess, folder: string, url: string) {
		this.#process = process;
		this.#folder = folder;
		this.url = url;
	}

	/** `settings` are lines of its configuration. */
	static async before(serverUrl: string, ...settings: readonly string[]): Promise<Pooler> {
		const { username, password, port: serverPort, pathname } = new URL(serverUrl);
		const folder = mkdtempSync(join(tmpdir(), "pockaffe-pooler-"));
		chmodSync(folder, 0o755);
		const port = await freePort();
		const [users, file] = [join(folder, "users"), join(folder, "pgbouncer.ini")];
		writeFileSync(users, `"${username}" "${password}"\n`);
		const lines = [
			"[databases]",
			`* = host=127.0.0.1 port=${serverPort}`,
			"[pgbouncer]",
			"listen_addr=127.0.0.1",
			`listen_port=${port}`,
			"auth_type=plain",
			`auth_file=${users}`,
			"unix_socket_dir=",
			// Two sessions of the server for all: a transaction may meet either.
			"default_pool_size=2",
			...settings,
		];
		writeFileSync(file, `${lines.join("\n")}\n`);
		// It refuses to run as root.
		const [command, ...rest] = process.getuid?.() === 0 ? ["runuser", "-u", "nobody", "--", "pgbouncer", file] : ["pgbouncer", file];
		const child = spawn(command as string, rest, { stdio: "ignore" });
		const isThere = () =>
			new Promise<boolean>((resolve) => {
				const socket = connect(port, "127.0.0.1", () => resolve(true)).once("error", () => resolve(false));
				socket.unref().once("connect", () => socket.destroy());
			});
		await waitFor("the pooler listens", isThere);
		return new Pooler(child, folder, `postgres://${username}:${password}@127.0.0.1:${port}${pathname}`);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const ended = new Promise((resolve) => this.#process.once("exit", resolve));
		this.#process.kill("SIGTERM");
		await ended;
		rmSync(this.#folder, { recursive: true, force: true });
	}
}
