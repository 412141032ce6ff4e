/** A Postgres of a test's own with TLS, whose certificate is changed while it runs. */
import { chmodSync, chownSync, copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../src/core/clock.ts";
import { EmbeddedPostgres } from "../../../src/embedded/embedded-postgres.ts";
import { connectDatabase, probeDatabase } from "../../../src/sink/database/database.ts";
import type { Certificate } from "../certificates.ts";
import { waitFor } from "../wait-for.ts";

/** See the file's header. */
export class TlsPostgres implements AsyncDisposable {
	readonly #server: EmbeddedPostgres;
	readonly #data: string;
	#changes = 0;

	private constructor(server: EmbeddedPostgres, data: string) {
		this.#server = server;
		this.#data = data;
	}

	/** Without a certificate, so without TLS. */
	static async start(folder: string): Promise<TlsPostgres> {
		const probe = (url: string) => probeDatabase(url, systemClock);
		const server = await EmbeddedPostgres.start({ folder, clock: systemClock, probe, log: () => {} });
		const [row] = await asked(server.url, "show data_directory");
		return new TlsPostgres(server, row?.data_directory as string);
	}

	/** The superuser's URL, with another host and query. */
	url(host: string, query = "", login?: string): string {
		const { username, password, port, pathname } = new URL(this.#server.url);
		return `postgres://${login ?? `${username}:${password}`}@${host}:${port}${pathname}${query}`;
	}

	/** In plain, whatever the certificate. */
	query(text: string) {
		return asked(this.#server.url, text);
	}

	/** New connections meet this certificate; null: no TLS. `clients`: whose certificates it takes. */
	async present(certificate: Certificate | null, clients?: string): Promise<void> {
		const number = ++this.#changes;
		if (certificate) {
			await this.query(`alter system set ssl_cert_file = '${this.#put(certificate.cert, `server-${number}.crt`)}'`);
			await this.query(`alter system set ssl_key_file = '${this.#put(certificate.key, `server-${number}.key`)}'`);
		}
		if (clients) await this.query(`alter system set ssl_ca_file = '${this.#put(clients, `clients-${number}.crt`)}'`);
		await this.query(`alter system set ssl = ${certificate ? "on" : "off"}`);
		await this.#reload();
	}

	/** Lines go before the ones that are there. */
	async admit(...lines: readonly string[]): Promise<void> {
		const path = join(this.#data, "pg_hba.conf");
		writeFileSync(path, `${lines.join("\n")}\n${readFileSync(path, "utf8")}`);
		await this.#reload();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#server[Symbol.asyncDispose]();
	}

	/** A file of the server's: its own, and nobody else's. */
	#put(from: string, name: string): string {
		const to = join(this.#data, name);
		const { uid, gid } = statSync(this.#data);
		copyFileSync(from, to);
		chmodSync(to, 0o600);
		if (process.getuid?.() === 0) chownSync(to, uid, gid);
		return to;
	}

	/** Each reload has a time; sessions that begin behind it have the new settings. */
	async #reload(): Promise<void> {
		const loadedAt = async () => (await this.query("select pg_conf_load_time()::text as at"))[0]?.at;
		const before = await loadedAt();
		await this.query("select pg_reload_conf()");
		await waitFor("the settings are loaded", async () => (await loadedAt()) !== before);
	}
}

async function asked(url: string, text: string) {
	const database = connectDatabase({ url, connections: 1, clock: systemClock });
	try {
		return await database.query(text);
	} finally {
		await database.close();
	}
}
