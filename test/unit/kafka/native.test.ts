/** What is asked of the addon, and what its answers come to. The addon's own functions are played: no broker is asked. */
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { kafkaErrors } from "../../../src/kafka/client/kafka-error.ts";
import {
	askBrokerSetting,
	askGroup,
	askOperations,
	askTopicIds,
	askTopicSettings,
	exitNow,
	livingClients,
	loadAddon,
	openConsumerQueue,
	withNative,
} from "../../../src/kafka/native.ts";
import { withAddon } from "../../support/project/with-addon.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const file = new URL("../../../build/Release/pockaffe_native.node", import.meta.url).pathname;
const asked = { name: "rdkafka#consumer-7", broker: 3 };
const ok = { error: 0, message: "" };
const refused = { error: kafkaErrors.topicAuthorizationFailed, message: "Broker: Topic authorization failed" };
const away = { error: kafkaErrors.transport, message: "Local: Broker transport failure" };

afterEach(() => void vi.restoreAllMocks());

/** A function of the addon with this answer. */
function answers(name: string, answer: unknown) {
	const addon = createRequire(import.meta.url)(file);
	return vi.spyOn(addon, name).mockResolvedValue(answer);
}

describe.skipIf(withAddon.skip)("the addon", () => {
	describe("asked for the ids of topics", () => {
		it("is asked once for each, and not for one without a name; ids are spelled as Kafka's tools spell them", async () => {
			const call = answers("topicIds", {
				...ok,
				topics: [
					{ topic: "a", id: "+b/c+d/e", ...ok },
					{ topic: "old", id: "", ...ok },
					{ topic: "absent", id: "", error: kafkaErrors.unknownTopicOrPartition, message: "unknown" },
					{ topic: "in valid", id: "", error: kafkaErrors.invalidTopic, message: "invalid" },
				],
			});
			const ids = await askTopicIds(asked, ["a", "old", "a", "", "absent", "in valid"], 1_500);
			expect(call.mock.calls).toEqual([["rdkafka#consumer-7", 3, ["a", "old", "absent", "in valid"], 1_500]]);
			expect([...(ids ?? [])]).toEqual([
				["a", "-b_c-d_e"],
				["old", null],
			]);
		});

		it("rejects with the client's error, or a topic's, and says of which", async () => {
			answers("topicIds", { ...away, topics: [] });
			await expect(askTopicIds(asked, ["a"], 1)).rejects.toMatchObject({
				message: "can't get the ids of topics: Local: Broker transport failure",
				kafkaCode: kafkaErrors.transport,
			});
			answers("topicIds", { ...ok, topics: [{ topic: "secret", id: "", ...refused }] });
			await expect(askTopicIds(asked, ["secret"], 1)).rejects.toMatchObject({
				message: "can't get the id of topic secret: Broker: Topic authorization failed",
				kafkaCode: kafkaErrors.topicAuthorizationFailed,
			});
		});
	});

	describe("asked what a user may do with a topic", () => {
		const found = (topic: object) => answers("topicIds", { ...ok, topics: [{ topic: "a", id: "", ...ok, operations: [], ...topic }] });

		it("names the operations that PocKaffe knows", async () => {
			const call = found({ operations: [8, 3, 11] });
			expect(await askOperations(asked, "a", 1_500)).toEqual(new Set(["Describe", "Read"]));
			expect(call.mock.calls).toEqual([["rdkafka#consumer-7", 3, ["a"], 1_500, true]]);
			found({ operations: [4] });
			expect(await askOperations(asked, "a", 1)).toEqual(new Set(["Write"]));
		});

		it("can't tell where no operation is named, or where the client or the topic is gone", async () => {
			found({ operations: [11] });
			expect(await askOperations(asked, "a", 1)).toBe(null);
			answers("topicIds", null);
			expect(await askOperations(asked, "a", 1)).toBe(null);
			found({ error: kafkaErrors.unknownTopicOrPartition, operations: undefined });
			expect(await askOperations(asked, "a", 1)).toBe(null);
		});

		it("rejects where the user may not even see it", async () => {
			found(refused);
			await expect(askOperations(asked, "a", 1)).rejects.toMatchObject({ message: refused.message, kafkaCode: refused.error });
		});
	});

	describe("asked for a group", () => {
		const members = [{ clientId: "c", instanceId: "", memberId: "m", host: "/h", partitions: [{ topic: "a", partition: 1 }] }];

		it("gives its state and its members", async () => {
			const call = answers("groupMembers", { ...ok, topics: [{ topic: "g", ...ok, state: "Stable", members }] });
			expect(await askGroup(asked, "g", 1_500)).toEqual({ state: "Stable", members });
			expect(call.mock.calls).toEqual([["rdkafka#consumer-7", 3, ["g"], 1_500]]);
		});

		it("knows no state where Kafka's answer has no group", async () => {
			answers("groupMembers", { ...ok, topics: [] });
			expect(await askGroup(asked, "g", 1)).toEqual({ state: "Unknown", members: [] });
		});

		it("can't tell where the client is gone, or the broker does not know the request", async () => {
			answers("groupMembers", null);
			expect(await askGroup(asked, "g", 1)).toBe(null);
			answers("groupMembers", { error: kafkaErrors.unsupportedFeature, message: "no", topics: [] });
			expect(await askGroup(asked, "g", 1)).toBe(null);
		});

		it("rejects with the group's error, or else the client's", async () => {
			const error = { error: kafkaErrors.groupAuthorizationFailed, message: "Broker: Group authorization failed" };
			answers("groupMembers", { ...ok, topics: [{ topic: "g", ...error, state: "", members: [] }] });
			await expect(askGroup(asked, "g", 1)).rejects.toMatchObject({
				message: "can't get the members of group g: Broker: Group authorization failed",
				kafkaCode: error.error,
			});
			answers("groupMembers", { ...away, topics: [] });
			await expect(askGroup(asked, "g", 1)).rejects.toMatchObject({ kafkaCode: away.error });
		});
	});

	describe("asked for settings", () => {
		it("of topics gives each topic's, or its error, and is asked once for each", async () => {
			const call = answers("topicSettings", {
				...ok,
				topics: [
					{ topic: "a", ...ok, settings: { "cleanup.policy": "delete" } },
					{ topic: "secret", ...refused, settings: {} },
				],
			});
			const settings = await askTopicSettings(asked, ["a", "secret", "a"], 1_500);
			expect(call.mock.calls).toEqual([["rdkafka#consumer-7", 3, ["a", "secret"], 1_500]]);
			expect(settings?.get("a")).toEqual(new Map([["cleanup.policy", "delete"]]));
			expect(settings?.get("secret")).toMatchObject({ message: refused.message, kafkaCode: refused.error });
			answers("topicSettings", null);
			expect(await askTopicSettings(asked, ["a"], 1)).toBe(null);
			answers("topicSettings", { ...away, topics: [] });
			await expect(askTopicSettings(asked, ["a"], 1)).rejects.toMatchObject({
				message: "can't get the settings of topics: Local: Broker transport failure",
				kafkaCode: away.error,
			});
		});

		it("of the broker gives the one that is asked for, and null for one that it does not have", async () => {
			const call = answers("topicSettings", { ...ok, topics: [{ topic: "3", ...ok, settings: { one: "5", other: "6" } }] });
			expect(await askBrokerSetting(asked, "other", 1_500)).toBe("6");
			expect(call.mock.calls).toEqual([["rdkafka#consumer-7", 3, ["3"], 1_500, true]]);
			expect(await askBrokerSetting(asked, "third", 1)).toBe(null);
			expect(await askBrokerSetting({ ...asked, broker: 0 }, "one", 1)).toBe("5");
			answers("topicSettings", null);
			expect(await askBrokerSetting(asked, "one", 1)).toBe(null);
			answers("topicSettings", { ...ok, topics: [] });
			expect(await askBrokerSetting(asked, "one", 1)).toBe(null);
		});

		it("of the broker rejects with the broker's error, or else the client's", async () => {
			answers("topicSettings", {
				...ok,
				topics: [{ topic: "3", error: 31, message: "Broker: Cluster authorization failed", settings: {} }],
			});
			await expect(askBrokerSetting(asked, "one", 1)).rejects.toMatchObject({
				message: "can't get the settings of broker 3: Broker: Cluster authorization failed",
				kafkaCode: 31,
			});
			answers("topicSettings", { ...away, topics: [] });
			await expect(askBrokerSetting(asked, "one", 1)).rejects.toMatchObject({ kafkaCode: away.error });
		});
	});

	it("is asked nothing for a client that is not connected, or about a broker that nobody knows yet", async () => {
		const calls = ["topicIds", "topicSettings", "groupMembers"].map((name) => answers(name, { ...ok, topics: [] }));
		const unnamed = { name: undefined, broker: 3 };
		const results = [
			...[askTopicIds(unnamed, ["a"], 1), askOperations(unnamed, "a", 1), askGroup(unnamed, "g", 1), askTopicSettings(unnamed, ["a"], 1)],
			...[askBrokerSetting(unnamed, "one", 1), askBrokerSetting({ ...asked, broker: -1 }, "one", 1)],
		];
		expect(await Promise.all(results)).toEqual([null, null, null, null, null, null]);
		expect(calls.flatMap(({ mock }) => mock.calls)).toEqual([]);
	});

	it("has its plugin first in a client's settings, behind those that the user has", () => {
		expect(Object.entries(withNative({ "client.id": "c" }))).toEqual([
			["plugin.library.paths", file],
			["client.id", "c"],
		]);
		expect(withNative({ "plugin.library.paths": "one.so;two.so" })).toEqual({ "plugin.library.paths": `one.so;two.so;${file}` });
	});

	it("polls, wakes and releases the queue of an open consumer, and has none for any other", async () => {
		const [owner, handle] = [{}, {}];
		const open = answers("openConsumer", null).mockReturnValue(handle);
		const [poll, wake, release] = [answers("pollConsumer", "polled"), answers("wakeConsumer", null), answers("releaseConsumer", null)];
		const queue = openConsumerQueue("rdkafka#consumer-7", owner);
		expect(await queue?.poll(10, 100, 4_096)).toBe("polled");
		queue?.wake();
		queue?.release();
		expect([open.mock.calls, poll.mock.calls]).toEqual([[["rdkafka#consumer-7"]], [[handle, owner, 10, 100, 4_096]]]);
		expect([wake.mock.calls, release.mock.calls]).toEqual([[[handle]], [[handle]]]);
		open.mockReturnValue(null);
		expect([openConsumerQueue("closed", owner), openConsumerQueue(undefined, owner)]).toEqual([null, null]);
		expect(open).toHaveBeenCalledTimes(2);
	});

	it("counts clients and requests, and ends the process; where it can't, a signal does", () => {
		answers("living", null).mockReturnValue({ clients: 2, requests: 5 });
		expect(livingClients()).toEqual({ clients: 2, requests: 5 });
		const exit = answers("exitNow", null).mockReturnValue(undefined);
		const kill = vi.spyOn(process, "kill").mockReturnValue(true);
		exitNow(3);
		expect([exit.mock.calls, kill.mock.calls]).toEqual([[[3]], [[process.pid, "SIGKILL"]]]);
	});

	it("is loaded from its file", () => {
		expect(loadAddon(file, undefined)).toEqual({ addon: createRequire(import.meta.url)(file), missing: null });
	});
});

describe("an addon that is missing", () => {
	it("is told as such where it is turned off, not compiled, or in a folder that librdkafka's list of plugins can't name", () => {
		expect(loadAddon(file, "off")).toEqual({ addon: null, missing: "POCKAFFE_NATIVE is off" });
		expect(loadAddon(join(tmpdir(), "none.node"), "on")).toEqual({ addon: null, missing: "the addon was not compiled" });
		expect(loadAddon("/a;b/c.node", undefined)).toEqual({
			addon: null,
			missing: "the addon can't be used from a folder with a semicolon in its name (/a;b/c.node)",
		});
	});

	it("is told with the reason where it does not load, and with what to do where it is an earlier version", async () => {
		await using folder = await temporaryFolder();
		const [broken, earlier] = [join(folder.path, "broken.cjs"), join(folder.path, "earlier.cjs")];
		await writeFile(broken, 'throw new Error("no such symbol")');
		await writeFile(earlier, "exports.living = () => null");
		expect(loadAddon(broken, undefined)).toEqual({ addon: null, missing: "the addon does not load: no such symbol" });
		expect(loadAddon(earlier, undefined)).toEqual({
			addon: null,
			missing: "the addon is of an earlier version (npm run native compiles it again)",
		});
	});
});
