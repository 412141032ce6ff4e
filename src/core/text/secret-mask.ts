/** Blanks out secrets in a finished text, in whatever spelling they stand there. */

const MASK = "***";
/** Below this length a secret would blank out words of every sentence. */
const SHORTEST_SECRET = 4;
/** A shorter one is blanked out as a word of its own: it may be a piece of many. */
const SHORTEST_PIECE = 8;

/** The mask for the secrets that it knows, and for the password of any URL, before its host or as a parameter. */
export class SecretMask {
	readonly #known = new Set<string>();
	#longestFirst: readonly (string | RegExp)[] = [];

	constructor(secrets: readonly string[] = []) {
		this.add(...secrets);
	}

	/** What was blanked out before stays so: a password that was renewed is in no text any more, or still in one. */
	add(...secrets: readonly string[]): void {
		const before = this.#known.size;
		for (const secret of secrets.flatMap(spellingsOf)) if (secret.length >= SHORTEST_SECRET) this.#known.add(secret);
		if (this.#known.size === before) return;
		this.#longestFirst = [...this.#known].sort((left, right) => right.length - left.length).map(patternOf);
	}

	/** The text without them. May be handed on by itself. */
	readonly mask = (text: string): string => {
		let masked = text
			.replaceAll(/(:\/\/[^\s:/@"]*):[^\s/@"]+@/g, `$1:${MASK}@`)
			.replaceAll(/([?&](?:ssl)?password=)[^&\s"'\\]+/gi, `$1${MASK}`);
		for (const secret of this.#longestFirst) masked = masked.replaceAll(secret, MASK);
		return masked;
	};
}

/**
 * The one of this process, which whatever leaves it goes by: log, HTTP, letters, terminal. Told each secret where it comes in: by a
 * configuration, a file, a command.
 */
export const knownSecrets = new SecretMask();

function patternOf(secret: string): string | RegExp {
	if (secret.length >= SHORTEST_PIECE) return secret;
	return new RegExp(`(?<![A-Za-z0-9])${secret.replaceAll(/[^A-Za-z0-9]/g, "\\$&")}(?![A-Za-z0-9])`, "g");
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
