/** Errors of Kafka and its client, and the codes that PocKaffe acts on. Needs no client: the simulation throws them too. */
import { PocKaffeError } from "../../core/errors.ts";

/** The librdkafka codes that PocKaffe acts on. */
export const kafkaErrors = {
	assignPartitions: -175,
	revokePartitions: -174,
	maxPollExceeded: -147,
	fatal: -150,
	purgedInFlight: -151,
	purgedInQueue: -152,
	unsupportedFeature: -165,
	state: -172,
	timedOut: -185,
	/** The client's own queue is full. */
	queueFull: -184,
	/** A record was not acknowledged within its delivery timeout. */
	messageTimedOut: -192,
	transport: -195,
	/** A position is outside its log, and `auto.offset.reset` is `error`. */
	autoOffsetReset: -140,
	offsetOutOfRange: 1,
	unknownTopic: -188,
	unknownPartition: -190,
	unknownTopicOrPartition: 3,
	messageTooLarge: 10,
	coordinatorLoadInProgress: 14,
	coordinatorNotAvailable: 15,
	notCoordinator: 16,
	invalidTopic: 17,
	recordListTooLarge: 18,
	illegalGeneration: 22,
	inconsistentGroupProtocol: 23,
	unknownMember: 25,
	invalidSessionTimeout: 26,
	rebalanceInProgress: 27,
	topicAuthorizationFailed: 29,
	groupAuthorizationFailed: 30,
	clusterAuthorizationFailed: 31,
	invalidTimestamp: 32,
	unsupportedVersion: 35,
	topicExists: 36,
	invalidConfig: 40,
	policyViolation: 44,
	groupMaxSizeReached: 81,
	fencedInstanceId: 82,
	invalidRecord: 87,
	unreleasedInstanceId: 111,
	unsupportedAssignor: 112,
} as const;

/** An error of Kafka or its client. `kafkaCode`: librdkafka's number. */
export class KafkaError extends PocKaffeError {
	readonly kafkaCode: number;
	constructor(message: string, kafkaCode: number, options?: ErrorOptions) {
		super(`kafka_${kafkaCode}`, message, options);
		this.kafkaCode = kafkaCode;
	}
}

/** The error's librdkafka code; 0 for an error that is not Kafka's. */
export function kafkaCodeOf(error: unknown): number {
	return error instanceof KafkaError ? error.kafkaCode : 0;
}
