/**
 * The only room that knows the addon (src/kafka/native, compiled by `npm ci` beside node-rdkafka): what librdkafka can tell and node-rdkafka does
 * not pass on. It works on the clients that node-rdkafka made, found by their names. Where it could not be compiled or loaded all of it
 * answers null, and `nativeMissing` says why: the daemon works without.
 *
 * Main thread only, as node-rdkafka is.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
// Loaded before the addon, which is linked against the librdkafka that is in the process by then.
import "node-rdkafka";
import { messageOf } from "../core/errors.ts";
import { KafkaError, kafkaErrors } from "./kafka-error.ts";

interface FoundTopic {
	readonly name: string;
	/** Empty where the broker has none. */
	readonly id: string;
	readonly error: number;
}

interface Addon {
	/** Null where no living client has that name. */
	topicIds(
		client: string,
		broker: number,
		topics: readonly string[],
		timeoutMs: number,
	): Promise<{ readonly error: number; readonly message: string; readonly topics: readonly FoundTopic[] }> | null;
	/** Clients that live and requests under way. */
	living(): { readonly clients: number; readonly requests: number };
}

const file = fileURLToPath(new URL("../../build/Release/pockaffe_native.node", import.meta.url));
const loaded = load();

/** Why the addon is not there; null where it is. */
export const nativeMissing: string | null = loaded.missing;

/** What follows where it is not. */
export const withoutAddon =
	"Kafka's ids of topics can't be had, so a topic that was made again is told by the timestamps of known records (see binding.gyp-notes.md)";

/** Clients that live and requests under way, as the addon counts them; null without it. For tests. */
export function livingClients(): { readonly clients: number; readonly requests: number } | null {
	return loaded.addon?.living() ?? null;
}

/** Settings of a client that the addon is to reach: these first, for a plugin adds itself while it is set. */
export function withNative(settings: Record<string, unknown>): Record<string, unknown> {
	if (!loaded.addon) return settings;
	const { "plugin.library.paths": others, ...rest } = settings;
	return { "plugin.library.paths": others ? `${String(others)};${file}` : file, ...rest };
}

/**
 * Kafka's ids of those of these topics that exist, asked of the broker with this id, as Kafka's own tools print them; null for a topic of a broker that has none. The answer
 * itself is null where the addon can't be asked. Rejects with KafkaError: the client's, or the first topic's (no right to see it).
 */
export async function askTopicIds(
	client: string,
	broker: number,
	topics: readonly string[],
	timeoutMs: number,
): Promise<ReadonlyMap<string, string | null> | null> {
	const answer = await loaded.addon?.topicIds(client, broker, topics, timeoutMs);
	if (!answer) return null;
	if (answer.error !== 0) throw new KafkaError(`the ids of topics can't be had: ${answer.message}`, answer.error);
	const ids = new Map<string, string | null>();
	for (const { name, id, error } of answer.topics) {
		if (error === kafkaErrors.unknownTopicOrPartition) continue;
		if (error !== 0) throw new KafkaError(`the id of topic ${name} can't be had (Kafka's error ${error})`, error);
		// librdkafka writes base64, Kafka's tools base64url.
		ids.set(name, id.replaceAll("+", "-").replaceAll("/", "_") || null);
	}
	return ids;
}

function load(): { readonly addon: Addon | null; readonly missing: string | null } {
	if (process.env.POCKAFFE_NATIVE === "off") return { addon: null, missing: "POCKAFFE_NATIVE is off" };
	try {
		return { addon: createRequire(import.meta.url)(file) as Addon, missing: null };
	} catch (error) {
		const isThere = (error as { code?: string }).code !== "MODULE_NOT_FOUND";
		return { addon: null, missing: isThere ? `the addon does not load: ${messageOf(error)}` : "the addon was not compiled" };
	}
}
