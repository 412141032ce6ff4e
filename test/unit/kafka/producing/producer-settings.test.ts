/** What a producer is made with, whatever the user's own properties say. */
import { expect, it } from "vitest";
import type { Config } from "../../../../src/config/config.ts";
import { producerSettings } from "../../../../src/kafka/producer.ts";

const kafka = (properties: object) => ({ brokers: ["127.0.0.1:1"], tls: {}, sasl: {}, properties }) as unknown as Config["kafka"];

it("the user's properties lie over defaults, and not over what a delivery is promised by", () => {
	const properties = {
		acks: 0,
		"enable.idempotence": false,
		"message.timeout.ms": 1,
		dr_cb: false,
		"linger.ms": 7,
		"compression.codec": "zstd",
	};
	expect(producerSettings(kafka(properties), { deliveryTimeoutMs: 5_000 })).toMatchObject({
		...{ acks: "all", "enable.idempotence": true, "message.timeout.ms": 5_000, dr_cb: true },
		...{ "linger.ms": 7, "compression.codec": "zstd" },
	});
});

it("a topic that is gone is waited for as long as it is said, or as librdkafka does", () => {
	const setting = "topic.metadata.propagation.max.ms";
	expect(producerSettings(kafka({}), { absentTopicMs: 5_000 })).toHaveProperty([setting], 5_000);
	expect(producerSettings(kafka({}), {})).not.toHaveProperty([setting]);
});
