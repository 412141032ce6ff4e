/** What the suites on a real Kafka share: its address, names of their own, or a word that they were left out. */
import { randomBytes } from "node:crypto";
import { describe, inject } from "vitest";

/** `describe` on the run's real Kafka; left out, and said so at the start of the run, where there is none. */
export const describeOnKafka = describe.skipIf(inject("kafkaBrokers") === "");

/** A name nobody else has: for topics and groups. */
export function uniqueName(prefix: string): string {
	return `${prefix}-${randomBytes(4).toString("hex")}`;
}
