/** Who has which partition, as Kafka itself tells it: by the addon, for both protocols of groups. */
import { expect, inject, it } from "vitest";
import { pockaffe } from "../support/daemons/command-line.ts";
import { runDaemon } from "../support/daemons/daemon-process.ts";
import { loadTopic } from "../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../support/postgres/test-database.ts";
import { withAddon } from "../support/project/with-addon.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

const brokers = inject("kafkaBrokers");

interface Told {
	readonly partition: number;
	readonly committed: number | null;
	readonly member: { readonly clientId: string; readonly instanceId: string; readonly memberId: string; readonly host: string } | null;
}

describeOnKafka("offsets", () => {
	it.each(["classic", "eager", "consumer"])("names the member of each partition, from Kafka itself (%s)", withAddon, async (protocol) => {
		await using folder = await temporaryFolder();
		await using other = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("owners"), uniqueName("g")];
		await loadTopic(brokers, { name: topic, partitions: 2 }, [{ topic, partition: 0, key: "a", value: '{"name":"x"}' }]);
		const configOf = (instanceId: string) => ({
			kafka: { brokers: [brokers], topics: [topic], group, protocol, instanceId },
			handler: { module: "pockaffe:json" },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true } },
		});
		const env = { POCKAFFE_KAFKA_BROKERS: brokers };
		const told = async (): Promise<Told[]> => {
			const { code, stdout, stderr } = await pockaffe(["offsets", group, "--topic", topic, "--json"], { cwd: folder.path, env });
			expect([code, stderr]).toEqual([0, ""]);
			return JSON.parse(stdout);
		};
		expect((await told()).map(({ member }) => member)).toEqual([null, null]);
		await using first = await runDaemon(folder.path, configOf("one"));
		await using second = await runDaemon(other.path, configOf("two"));
		const owners = async () => (await told()).map(({ member }) => member?.instanceId ?? "nobody").sort();
		await waitFor("each to have one", async () => (await owners()).join() === "one,two");
		for (const { member } of await told())
			expect(member).toMatchObject({
				clientId: expect.stringMatching(/./),
				host: expect.stringContaining("127.0.0.1"),
				memberId: expect.stringMatching(/./),
			});
		const shown = await pockaffe(["offsets", group], { cwd: folder.path, env });
		expect(shown.stdout).toMatch(/CLIENT\s+HOST\s+MEMBER/);
		expect(shown.stderr).toMatch(new RegExp(`^group ${group}: Stable, 2 members\\n$`));
		expect([await first.stop(), await second.stop()]).toEqual([0, 0]);
	});
});
