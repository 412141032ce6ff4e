/**
 * The disk of a topic that a handler produces to is full: the broker takes the folder offline, and the topic has no leader. Said of that
 * topic, the others go on, and it goes on once there is room and the broker was started again. Left out where nothing may be mounted.
 */
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { committedOffsets, untilCommitted } from "../../support/kafka/group-offsets.ts";
import { type KafkaServer, startKafka } from "../../support/kafka/kafka-server.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";
import { firsts, makeTopic, readTopic, service } from "./producing-scene.ts";

const run = promisify(execFile);
const DISK = "8m";
const COUNT = 4_000;

describeOnKafka("a full disk of the broker", () => {
	let folder: Awaited<ReturnType<typeof temporaryFolder>>;
	let kafka: KafkaServer;
	let isMounted = false;

	beforeAll(async () => {
		folder = await temporaryFolder();
		await mkdir(small());
		isMounted = await run("mount", ["-t", "tmpfs", "-o", `size=${DISK}`, "tmpfs", small()]).then(
			() => true,
			() => false,
		);
		if (isMounted) kafka = await startKafka({ "log.dirs": large() });
	});

	afterAll(async () => {
		await kafka?.stop();
		if (isMounted) await run("umount", [small()]);
		await folder[Symbol.asyncDispose]();
	});

	const large = () => join(folder.path, "large");
	const small = () => join(folder.path, "small");

	it("is told of its topic, holds up no other, and loses nothing", async ({ skip }) => {
		if (!isMounted) skip("no file system may be mounted here");
		const { brokers } = kafka;
		await using db = await createTestDatabase();
		const [source, other] = [uniqueName("source"), uniqueName("other")];
		const load = (topic: string) =>
			Array.from({ length: COUNT }, (_, i) => ({ topic, partition: i % 2, key: `k${i}`, value: `${i}`.padEnd(2_000, "x") }));
		await loadTopic(brokers, { name: source, partitions: 2 }, load(source));
		await makeTopic(brokers, other, 1);
		// The offsets' topic is made with the first member: before there is another disk.
		await using reader = await service(brokers, "export const handleMessage = () => {};", {
			topic: other,
			url: db.url,
			handler: { produces: [other] },
		});
		const first = await reader.run();
		await first.ready();
		expect(await first.stop()).toBe(0);
		await kafka.kill("SIGTERM");
		// Formatted as the other one is; the broker gives it an id of its own.
		const properties = await readFile(join(large(), "meta.properties"), "utf8");
		await writeFile(join(small(), "meta.properties"), properties.replace(/^directory\.id=.*$/m, ""));
		await kafka.restart({ "log.dirs": `${large()},${small()}` });
		// Goes where the fewest are. The broker answers some time before it makes topics.
		const out = await waitFor("a topic on the small disk", async () => {
			const name = uniqueName("out");
			await makeTopic(brokers, name, 1);
			return name;
		});
		const random = `import { randomBytes } from "node:crypto";`;
		const handler = `${random} export const handleMessage = ({ partition, key }) =>
			({ produce: [{ topic: ["${out}", "${other}"][partition], key, value: randomBytes(6_000) }] });`;
		await using daemon = await service(brokers, handler, { topic: source, url: db.url, handler: { produces: [out, other] } });
		const running = await daemon.run();
		await notReadyFor(running, "produce_blocked", new RegExp(`none of the oldest records for topic ${out} .*partition 0 has no leader`));
		await waitFor("the other partition", async () => (await committedOffsets(brokers, daemon.group, source))[1] === COUNT / 2);
		expect((await committedOffsets(brokers, daemon.group, source))[0]).toBeLessThan(COUNT / 2);
		await kafka.kill();
		await run("mount", ["-o", "remount,size=256m", small()]);
		await kafka.restart();
		await untilCommitted(brokers, daemon.group, source).catch((cause) => {
			throw new Error(running.output.slice(-5_000), { cause });
		});
		await running.ready();
		for (const topic of [out, other]) {
			const [log = []] = await readTopic(kafkaAt(brokers), topic, 1);
			expect(firsts(log).map(({ offset }) => offset)).toEqual(Array.from({ length: COUNT / 2 }, (_, offset) => offset));
		}
		expect(await running.metric("pockaffe_dead_letters_total")).toBe(0);
		expect(await running.stop()).toBe(0);
	});
});
