/** Certificates made on the spot with `openssl`: an authority, and what it signs. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A certificate and its key, as files. */
export interface Certificate {
	readonly cert: string;
	readonly key: string;
}

/** What a certificate says. */
export interface Subject {
	/** Common name. */
	readonly name: string;
	/** `DNS:…`, `IP:…`; none where empty. */
	readonly names?: readonly string[];
	readonly isAuthority?: boolean;
	/** Days from now; -1: it has expired. */
	readonly days?: number;
}

/** Signs certificates into a folder. */
export class Authority {
	readonly #folder: string;
	readonly certificate: Certificate;

	private constructor(folder: string, certificate: Certificate) {
		this.#folder = folder;
		this.certificate = certificate;
	}

	/** One that nobody has signed. */
	static create(folder: string, name: string): Authority {
		mkdirSync(folder, { recursive: true });
		return new Authority(folder, issue(folder, name, { name, isAuthority: true }, null));
	}

	sign(file: string, subject: Subject): Certificate {
		return issue(this.#folder, file, subject, this.certificate);
	}

	/** One that this one has signed. */
	intermediate(name: string): Authority {
		return new Authority(this.#folder, this.sign(name, { name, isAuthority: true }));
	}
}

/** `signer` null: signed by itself. */
function issue(
	folder: string,
	file: string,
	{ name, names = [], isAuthority = false, days = 30 }: Subject,
	signer: Certificate | null,
): Certificate {
	const [cert, key, request, extensions] = ["crt", "key", "csr", "ext"].map((ending) => join(folder, `${file}.${ending}`)) as [
		string,
		string,
		string,
		string,
	];
	const lines = [isAuthority ? "basicConstraints=critical,CA:true" : "basicConstraints=CA:false"];
	if (names.length > 0) lines.push(`subjectAltName=${names.join(",")}`);
	writeFileSync(extensions, lines.join("\n"));
	openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", `/CN=${name}`, "-keyout", key, "-out", request);
	const by = signer ? ["-CA", signer.cert, "-CAkey", signer.key, "-CAcreateserial"] : ["-signkey", key];
	openssl("x509", "-req", "-in", request, "-days", String(days), ...by, "-extfile", extensions, "-out", cert);
	return { cert, key };
}

/** A copy of the key that asks for a password. */
export function encryptedKey({ key }: Certificate, password: string): string {
	const encrypted = `${key}.encrypted`;
	openssl("pkcs8", "-topk8", "-v2", "aes256", "-in", key, "-passout", `pass:${password}`, "-out", encrypted);
	return encrypted;
}

/** Several certificates in one file, as a server sends a chain. */
export function joined(path: string, ...certificates: readonly string[]): string {
	writeFileSync(path, certificates.map((each) => readFileSync(each, "utf8")).join(""));
	return path;
}

function openssl(...parameters: readonly string[]): void {
	execFileSync("openssl", parameters, { stdio: ["ignore", "ignore", "pipe"] });
}
