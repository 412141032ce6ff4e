/**
 * The only file that knows the addon (src/kafka/native, compiled by `npm ci` beside node-rdkafka). The addon packs messages on their way
 * from librdkafka, passes on what librdkafka knows and node-rdkafka does not show, and ends the process past threads that can't be ended.
 * It works on clients that node-rdkafka made, found by their names. If it is not compiled or does not load, every function returns null,
 * and `nativeMissing` says why: the daemon works without it.
 *
 * Main thread only, like node-rdkafka.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
// Loaded before the addon, which is linked against the librdkafka that is in the process by then.
import "node-rdkafka";
import { messageOf } from "../core/errors.ts";
import type { TopicPartition, TopicPartitionOffset } from "../core/messages/message.ts";
import type { LogId } from "../core/offsets/log-identity.ts";
import { packageRoot } from "../core/package.ts";
import { KafkaError, kafkaErrors } from "./client/kafka-error.ts";
import type { Operation } from "./watches/rights.ts";

interface FoundTopic {
	readonly topic: string;
	/** Empty if the broker has no ids. */
	readonly id: string;
	readonly error: number;
	readonly message: string;
	readonly operations: readonly number[];
}

interface FoundSettings {
	readonly topic: string;
	readonly error: number;
	readonly message: string;
	readonly settings: Readonly<Record<string, string>>;
}

interface FoundGroup {
	/** The group's name. */
	readonly topic: string;
	readonly error: number;
	readonly message: string;
	readonly state: string;
	readonly members: readonly MemberDescription[];
}

/** A member of a consumer group, as Kafka describes it. */
export interface MemberDescription {
	/** `kafka.clientId`. */
	readonly clientId: string;
	/** `kafka.instanceId`; empty for a dynamic member. */
	readonly instanceId: string;
	readonly memberId: string;
	/** Its address, as the broker sees it. */
	readonly host: string;
	readonly partitions: readonly TopicPartition[];
}

/** A consumer group, as Kafka describes it. `state`: Stable, PreparingRebalance, Empty, Dead (there is no such group), … */
export interface GroupDescription {
	readonly state: string;
	readonly members: readonly MemberDescription[];
}

/** src/kafka/native/addon.cc */
interface Addon {
	/** Null if no open client has that name. */
	topicIds(
		client: string,
		broker: number,
		topics: readonly string[],
		timeoutMs: number,
		withOperations?: boolean,
	): Promise<{ readonly error: number; readonly message: string; readonly topics: readonly FoundTopic[] } | null>;
	/** Null if no open client has that name. */
	topicSettings(
		client: string,
		broker: number,
		names: readonly string[],
		timeoutMs: number,
		ofBrokers?: boolean,
	): Promise<{ readonly error: number; readonly message: string; readonly topics: readonly FoundSettings[] } | null>;
	/** Null if no open client has that name. */
	groupMembers(
		client: string,
		broker: number,
		groups: readonly string[],
		timeoutMs: number,
	): Promise<{ readonly error: number; readonly message: string; readonly topics: readonly FoundGroup[] } | null>;
	/** Number of open clients, and of requests under way. */
	living(): { readonly clients: number; readonly requests: number };
	exitNow(code: number): never;
	/** Null if no open consumer has that name. */
	openConsumer(client: string): unknown;
	pollConsumer(handle: unknown, owner: object, count: number, timeoutMs: number, mostBytes: number): Promise<PackedPoll>;
	wakeConsumer(handle: unknown): void;
	releaseConsumer(handle: unknown): void;
}

/** The result of a poll: src/kafka/native/packed_messages.h. */
export interface PackedPoll {
	readonly partitions: readonly (TopicPartition & {
		readonly length: number;
		/** See batchOver. */
		readonly arrays: ArrayBuffer;
		readonly bytes: ArrayBuffer;
	})[];
	readonly ends: readonly TopicPartitionOffset[];
	readonly errors: readonly { readonly code: number; readonly message: string }[];
}

/** An invalid topic name counts as a topic that does not exist. */
const NO_SUCH_TOPIC: readonly number[] = [kafkaErrors.unknownTopicOrPartition, kafkaErrors.invalidTopic];

const file = fileURLToPath(new URL("build/Release/pockaffe_native.node", packageRoot));
const loaded = loadAddon(file, process.env.POCKAFFE_NATIVE);

/** Why the addon is missing; null if it is loaded. */
export const nativeMissing: string | null = loaded.missing;

/** What follows if the addon is missing, for people. */
export const withoutAddon =
	"topic ids are not available, so a topic that was created again is recognised by the timestamps of known records; messages come by " +
	"node-rdkafka's own consume, at several times the CPU and without the type of their timestamps (see binding.gyp-notes.md)";

/** Number of open clients and of requests under way, as the addon counts them; null without it. For tests. */
export function livingClients(): { readonly clients: number; readonly requests: number } | null {
	return loaded.addon?.living() ?? null;
}

/**
 * Ends the process at once with this exit code. Node's own exit waits for its threads: a handler's thread in a native call, or a pool
 * thread in which a client's close hangs. Without the addon the process ends by SIGKILL, which shells report as 137.
 */
export function exitNow(code: number): void {
	loaded.addon?.exitNow(code);
	process.kill(process.pid, "SIGKILL");
}

/** The message queue of a consumer that node-rdkafka made, polled without node-rdkafka. */
export interface ConsumerQueue {
	/** Takes up to `count` messages, or about `mostBytes`; waits up to `timeoutMs` for the first. One poll at a time. */
	poll(count: number, timeoutMs: number, mostBytes: number): Promise<PackedPoll>;
	/** Ends the wait of a poll under way: it brings what it has. */
	wake(): void;
	/** Call it before the client is closed. Waits, without running JavaScript, for a poll under way. */
	release(): void;
}

/** Null without the addon, or if several clients have this name. `owner` is kept alive as long as its polls. */
export function openConsumerQueue(name: string | undefined, owner: object): ConsumerQueue | null {
	const { addon } = loaded;
	const handle = name === undefined ? null : addon?.openConsumer(name);
	if (!addon || !handle) return null;
	return {
		poll: (count, timeoutMs, mostBytes) => addon.pollConsumer(handle, owner, count, timeoutMs, mostBytes),
		wake: () => addon.wakeConsumer(handle),
		release: () => addon.releaseConsumer(handle),
	};
}

/** Adds the settings that let the addon reach a client. They come first, because a plugin registers itself while it is set. */
export function withNative(settings: Record<string, unknown>): Record<string, unknown> {
	if (!loaded.addon) return settings;
	const { "plugin.library.paths": others, ...rest } = settings;
	return { "plugin.library.paths": others ? `${String(others)};${file}` : file, ...rest };
}

/** A connected client, and the broker to ask. */
export interface AskedClient {
	/** The client's name in node-rdkafka once it is connected; undefined before. */
	readonly name: string | undefined;
	/** -1: the controller. */
	readonly broker: number;
}

/**
 * Kafka's ids of those of these topics that exist, spelled as Kafka's own tools print them; null for each if the broker has none. The whole
 * answer is null without the addon. Rejects with KafkaError: the client's, or the first topic's (no right to see it).
 */
export async function askTopicIds(
	{ name, broker }: AskedClient,
	topics: readonly string[],
	timeoutMs: number,
): Promise<ReadonlyMap<string, LogId> | null> {
	// librdkafka refuses a name twice, and an empty one.
	const wanted = [...new Set(topics)].filter((topic) => topic !== "");
	if (!loaded.addon || name === undefined) return null;
	const answer = await loaded.addon.topicIds(name, broker, wanted, timeoutMs);
	if (!answer) return null;
	if (answer.error !== 0) throw new KafkaError(`can't get the ids of topics: ${answer.message}`, answer.error);
	const ids = new Map<string, LogId>();
	for (const { topic, id, error, message } of answer.topics) {
		if (NO_SUCH_TOPIC.includes(error)) continue;
		if (error !== 0) throw new KafkaError(`can't get the id of topic ${topic}: ${message}`, error);
		// librdkafka writes base64, Kafka's tools base64url.
		ids.set(topic, id.replaceAll("+", "-").replaceAll("/", "_") || null);
	}
	return ids;
}

/** Operations on a topic, by Kafka's numbers. */
const operations = new Map<number, Operation>([
	[3, "Read"],
	[4, "Write"],
	[8, "Describe"],
]);

/**
 * What this user may do with a topic; null if unknown: no addon, a broker before Kafka 2.3, no such topic. Rejects with KafkaError if the
 * user may not even see the topic.
 */
export async function askOperations(
	{ name, broker }: AskedClient,
	topic: string,
	timeoutMs: number,
): Promise<ReadonlySet<Operation> | null> {
	if (!loaded.addon || name === undefined) return null;
	const answer = await loaded.addon.topicIds(name, broker, [topic], timeoutMs, true);
	const [found] = answer?.topics ?? [];
	if (found?.error === kafkaErrors.topicAuthorizationFailed) throw new KafkaError(found.message, found.error);
	const may = (found?.operations ?? []).flatMap((each) => operations.get(each) ?? []);
	// Whoever sees a topic may describe it: an empty list means that the broker did not answer this.
	return may.length === 0 ? null : new Set(may);
}

/** The members of a group; null without the addon. Rejects with KafkaError: the client's, or the group's (no right to see it). */
export async function askGroup({ name, broker }: AskedClient, group: string, timeoutMs: number): Promise<GroupDescription | null> {
	if (!loaded.addon || name === undefined) return null;
	const answer = await loaded.addon.groupMembers(name, broker, [group], timeoutMs);
	if (!answer) return null;
	const [found] = answer.topics;
	const failed = found ?? answer;
	// The embedded broker does not support this request.
	if (failed.error === kafkaErrors.unsupportedFeature) return null;
	if (failed.error !== 0) throw new KafkaError(`can't get the members of group ${group}: ${failed.message}`, failed.error);
	return { state: found?.state ?? "Unknown", members: found?.members ?? [] };
}

/** A topic's effective settings, by name. */
export type TopicSettings = ReadonlyMap<string, string>;

/**
 * The settings of topics, or Kafka's error for a topic (no right, no such topic). The whole answer is null without the addon. Rejects with
 * KafkaError if Kafka doesn't answer.
 */
export async function askTopicSettings(
	{ name, broker }: AskedClient,
	topics: readonly string[],
	timeoutMs: number,
): Promise<ReadonlyMap<string, TopicSettings | KafkaError> | null> {
	if (!loaded.addon || name === undefined) return null;
	const answer = await loaded.addon.topicSettings(name, broker, [...new Set(topics)], timeoutMs);
	if (!answer) return null;
	if (answer.error !== 0) throw new KafkaError(`can't get the settings of topics: ${answer.message}`, answer.error);
	return new Map(
		answer.topics.map(({ topic, error, message, settings }) => [
			topic,
			error === 0 ? new Map(Object.entries(settings)) : new KafkaError(message, error),
		]),
	);
}

/** A broker's setting; null if nobody can tell: no addon, no broker known yet. Rejects with KafkaError, e.g. without the right to see. */
export async function askBrokerSetting({ name, broker }: AskedClient, setting: string, timeoutMs: number): Promise<string | null> {
	if (!loaded.addon || name === undefined || broker < 0) return null;
	const answer = await loaded.addon.topicSettings(name, broker, [String(broker)], timeoutMs, true);
	if (!answer) return null;
	const [found] = answer.topics;
	const failed = found ?? answer;
	if (failed.error !== 0) throw new KafkaError(`can't get the settings of broker ${broker}: ${failed.message}`, failed.error);
	return found?.settings[setting] ?? null;
}

/** Loads the addon from this path, or says why not; `wanted` is POCKAFFE_NATIVE. */
export function loadAddon(path: string, wanted: string | undefined): { readonly addon: Addon | null; readonly missing: string | null } {
	if (wanted === "off") return { addon: null, missing: "POCKAFFE_NATIVE is off" };
	// librdkafka reads a list of plugins.
	if (path.includes(";")) return { addon: null, missing: `the addon can't be used from a folder with a semicolon in its name (${path})` };
	try {
		const addon = createRequire(import.meta.url)(path) as Partial<Addon>;
		if (!addon.wakeConsumer) return { addon: null, missing: "the addon is of an earlier version (npm run native compiles it again)" };
		return { addon: addon as Addon, missing: null };
	} catch (error) {
		const isThere = (error as { code?: string }).code !== "MODULE_NOT_FOUND";
		return { addon: null, missing: isThere ? `the addon does not load: ${messageOf(error)}` : "the addon was not compiled" };
	}
}
