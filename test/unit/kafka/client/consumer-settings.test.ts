/** What the daemon's consumer is told: delivery depends on some of it, whatever a user adds. */
import { describe, expect, it } from "vitest";
import type { Config } from "../../../../src/config/config.ts";
import { loadConfig } from "../../../../src/config/load.ts";
import { consumerSettings, isIncremental } from "../../../../src/kafka/client/consumer-settings.ts";

function settingsOf(kafka: Partial<Config["kafka"]> = {}, workers: Partial<Config["workers"]> = {}) {
	const { config } = loadConfig({ environment: { POCKAFFE_KAFKA_GROUP: "group1" }, cwd: "/nowhere" });
	return consumerSettings({ kafka: { ...config.kafka, ...kafka }, workers: { ...config.workers, ...workers } });
}

/** Whoever changes one of these loses messages, or reads them twice without a word. */
const fixed = { "group.id": "group1", "enable.auto.commit": false, "enable.auto.offset.store": false, "enable.partition.eof": true };

describe("the consumer's settings", () => {
	it("commit nothing by themselves, and jump nowhere by themselves", () => {
		const { settings, topicSettings } = settingsOf();
		expect(settings).toMatchObject(fixed);
		expect(topicSettings).toEqual({ "auto.offset.reset": "error" });
	});

	it("that delivery depends on are not the user's, and what is only a default is", () => {
		const wrong = { "group.id": "other", "enable.auto.commit": true, "enable.auto.offset.store": true, "enable.partition.eof": false };
		const { settings } = settingsOf({ properties: { ...wrong, "queued.min.messages": 7, "fetch.queue.backoff.ms": 11 } as never });
		expect(settings).toMatchObject({ ...fixed, "queued.min.messages": 7, "fetch.queue.backoff.ms": 11 });
	});

	it.each([
		["classic", { "group.protocol": "classic", "partition.assignment.strategy": "cooperative-sticky" }, true],
		["eager", { "group.protocol": "classic", "partition.assignment.strategy": "range,roundrobin" }, false],
		["consumer", { "group.protocol": "consumer" }, true],
	] as const)("of protocol %s", (protocol, expected, incremental) => {
		const { settings } = settingsOf({ protocol });
		expect(settings).toMatchObject(expected);
		expect("partition.assignment.strategy" in settings).toBe(protocol !== "consumer");
		expect(isIncremental(protocol)).toBe(incremental);
	});

	it("tell a rebalance soon, unless a user wants it later, or the broker decides", () => {
		expect(settingsOf().settings["heartbeat.interval.ms"]).toBe(100);
		expect(settingsOf({ properties: { "heartbeat.interval.ms": 3_000 } }).settings["heartbeat.interval.ms"]).toBe(3_000);
		expect("heartbeat.interval.ms" in settingsOf({ protocol: "consumer" }).settings).toBe(false);
	});

	it("name a static member only where it is one", () => {
		expect(settingsOf({ instanceId: "one" }).settings["group.instance.id"]).toBe("one");
		expect("group.instance.id" in settingsOf({ instanceId: "" }).settings).toBe(false);
	});

	it.each([
		["as little as the queues take", { maxQueuedMessages: 300, maxQueuedBytes: 8 * 2 ** 20 }, 300, 4_096],
		["no more than pays", { maxQueuedMessages: 1_000_000, maxQueuedBytes: 2 ** 30 }, 5_000, 32_768],
		["something at least", { maxQueuedMessages: 1, maxQueuedBytes: 1 }, 1, 1],
	])("fetch ahead %s", (_, workers, messages, kbytes) => {
		expect(settingsOf({}, workers).settings).toMatchObject({
			"queued.min.messages": messages,
			"queued.max.messages.kbytes": kbytes,
		});
	});
});
