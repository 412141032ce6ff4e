/** Blanks out secrets in a finished text, in whatever spelling they stand there. Pure. */

const MASK = "***";
/** Below this length a secret would blank out words of every sentence. */
const SHORTEST_SECRET = 4;

/** The mask for these secrets, and for the password of any URL, before its host or as a parameter. */
export function secretMask(secrets: readonly string[]): (text: string) => string {
	const known = [...new Set(secrets.filter((secret) => secret.length >= SHORTEST_SECRET).flatMap(spellingsOf))];
	const longestFirst = known.filter((secret) => secret.length >= SHORTEST_SECRET).sort((left, right) => right.length - left.length);
	return (text) => {
		let masked = text
			.replaceAll(/(:\/\/[^\s:/@"]*):[^\s/@"]+@/g, `$1:${MASK}@`)
			.replaceAll(/([?&](?:ssl)?password=)[^&\s"'\\]+/gi, `$1${MASK}`);
		for (const secret of longestFirst) masked = masked.replaceAll(secret, MASK);
		return masked;
	};
}

/** As it is and decoded, each also as it stands in a URL and in JSON. A PEM block goes line by line too: some print the first alone. */
function spellingsOf(secret: string): string[] {
	const lines = secret.includes("\n") ? secret.split("\n").filter((line) => !line.startsWith("-----")) : [];
	return [secret, decoded(secret), ...lines].flatMap((text) => [
		text,
		encodeURIComponent(text),
		encodeURI(text),
		JSON.stringify(text).slice(1, -1),
	]);
}

function decoded(secret: string): string {
	try {
		return decodeURIComponent(secret);
	} catch {
		return secret;
	}
}
