/** A command line in the test's own process, on a Kafka and beside daemons that the test plays. Restore the mocks after each test. */
import { PassThrough, Readable } from "node:stream";
import { vi } from "vitest";
import type { CommandContext } from "../../../src/commands/command-context.ts";
import { runProgram } from "../../../src/commands/program.ts";
import type { Clock } from "../../../src/core/clock.ts";
import type { TopicPartition } from "../../../src/core/messages/message.ts";
import { partitionName } from "../../../src/core/messages/message.ts";
import type { MemberDescription } from "../../../src/kafka/native.ts";
import { ClusterInspector } from "../../../src/kafka/topics.ts";
import { ManualClock } from "./manual-clock.ts";

/** What a command gets; by default the configuration of a daemon whose servers nobody meets. */
export interface Played {
	readonly environment?: Record<string, string>;
	readonly cwd?: string;
	/** Standard input. */
	readonly stdin?: string;
	/** A person answers. */
	readonly isTerminal?: boolean;
	/** Default: one that stands still. */
	readonly clock?: Clock;
}

/** A whole configuration, for `environment`. */
export const playedEnvironment = {
	POCKAFFE_KAFKA_BROKERS: "127.0.0.1:1",
	POCKAFFE_KAFKA_GROUP: "ours",
	POCKAFFE_KAFKA_TOPICS: "orders,payments",
	POCKAFFE_HANDLER_MODULE: "pockaffe:json",
	POCKAFFE_DATABASE_URL: "postgres://u@127.0.0.1:1/d",
	POCKAFFE_TABLES: '{"events":{"columns":{"name":"text"}}}',
};

/** A command's context, and what it printed so far. */
export function playedContext({
	environment = playedEnvironment,
	cwd = "/nowhere",
	stdin = "",
	isTerminal = false,
	clock = new ManualClock(),
}: Played = {}) {
	const [stdout, stderr] = [new PassThrough(), new PassThrough()];
	const streams = { stdout: "", stderr: "" };
	// Read as it comes: a command waits for a slow reader.
	stdout.setEncoding("utf8").on("data", (text: string) => {
		streams.stdout += text;
	});
	stderr.setEncoding("utf8").on("data", (text: string) => {
		streams.stderr += text;
	});
	let exit = 0;
	const context: CommandContext = {
		...{ environment, cwd, stdout, stderr, clock, version: "1.2.3" },
		stdin: Object.assign(Readable.from([Buffer.from(stdin)]), { isTTY: isTerminal }),
		interrupted: new AbortController().signal,
		exit: (code) => (exit = code),
	};
	const said = async () => {
		await new Promise((resolve) => setImmediate(resolve));
		return { code: exit, ...streams };
	};
	return { context, said };
}

/** Runs it to its end. */
export async function playedCommand(args: readonly string[], played: Played = {}) {
	const { context, said } = playedContext(played);
	const code = await runProgram(args, context);
	const { code: exit, ...streams } = await said();
	return { code: code || exit, ...streams };
}

/** Kafka as a command sees it. `logs`: low and high of each partition of each topic. */
export interface PlayedKafka {
	logs: Record<string, readonly (readonly [low: number, high: number])[]>;
	committed: Record<string, number>;
	members: readonly MemberDescription[] | null;
	state: string;
	ids: Record<string, string>;
	/** The first offset of a time, by partition; absent: none. */
	times: Record<string, number>;
	/** What a commit meets. */
	refusal: Error | null;
	/** Told of each offset that is committed: `orders/0 7`. */
	told: (commit: string) => void;
	/** Whose offsets were asked for, by connection. */
	readonly groups: (string | undefined)[];
}

/** Every connection of a command meets this Kafka. */
export function playKafka(over: Partial<PlayedKafka> = {}): PlayedKafka {
	const kafka: PlayedKafka = {
		...{ logs: { orders: [[10, 90]] }, committed: {}, members: [], state: "Empty", ids: {}, times: {}, refusal: null },
		...{ told: () => {}, groups: [] },
		...over,
	};
	const bounds = ({ topic, partition }: TopicPartition) => kafka.logs[topic]?.[partition] as readonly [number, number];
	const client = {
		topicIds: async (topics: readonly string[]) => new Map(topics.map((topic) => [topic, kafka.ids[topic] ?? null])),
		watermarks: async (place: TopicPartition) => ({ low: bounds(place)[0], high: bounds(place)[1] }),
		committed: async (places: readonly TopicPartition[]) =>
			places.map(({ topic, partition }) => ({ topic, partition, offset: kafka.committed[partitionName({ topic, partition })] ?? null })),
		offsetForTime: async (place: TopicPartition) => kafka.times[partitionName(place)] ?? null,
		group: async () => (kafka.members === null ? null : { state: kafka.state, members: kafka.members }),
		commit: async (offsets: readonly (TopicPartition & { offset: number })[]) => {
			if (kafka.refusal) throw kafka.refusal;
			for (const each of offsets) {
				kafka.told(`${partitionName(each)} ${each.offset}`);
				kafka.committed[partitionName(each)] = each.offset;
			}
		},
		close: async () => {},
	};
	vi.spyOn(ClusterInspector, "connect").mockImplementation(async (settings, _, group) => {
		kafka.groups.push(group);
		const topics = Object.entries(kafka.logs).map(([name, partitions]) => ({
			name,
			partitions: partitions.map((_, id) => ({ id, leader: id + 1, replicas: [id + 1, id + 2], isrs: [id + 2] })),
		}));
		const Inspector = ClusterInspector as unknown as new (...parts: unknown[]) => ClusterInspector;
		return new Inspector(client, settings, { brokers: [], topics });
	});
	return kafka;
}

/** A member of a group with these partitions. */
export function member(name: string, ...partitions: readonly (readonly [topic: string, partition: number])[]): MemberDescription {
	return {
		...{ clientId: `client-${name}`, instanceId: "", memberId: `member-${name}`, host: `/${name}` },
		partitions: partitions.map(([topic, partition]) => ({ topic, partition })),
	};
}

/** Daemons that answer, by port; an answer with `error` has the status of a refusal. Returns what each POST asked for, in order. */
export function playDaemons(
	answers: Record<string, (method: string, path: string) => unknown>,
): { port: string; path: string; body: unknown }[] {
	const posted: { port: string; path: string; body: unknown }[] = [];
	vi.stubGlobal("fetch", async (url: URL, { method = "GET", body = "null" } = {}) => {
		const answer = answers[url.port];
		if (!answer) throw new TypeError("fetch failed", { cause: new Error("refused") });
		if (method === "POST") posted.push({ port: url.port, path: url.pathname, body: JSON.parse(body) });
		const said = answer(method, url.pathname);
		const isRefusal = typeof said === "object" && said !== null && "error" in said;
		return Response.json(said, { status: isRefusal ? 409 : 200 });
	});
	return posted;
}
