/** Blanks out secrets in a finished text, in whatever spelling they stand there. Pure. */

const MASK = "***";
/** Below this length a secret would blank out words of every sentence. */
const SHORTEST_SECRET = 4;

/** The mask for these secrets, and for the password of any URL, before its host or as a parameter. */
export function secretMask(secrets: readonly string[]): (text: string) => string {
	const known = [...new Set(secrets.flatMap(spellingsOf))].filter((secret) => secret.length >= SHORTEST_SECRET);
	const longestFirst = known.sort((left, right) => right.length - left.length);
	return (text) => {
		let masked = text
			.replaceAll(/(:\/\/[^\s:/@"]*):[^\s/@"]+@/g, `$1:${MASK}@`)
			.replaceAll(/([?&](?:ssl)?password=)[^&\s"'\\]+/gi, `$1${MASK}`);
		for (const secret of longestFirst) masked = masked.replaceAll(secret, MASK);
		return masked;
	};
}

/** As it is, as it stands in a URL, and in JSON. A PEM block goes line by line too: an error may quote one line alone. */
function spellingsOf(secret: string): string[] {
	const lines = secret.includes("\n") ? secret.split("\n").filter((line) => !line.startsWith("-----")) : [];
	return [secret, ...lines].flatMap((text) => [text, encodeURIComponent(text), encodeURI(text), JSON.stringify(text).slice(1, -1)]);
}

/** The same failure, its words without secrets: a handler's error may quote one. */
export function maskedFailure<T extends { readonly error: string; readonly stack: string | null }>(
	failure: T,
	mask: (text: string) => string,
): T {
	return { ...failure, error: mask(failure.error), stack: failure.stack === null ? null : mask(failure.stack) };
}
