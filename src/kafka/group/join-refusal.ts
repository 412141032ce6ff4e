/**
 * Why the group refuses this member, while it is not a member. librdkafka goes on trying and reports the reason each time; if it gives up
 * (KIP-848), another client tries. All reasons can be corrected from outside, so none ends the daemon.
 */
import type { Config } from "../../config/config.ts";
import type { Clock } from "../../core/clock.ts";
import type { Problem } from "../../core/problem.ts";
import { kafkaErrors } from "../client/kafka-error.ts";
import { missingRight } from "../watches/rights.ts";

type KafkaConfig = Pick<Config["kafka"], "brokers" | "group" | "instanceId" | "protocol" | "sasl">;

/** What corrects a refusal, by its code. */
const remedies: Readonly<Record<number, (kafka: KafkaConfig) => string>> = {
	[kafkaErrors.inconsistentGroupProtocol]: ({ protocol }) =>
		`other members of the group join by another protocol than this one (kafka.protocol: ${protocol}): give all the same, or stop the others first`,
	[kafkaErrors.invalidSessionTimeout]: () =>
		"session.timeout.ms is outside the broker's group.min.session.timeout.ms and group.max.session.timeout.ms",
	[kafkaErrors.groupMaxSizeReached]: () => "the group has as many members as the broker's group.max.size (group.consumer.max.size) allows",
	[kafkaErrors.unreleasedInstanceId]: ({ instanceId }) =>
		`another member has kafka.instanceId ${instanceId}: stop it, or wait until its session is over; each member needs a name of its own`,
	[kafkaErrors.unsupportedAssignor]: () => "the broker does not know the assignor: look at its group.consumer.assignors",
	[kafkaErrors.unsupportedVersion]: withoutKip848,
	[kafkaErrors.unsupportedFeature]: withoutKip848,
	[kafkaErrors.groupAuthorizationFailed]: (kafka) => missingRight(kafka, kafkaErrors.groupAuthorizationFailed, "") ?? "",
};

/**
 * How long a refusal counts without being repeated. A client asks again at every join, some seconds apart. But it reports a missing right
 * only once, and then keeps asking silently.
 */
const HOLDS_MS = 60_000;

/** Remembers why the group refuses this member. */
export class JoinRefusal {
	readonly #clock: Clock;
	readonly #kafka: KafkaConfig;
	#refusal: { readonly code: number; readonly words: string; readonly sinceMs: number; readonly saidAt: number } | null = null;

	constructor(clock: Clock, kafka: KafkaConfig) {
		this.#clock = clock;
		this.#kafka = kafka;
	}

	/** True if an error of this code is a refusal. */
	static isOne(code: number): boolean {
		return code in remedies;
	}

	/** The coordinator refused the member; `words` are its own. */
	refused(code: number, words: string): void {
		const sinceMs = this.#current?.sinceMs ?? this.#clock.now();
		this.#refusal = { code, words, sinceMs, saidAt: this.#clock.monotonic() };
	}

	/** It became a member. */
	joined(): void {
		this.#refusal = null;
	}

	get problems(): Problem<"cannot_join" | "not_authorized">[] {
		const refusal = this.#current;
		if (!refusal) return [];
		const { code, words, sinceMs } = refusal;
		const remedy = remedies[code]?.(this.#kafka);
		const message = `the group ${this.#kafka.group} refuses this member: ${words}${remedy ? `; ${remedy}` : ""}; tried again by itself`;
		return [{ code: code === kafkaErrors.groupAuthorizationFailed ? "not_authorized" : "cannot_join", where: null, message, sinceMs }];
	}

	get #current() {
		if (!this.#refusal) return null;
		const { code, saidAt } = this.#refusal;
		const holds = code === kafkaErrors.groupAuthorizationFailed || this.#clock.monotonic() - saidAt < HOLDS_MS;
		return holds ? this.#refusal : null;
	}
}

function withoutKip848(): string {
	return "kafka.protocol: consumer needs Kafka 4.0 or later with the feature group.version 1 (kafka-features.sh), else take classic";
}
