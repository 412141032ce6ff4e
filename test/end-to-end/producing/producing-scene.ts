/** What tests of handlers that produce share: daemons with a handler of the test's own, and topics read with their source headers. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../../../src/config/config.ts";
import { systemClock } from "../../../src/core/clock.ts";
import type { ReceivedMessage } from "../../../src/core/messages/message.ts";
import { SOURCE_HEADER } from "../../../src/core/messages/records.ts";
import { LogReader } from "../../../src/kafka/log-reader.ts";
import { awaitTopic, createTopic } from "../../../src/kafka/topics.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { kafkaAt } from "../../support/kafka/load-topic.ts";
import { uniqueName } from "../../support/kafka/real-kafka.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** Daemons of one group. `await using` leaves none behind. */
export interface Service extends AsyncDisposable {
	readonly group: string;
	readonly folder: string;
	run(): Promise<DaemonProcess>;
}

/** What a service is made of, beside sections of its configuration. */
export interface ServiceOptions {
	readonly topic: string;
	readonly url: string;
	/** Beside the brokers: how it logs in. */
	readonly kafka?: Readonly<Record<string, unknown>>;
	readonly [section: string]: unknown;
}

/** A folder with the handler and the configuration; nothing runs yet. */
export async function service(brokers: string, handler: string, options: ServiceOptions): Promise<Service> {
	const { topic, url, kafka, ...more } = options;
	const folder = await temporaryFolder();
	await writeFile(join(folder.path, "handler.mjs"), handler);
	const group = uniqueName("produce");
	const config = {
		kafka: { brokers: [brokers], topics: [topic], group, properties: { "session.timeout.ms": 6000 }, ...kafka },
		database: { url },
		offsets: { commitIntervalMs: 100 },
		...more,
		handler: { module: "./handler.mjs", ...(more.handler as object) },
	};
	const started: DaemonProcess[] = [];
	return {
		group,
		folder: folder.path,
		async run() {
			const daemon = await runDaemon(folder.path, config);
			started.push(daemon);
			return daemon;
		},
		async [Symbol.asyncDispose]() {
			for (const daemon of started) await daemon[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

/** Resolves when the brokers know the new topic. */
export async function makeTopic(brokers: string, name: string, partitions: number): Promise<void> {
	await createTopic(kafkaAt(brokers), { name, partitions, replication: 1 });
	await awaitTopic(kafkaAt(brokers), systemClock, name, partitions);
}

/** Each partition's messages, in its order. */
export async function readTopic(kafka: Config["kafka"], topic: string, partitions: number): Promise<ReceivedMessage[][]> {
	await using reader = await LogReader.connect(kafka, systemClock, uniqueName("reader"), new AbortController().signal);
	const all = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
	const ranges = await Promise.all(all.map(async (each) => ({ ...each, from: 0, to: (await reader.watermarks(each)).high })));
	const logs = all.map((): ReceivedMessage[] => []);
	for await (const [, messages] of reader.read(ranges)) for (const message of messages) logs[message.partition]?.push(message);
	return logs;
}

/** A header as text; empty where it is not there. */
export function header({ headers }: Pick<ReceivedMessage, "headers">, name: string): string {
	return String(headers.find(([each]) => each === name)?.[1] ?? "");
}

/** First deliveries, by the offset of their source. */
export function firsts(log: readonly ReceivedMessage[]): { key: string; offset: number }[] {
	const seen = new Set<string>();
	return log.flatMap((message) => {
		const source = header(message, SOURCE_HEADER);
		if (seen.has(source)) return [];
		seen.add(source);
		return [{ key: String(message.key), offset: Number(source.split("/").at(-1)) }];
	});
}
