/** Log records about the dead letters' target. */
import type { DeadLetter } from "../../core/dead-letters/dead-letter.ts";
import { omittedText } from "../../core/dead-letters/omitted-parts.ts";
import { partitionName } from "../../core/messages/message.ts";
import type { ObserverParts } from "./observer-parts.ts";

/** Listeners by event name. */
export function observeDeadLetters({ logger }: Pick<ObserverParts, "logger">) {
	return {
		"target:doubtful": ({ message }: { message: string }) => logger.warn({}, message),
		"letter:cut": ({ letter, why }: { letter: DeadLetter; why: string }) => {
			const { topic, partition, offset, omitted } = letter;
			const what = `the dead letter of ${partitionName(letter)} offset ${offset} is stored without its ${omittedText(omitted)}`;
			const rest = "the message itself is in its topic as long as retention keeps it there";
			logger.warn({ topic, partition, offset, omitted, why }, `${what}: too large for deadLetters (${why}); ${rest}`);
		},
	};
}
