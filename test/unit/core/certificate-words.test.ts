/** What is wrong with a certificate, in words to act on: of a database's server and of a broker alike. */
import { expect, it } from "vitest";
import { type CertificateNames, certificateWords } from "../../../src/core/text/certificate-words.ts";

const names: CertificateNames = { peer: "broker", ca: "the.ca", cert: "the.cert", revoked: "the.crl" };
const wordsOf = (code: string, over: object = {}, by: CertificateNames = names) =>
	certificateWords(Object.assign(new Error("m"), { code }, over), by);

it.each<readonly [string, string | null]>([
	["CERT_HAS_EXPIRED", "the broker's certificate has expired"],
	["CERT_NOT_YET_VALID", "the broker's certificate is not valid yet: is a clock wrong?"],
	["CERT_REVOKED", "the broker's certificate is revoked (the.crl)"],
	["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "the broker does not know the CA of the client certificate (the.cert)"],
	["ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED", "the client certificate has expired (the.cert)"],
	["ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED", "the client certificate has expired (the.cert)"],
	...[
		"DEPTH_ZERO_SELF_SIGNED_CERT",
		"SELF_SIGNED_CERT_IN_CHAIN",
		"UNABLE_TO_GET_ISSUER_CERT",
		"UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
		"UNABLE_TO_VERIFY_LEAF_SIGNATURE",
		"CERT_SIGNATURE_FAILURE",
	].map((code) => [code, "the broker's certificate is of a CA that is not known here: name its certificate with the.ca"] as const),
	["ECONNREFUSED", null],
	["", null],
])("%s", (code, words) => {
	expect(wordsOf(code)).toBe(words);
});

it("says until when one was valid, for which names it is, and what is revoked by where that is known", () => {
	expect(wordsOf("CERT_HAS_EXPIRED", { cert: { valid_to: "Jan 1 2020" } })).toBe("the broker's certificate has expired (Jan 1 2020)");
	const message = "Hostname/IP does not match certificate's altnames: Host: a. is not in the cert's altnames: DNS:b";
	expect(wordsOf("ERR_TLS_CERT_ALTNAME_INVALID", { message })).toBe(
		"the broker's certificate is not for this name: Host: a. is not in the cert's altnames: DNS:b",
	);
	expect(wordsOf("CERT_REVOKED", {}, { peer: "server", ca: "a", cert: "b" })).toBe("the server's certificate is revoked");
});
