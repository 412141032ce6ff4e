/** Explains what is wrong with a certificate, by the code of Node's TLS, with what to do. Pure. */
import type { PeerCertificate } from "node:tls";

/** How to name the other side and the options in the text. */
export interface CertificateNames {
	/** `server`, `broker` */
	readonly peer: string;
	/** The options that name the CA's certificate, the client's, and the revocation list. */
	readonly ca: string;
	readonly cert: string;
	readonly revoked?: string;
}

/** Null if the code is not about a certificate. */
export function certificateWords(
	{ code = "", message, cert }: Error & { readonly code?: string; readonly cert?: PeerCertificate },
	names: CertificateNames,
): string | null {
	const its = `the ${names.peer}'s certificate`;
	switch (code) {
		case "CERT_HAS_EXPIRED":
			return `${its} has expired${cert?.valid_to ? ` (${cert.valid_to})` : ""}`;
		case "CERT_NOT_YET_VALID":
			return `${its} is not valid yet: is a clock wrong?`;
		case "CERT_REVOKED":
			return `${its} is revoked${names.revoked ? ` (${names.revoked})` : ""}`;
		case "ERR_TLS_CERT_ALTNAME_INVALID":
			return `${its} is not for this name: ${message.replace(/^.*?altnames?: /i, "")}`;
		case "DEPTH_ZERO_SELF_SIGNED_CERT":
		case "SELF_SIGNED_CERT_IN_CHAIN":
		case "UNABLE_TO_GET_ISSUER_CERT":
		case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
		case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
		case "CERT_SIGNATURE_FAILURE":
			return `${its} is of a CA that is not known here: name its certificate with ${names.ca}`;
		case "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA":
			return `the ${names.peer} does not know the CA of the client certificate (${names.cert})`;
		case "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED":
		case "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED":
			return `the client certificate has expired (${names.cert})`;
		default:
			return null;
	}
}
