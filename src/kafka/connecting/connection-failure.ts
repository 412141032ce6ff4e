/**
 * Explains why a broker can't be reached if the client's own words don't. If librdkafka refuses the broker's certificate, it only says
 * "verify failed". If the broker refuses the client's certificate, it only gives an alert number. So the broker's certificate is checked
 * once more with Node's TLS, and the client's own is read.
 */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity, connect } from "node:tls";
import { certificateWords } from "../../core/text/certificate-words.ts";

const TIMEOUT_MS = 3_000;
const names = { peer: "broker", ca: "kafka.tls.ca", cert: "kafka.tls.cert" };

/** `ssl://127.0.0.1:9093/bootstrap: what happened (after 3ms in state SSL_HANDSHAKE)`, for brokers with TLS or SASL. */
const FAILURE = /^(?:ssl|sasl_ssl|sasl_plaintext):\/\/(?<host>\S+):(?<port>\d+)\/\S+: (?<what>.*?)(?: \(after \d+ms in state .*\))?$/s;
const REFUSED_CERTIFICATE = /certificate verify failed/;
/**
 * Alerts of a server about the client's certificate: missing, unknown, expired, of another CA. A Java server mostly sends `bad
 * certificate`.
 */
const REFUSED_CLIENT = /alert (?:bad certificate|certificate \w+|unknown ca|access denied|unsupported certificate)/;
/** Or the server sends no alert, and ends the connection after the handshake. */
const HUNG_UP = /SSL|Disconnected/;
const REFUSED_LOGIN = /^SASL authentication error: (.*)$/s;

type Failure = Readonly<Record<"host" | "port" | "what", string>>;

/** Keeps one client's last connection failure. `settings` are librdkafka's. */
export class ConnectionFailure {
	readonly #settings: Readonly<Record<string, unknown>>;
	#line: string | null = null;
	#words: string | null = null;
	#explaining: Promise<void> | null = null;

	constructor(settings: Readonly<Record<string, unknown>>) {
		this.#settings = settings;
	}

	/** What happened, in better words if known, else in the client's; null if nothing failed. */
	get words(): string | null {
		return this.cause ?? this.#line;
	}

	/** The same, but only if it is known what to correct. If a broker just hangs up, the client may report nothing. */
	get cause(): string | null {
		return this.#words ?? (this.#line === null ? this.#validity() : null);
	}

	/** Calls `then` when the reason is known: at once if nobody has to be asked. */
	whenExplained(then: () => void): void {
		if (this.#explaining) void this.#explaining.then(then);
		else then();
	}

	/** Takes a line of the client's log about a failed connection. The last explanation is kept until a better one is known. */
	told(line: string): void {
		this.#line = line;
		const failure = FAILURE.exec(line)?.groups as Failure | undefined;
		if (!failure) this.#words = null;
		if (!failure || this.#explaining) return;
		this.#explaining = this.#explain(failure)
			.catch(() => null)
			.then((words) => {
				this.#explaining = null;
				this.#words = words === null ? null : `${failure.host}:${failure.port}: ${words}`;
			});
	}

	async #explain({ host, port, what }: Failure): Promise<string | null> {
		const refusedLogin = REFUSED_LOGIN.exec(what)?.[1];
		if (refusedLogin !== undefined) {
			return `the broker refuses the user ${this.#settings["sasl.username"]}: ${refusedLogin}: look at kafka.sasl`;
		}
		if (REFUSED_CERTIFICATE.test(what)) return this.#serverProblem(host.replace(/^\[(.*)\]$/, "$1"), Number(port));
		if (!HUNG_UP.test(what)) return null;
		return this.#validity() ?? (REFUSED_CLIENT.test(what) ? this.#refusal(what) : null);
	}

	/** Checks the broker's certificate with a connection that sends nothing. Null if Node finds nothing wrong. */
	#serverProblem(host: string, port: number): Promise<string | null> {
		const ca = this.#pem("ca");
		const cert = this.#pem("certificate");
		const key = this.#pem("key");
		const passphrase = this.#settings["ssl.key.password"];
		return new Promise((resolve) => {
			const socket = connect({
				host,
				port,
				timeout: TIMEOUT_MS,
				rejectUnauthorized: false,
				...(isIP(host) ? {} : { servername: host }),
				...(ca === null ? {} : { ca }),
				...(cert === null || key === null ? {} : { cert, key }),
				...(passphrase === undefined ? {} : { passphrase: String(passphrase) }),
			});
			const end = (words: string | null) => {
				socket.destroy();
				resolve(words);
			};
			socket.once("secureConnect", () => {
				const cert = socket.getPeerCertificate();
				// Node's own error does not contain the date.
				const code = String(socket.authorizationError);
				const { message } = checkServerIdentity(host, cert) ?? { message: "" };
				end(certificateWords({ name: "", code, message, cert }, names));
			});
			socket.once("timeout", () => end(null));
			socket.once("error", () => end(null));
		});
	}

	/** The validity of the client's own certificate, if it has one. */
	#validity(): string | null {
		const pem = this.#pem("certificate");
		if (pem === null || !pem.includes("-----BEGIN CERTIFICATE")) return null;
		const { validTo, validFrom } = new X509Certificate(pem);
		if (Date.parse(validTo) < Date.now()) return `the client certificate (kafka.tls.cert) has expired (${validTo})`;
		if (Date.parse(validFrom) <= Date.now()) return null;
		return `the client certificate (kafka.tls.cert) is not valid before ${validFrom}: is a clock wrong?`;
	}

	#refusal(what: string): string {
		const isMissing = this.#pem("certificate") === null;
		if (isMissing) return "the broker asks for a client certificate: give kafka.tls.cert and kafka.tls.key";
		const alert = /alert ([^:]*)/.exec(what)?.[1];
		return `the broker does not take the client certificate (kafka.tls.cert): ${alert}; is it of a CA that the broker knows?`;
	}

	/**
	 * The PEM text; null if there is none, or it can't be read. Read synchronously: connecting clients occupy the threads that would read it
	 * otherwise.
	 */
	#pem(what: "ca" | "certificate" | "key"): string | null {
		const text = this.#settings[`ssl.${what}.pem`];
		if (typeof text === "string") return text;
		const path = this.#settings[`ssl.${what}.location`];
		try {
			return typeof path === "string" && path !== "" ? readFileSync(path, "utf8") : null;
		} catch {
			return null;
		}
	}
}
