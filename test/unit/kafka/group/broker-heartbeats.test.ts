/** Which interval of heartbeats is worth a warning in a KIP-848 group. */
import { describe, expect, it } from "vitest";
import { longHeartbeats } from "../../../../src/kafka/group/broker-heartbeats.ts";

const answering = (settings: Record<string, string>) => ({ brokerSetting: async (name: string) => settings[name] ?? null });

describe("the broker's interval of heartbeats", () => {
	it.each([
		["5000", 5_000],
		["1001", 1_001],
		["1000", null],
		["", null],
	])("of %s ms is told as %s", async (setting, told) => {
		expect(await longHeartbeats(answering({ "group.consumer.heartbeat.interval.ms": setting }))).toBe(told);
	});

	it("is not told where nobody knows it: an older broker, or no right to see it", async () => {
		expect(await longHeartbeats(answering({ "group.consumer.session.timeout.ms": "45000" }))).toBe(null);
		const brokerSetting = () => Promise.reject(new Error("no right"));
		expect(await longHeartbeats({ brokerSetting })).toBe(null);
	});
});
