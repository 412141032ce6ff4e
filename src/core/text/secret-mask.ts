/** Blanks out secrets in a finished text, however they are spelled there. */

const MASK = "***";
/** Shorter secrets are not blanked out: they would hit words of every sentence. */
const SHORTEST_SECRET = 4;
/** Shorter secrets are blanked out only as whole words: they may be part of many. */
const SHORTEST_PIECE = 8;

/** The mask for the secrets that it knows, and for the password of any URL, before its host or as a parameter. */
export class SecretMask {
	readonly #known = new Set<string>();
	#longestFirst: readonly (string | RegExp)[] = [];

	constructor(secrets: readonly string[] = []) {
		this.add(...secrets);
	}

	/** Adds secrets; earlier ones stay masked: an old password may still be in some text. */
	add(...secrets: readonly string[]): void {
		const before = this.#known.size;
		for (const secret of secrets.flatMap(spellingsOf)) if (secret.length >= SHORTEST_SECRET) this.#known.add(secret);
		if (this.#known.size === before) return;
		this.#longestFirst = [...this.#known].sort((left, right) => right.length - left.length).map(patternOf);
	}

	/** The text without the secrets. May be passed on as a function. */
	readonly mask = (text: string): string => {
		let masked = text
			.replaceAll(/(:\/\/[^\s:/@"]*):[^\s/@"]+@/g, `$1:${MASK}@`)
			.replaceAll(/([?&](?:ssl)?password=)[^&\s"'\\]+/gi, `$1${MASK}`);
		for (const secret of this.#longestFirst) masked = masked.replaceAll(secret, MASK);
		return masked;
	};
}

/**
 * The mask of this process for everything that leaves it: log, HTTP, letters, terminal. Each secret is added where it enters: by a
 * configuration, a file, a command.
 */
export const knownSecrets = new SecretMask();

function patternOf(secret: string): string | RegExp {
	if (secret.length >= SHORTEST_PIECE) return secret;
	return new RegExp(`(?<![A-Za-z0-9])${secret.replaceAll(/[^A-Za-z0-9]/g, "\\$&")}(?![A-Za-z0-9])`, "g");
}

/** The secret as it is, in a URL, and in JSON. A PEM block also line by line: an error may quote a single line. */
function spellingsOf(secret: string): string[] {
	const lines = secret.includes("\n") ? secret.split("\n").filter((line) => !line.startsWith("-----")) : [];
	return [secret, ...lines].flatMap((text) => [text, encodeURIComponent(text), encodeURI(text), JSON.stringify(text).slice(1, -1)]);
}

/** The failure with its words masked: a handler's error may quote a secret. */
export function maskedFailure<T extends { readonly error: string; readonly stack: string | null }>(
	failure: T,
	mask: (text: string) => string,
): T {
	return { ...failure, error: mask(failure.error), stack: failure.stack === null ? null : mask(failure.stack) };
}
