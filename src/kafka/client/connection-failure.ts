/**
 * Why a broker can't be reached, where the client's own words don't say: of a certificate that it refuses librdkafka says "verify failed"
 * whatever is wrong with it, and of its own that a broker refuses the number of an alert. So the certificate is looked at once more, with
 * Node's TLS, and the client's own is read.
 */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity, connect } from "node:tls";
import { certificateWords } from "../../core/text/certificate-words.ts";

const TIMEOUT_MS = 3_000;
const names = { peer: "broker", ca: "kafka.tls.ca", cert: "kafka.tls.cert" };

/** `ssl://127.0.0.1:9093/bootstrap: what happened (after 3ms in state SSL_HANDSHAKE)`, as far as brokers are reached by TLS or SASL. */
const FAILURE = /^(?:ssl|sasl_ssl|sasl_plaintext):\/\/(?<host>\S+):(?<port>\d+)\/\S+: (?<what>.*?)(?: \(after \d+ms in state .*\))?$/s;
const REFUSED_CERTIFICATE = /certificate verify failed/;
/** What a server says of a client's certificate: missing, unknown, expired, of another CA; a Java server mostly `bad certificate`. */
const REFUSED_CLIENT = /alert (?:bad certificate|certificate \w+|unknown ca|access denied|unsupported certificate)/;
/** Or it says nothing, and ends the connection behind the handshake. */
const HUNG_UP = /SSL|Disconnected/;
const REFUSED_LOGIN = /^SASL authentication error: (.*)$/s;

type Failure = Readonly<Record<"host" | "port" | "what", string>>;

/** One client's last failure. `settings` are librdkafka's. */
export class ConnectionFailure {
	readonly #settings: Readonly<Record<string, unknown>>;
	#line: string | null = null;
	#words: string | null = null;
	#explaining: Promise<void> | null = null;

	constructor(settings: Readonly<Record<string, unknown>>) {
		this.#settings = settings;
	}

	/** What happened, in the client's words where there are no better ones; null where nothing did. */
	get words(): string | null {
		return this.cause ?? this.#line;
	}

	/** The same, where it is known what is to be mended. Of a broker that hangs up without a word the client may say nothing. */
	get cause(): string | null {
		return this.#words ?? (this.#line === null ? this.#validity() : null);
	}

	/** Calls back when it is known why: at once where nobody has to be asked. */
	whenExplained(then: () => void): void {
		if (this.#explaining) void this.#explaining.then(then);
		else then();
	}

	/** A line of the client's log about a failed connection. What is known of the last one holds until more is known of this one. */
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

	/** By a connection that says nothing. Null where Node finds nothing wrong. */
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
				// Node's own error has the date nowhere.
				const code = String(socket.authorizationError);
				const { message } = checkServerIdentity(host, cert) ?? { message: "" };
				end(certificateWords({ name: "", code, message, cert }, names));
			});
			socket.once("timeout", () => end(null));
			socket.once("error", () => end(null));
		});
	}

	/** Of the client's own certificate, where it has one. */
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

	/** Null where there is none, or it can't be read. Read at once: clients that connect keep the threads busy that would read it beside. */
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
