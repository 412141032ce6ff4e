/** Checks whether an existing topic keeps dead letters: what would Kafka delete or refuse by its settings? Pure. */
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import type { TopicSettings } from "../native.ts";
import { aclCommand, type RightsConfig } from "../watches/rights.ts";

/** What is known about the topic. */
export interface LetterTopicParts {
	readonly kafka: RightsConfig;
	readonly topic: string;
	/** Topics whose messages become letters. */
	readonly sources: readonly string[];
	/** Settings as Kafka reports them; null without the addon, an error if Kafka does not answer. */
	readonly settings: ReadonlyMap<string, TopicSettings | KafkaError> | KafkaError | null;
}

/** The verdict about the topic. */
export interface LetterTopicPolicy {
	/** Why no letter may be stored there: it would be lost. Null if letters may. */
	readonly refusal: string | null;
	/** Doubts that an operator should know, each with the command that corrects it. */
	readonly doubts: readonly string[];
	/** Why its settings are not known; null if they are. */
	readonly unknown: string | null;
}

const FOR_EVER = "-1";

/** Checks the settings of an existing letters' topic. */
export function letterTopicPolicy({ kafka, topic, sources, settings }: LetterTopicParts): LetterTopicPolicy {
	const found = settings instanceof KafkaError ? settings : (settings?.get(topic) ?? null);
	if (found === null || found instanceof KafkaError) return { refusal: null, doubts: [], unknown: unknownWords(kafka, topic, found) };
	const mend = (setting: string) =>
		`kafka-configs.sh --bootstrap-server ${kafka.brokers.join(",")} --alter --entity-type topics --entity-name ${topic} --add-config ${setting}`;
	const policy = found.get("cleanup.policy") ?? "delete";
	const isCompacted = policy.split(",").some((each) => each.trim() === "compact");
	const losing = `it has cleanup.policy=${policy}: Kafka would delete open letters that share a key, and refuses those without one`;
	return {
		refusal: isCompacted ? `${losing}; set it: ${mend("cleanup.policy=delete")}` : null,
		doubts: [...lifeDoubts(found, mend), ...sizeDoubts(found, sources, settings as ReadonlyMap<string, TopicSettings | KafkaError>, mend)],
		unknown: null,
	};
}

function lifeDoubts(found: TopicSettings, mend: (setting: string) => string): string[] {
	const milliseconds = found.get("retention.ms") ?? FOR_EVER;
	const bytes = found.get("retention.bytes") ?? FOR_EVER;
	const limits = [
		...(milliseconds === FOR_EVER ? [] : [`after ${durationText(Number(milliseconds))} (retention.ms=${milliseconds})`]),
		...(bytes === FOR_EVER ? [] : [`beyond ${bytes} bytes a partition (retention.bytes)`]),
	];
	if (limits.length === 0) return [];
	const setting = [milliseconds === FOR_EVER ? [] : "retention.ms=-1", bytes === FOR_EVER ? [] : "retention.bytes=-1"].flat().join();
	return [`Kafka deletes its letters ${limits.join(" and ")}, open or not; to keep them: ${mend(setting)}`];
}

/** Doubts about the size, for the source with the largest messages. A source whose settings this user may not see is left out. */
function sizeDoubts(
	found: TopicSettings,
	sources: readonly string[],
	settings: ReadonlyMap<string, TopicSettings | KafkaError>,
	mend: (setting: string) => string,
): string[] {
	const own = sizeLimit(found) ?? Number.POSITIVE_INFINITY;
	const limits = sources.flatMap((topic) => {
		const of = settings.get(topic);
		return of && !(of instanceof KafkaError) ? [{ topic, bytes: sizeLimit(of) ?? 0 }] : [];
	});
	const largest = limits.reduce((most, each) => (each.bytes > most.bytes ? each : most), { topic: "", bytes: own });
	if (largest.bytes <= own) return [];
	const less = `it takes records of up to ${own} bytes (max.message.bytes), and ${largest.topic} messages of up to ${largest.bytes}`;
	return [`${less}: a larger letter is stored without its value; to store it whole: ${mend(`max.message.bytes=${largest.bytes}`)}`];
}

function sizeLimit(settings: TopicSettings): number | null {
	const text = settings.get("max.message.bytes");
	return text === undefined ? null : Number(text);
}

function unknownWords(kafka: RightsConfig, topic: string, error: KafkaError | null): string {
	const what = "whether it keeps letters for ever (cleanup.policy, retention.ms, max.message.bytes) is not known";
	if (error === null) return `${what}: without the addon Kafka can't be asked`;
	const isRefused = error.kafkaCode === kafkaErrors.topicAuthorizationFailed || error.kafkaCode === kafkaErrors.clusterAuthorizationFailed;
	return `${what}: ${error.message}${isRefused ? `; give the right to look: ${aclCommand(kafka, "DescribeConfigs", "topic", topic)}` : ""}`;
}

const UNITS = [
	["day", 86_400_000],
	["hour", 3_600_000],
	["minute", 60_000],
	["second", 1_000],
] as const;

function durationText(milliseconds: number): string {
	const [unit, size] = UNITS.find(([, each]) => milliseconds % each === 0) ?? (["ms", 1] as const);
	const count = milliseconds / size;
	return `${count} ${unit}${unit === "ms" || count === 1 ? "" : "s"}`;
}
