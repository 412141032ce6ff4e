/** Stores dead letters that a command makes, in the daemon's own target. The first letter prepares the target. */
import type { Config } from "../../config/config.ts";
import type { DeadLetter, DeadLetterTarget } from "../../core/dead-letters/dead-letter.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { systemRandom } from "../../core/random.ts";
import { buildDeadLetters } from "../../daemon/daemon-parts.ts";
import type { Database } from "../../sink/database/database.ts";
import type { CommandContext } from "../command-context.ts";

/** Maximum wait: a daemon tries for ever, but here somebody waits. */
const DEADLINE_MS = 15_000;

/** Stores letters for a command. Dispose it. */
export class StoredLetters implements AsyncDisposable {
	readonly #target: DeadLetterTarget;
	readonly #context: CommandContext;
	#prepared: Promise<void> | null = null;
	/** What the target said last. */
	#why = "the dead letter can't be stored: there is no answer";

	constructor(config: Config, database: Database, context: CommandContext) {
		const { clock, version } = context;
		this.#context = context;
		this.#target = buildDeadLetters({ config, database, clock, random: systemRandom }, version);
		this.#target.on("target:blocked", ({ message }) => {
			this.#why = message;
		});
	}

	/** Resolves when the letter is durable. Rejects (ExitError) with the target's words after 15 s. */
	async store(letter: DeadLetter): Promise<void> {
		const { clock, interrupted } = this.#context;
		const late = new AbortController();
		const timer = clock.after(DEADLINE_MS, () => late.abort());
		try {
			this.#prepared ??= this.#target.prepare();
			await this.#prepared;
			await this.#target.store(letter, AbortSignal.any([interrupted, late.signal]));
		} catch (cause) {
			if (!late.signal.aborted) throw cause;
			throw new ExitError(exitCodes.found, "letter", this.#why, { cause });
		} finally {
			timer.cancel();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#target.dispose();
	}
}
