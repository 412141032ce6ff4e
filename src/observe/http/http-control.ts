/**
 * Control over HTTP: pause, resume and restart a partition, skip a message, set offsets, drain. Only with `http.admin`, and with the token
 * if one is set. Functions passed in do the work.
 */
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { LONGEST_WHY, type SkipOutcome } from "../../core/messages/skip-outcome.ts";
import type { OffsetsSetOutcome, WantedOffset } from "../../core/offsets/set-offset.ts";
import { bringsToken } from "./bearer-token.ts";
import { type HttpAnswer, type HttpRequest, json, NEEDS_TOKEN, refusal, unauthorized } from "./http-answer.ts";

/** What may be done to a partition. */
const partitionActions = ["pause", "resume", "restart"] as const;
export type PartitionAction = (typeof partitionActions)[number];

/** Maximum characters of a request's id. */
const LONGEST_ID = 100;

/** The functions that do the work. */
export interface HttpControl {
	/** False if the partition isn't assigned here. */
	readonly control: (partition: TopicPartition, action: PartitionAction) => boolean;
	/** Null if the partition isn't assigned here. */
	readonly skip: (partition: TopicPartition, offset: number, why: string) => Promise<SkipOutcome | null>;
	readonly setOffsets: (id: string, wanted: readonly WantedOffset[]) => Promise<OffsetsSetOutcome>;
	readonly drain: () => void;
}

/** True if the request is for a path of these. */
export function isControl({ path }: HttpRequest): boolean {
	return path === "/drain" || path === "/offsets" || path.startsWith("/partitions/");
}

/** Carries out a request for one of these paths; null if there is no such path. `token`: the bearer token; empty: none is needed. */
export async function controlRoute(request: HttpRequest, control: HttpControl, token: string): Promise<HttpAnswer | null> {
	const run = routeOf(request, control);
	return run && (refusedTo(request, token) ?? (await run()));
}

function routeOf(request: HttpRequest, control: HttpControl): (() => HttpAnswer | Promise<HttpAnswer>) | null {
	if (request.path === "/offsets") return () => setOffsets(request, control);
	if (request.path === "/drain") {
		return () => {
			control.drain();
			return json({ action: "drain" }, { status: 202 });
		};
	}
	const [, topic, number, action, ...rest] = request.parts ?? [];
	if (topic === undefined || number === undefined || action === undefined || rest.length > 0) return null;
	const partition = { topic, partition: /^\d+$/.test(number) ? Number(number) : null };
	return action === "skip" ? () => skip(partition, request, control) : () => act(partition, action, control);
}

function refusedTo({ headers }: HttpRequest, token: string): HttpAnswer | null {
	// Only browsers send Origin: it names the web page that asks.
	if (headers.origin !== undefined) return refusal(403, "forbidden_origin", "requests of web pages are refused");
	if (token === "" || bringsToken(headers.authorization, token)) return null;
	return unauthorized(NEEDS_TOKEN);
}

/** A partition as the path names it; null: that is no number. */
interface NamedPartition {
	readonly topic: string;
	readonly partition: number | null;
}

async function skip({ topic, partition: number }: NamedPartition, request: HttpRequest, control: HttpControl): Promise<HttpAnswer> {
	const { offset, why } = fieldsOf(await request.json());
	if (number === null || !isOffset(offset) || typeof why !== "string" || why.length > LONGEST_WHY) {
		const message = `send JSON: {"offset": 42, "why": "who wants it, and why (up to ${LONGEST_WHY} characters)"}`;
		return refusal(400, "bad_request", message);
	}
	const partition = { topic, partition: number };
	const found = await control.skip(partition, offset, why);
	if (!found || found.outcome === "released") return notAssigned(partition);
	const answer = { ...partition, offset, ...found };
	if (found.outcome === "skipped") return json(answer);
	if (found.outcome === "asked") return json(answer, { status: 202 });
	return refusal(409, found.outcome, skipWords(answer));
}

function act({ topic, partition }: NamedPartition, action: string, { control }: HttpControl): HttpAnswer {
	if (partition === null || !isAction(action))
		return refusal(404, "not_found", `POST /partitions/{topic}/{partition}/${partitionActions.join("|")}`);
	return control({ topic, partition }, action) ? json({ topic, partition, action }) : notAssigned({ topic, partition });
}

async function setOffsets(request: HttpRequest, control: HttpControl): Promise<HttpAnswer> {
	const { id, offsets } = fieldsOf(await request.json());
	if (typeof id !== "string" || id === "" || id.length > LONGEST_ID || !Array.isArray(offsets) || !offsets.every(isWanted))
		return refusal(400, "bad_request", 'send JSON: {"id": "a new one", "offsets": [{"topic": "t", "partition": 0, "to": 42}]}');
	const found = await control.setOffsets(id, offsets);
	if (found.outcome === "set") return json(found);
	if (found.outcome === "asked") return json(found, { status: 202 });
	if (found.outcome === "refused") return refusal(409, "refused", found.why);
	return refusal(409, "busy", "offsets are being set by somebody else just now; nothing was changed");
}

function fieldsOf(body: unknown): Readonly<Record<string, unknown>> {
	return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
}

function isAction(action: string): action is PartitionAction {
	return (partitionActions as readonly string[]).includes(action);
}

function isOffset(number: unknown): number is number {
	return Number.isSafeInteger(number) && (number as number) >= 0;
}

function isWanted(each: unknown): each is WantedOffset {
	const { topic, partition, to } = (each ?? {}) as Partial<Record<keyof WantedOffset, unknown>>;
	return typeof topic === "string" && [partition, to].every(isOffset);
}

function notAssigned(partition: TopicPartition): HttpAnswer {
	return refusal(404, "not_assigned", `${partitionName(partition)} is not assigned to this member`);
}

function skipWords({
	topic,
	partition,
	offset,
	outcome,
	position,
	isPaused,
}: SkipOutcome & TopicPartition & { readonly offset: number }): string {
	const what = `${topic}/${partition} offset ${offset}`;
	switch (outcome) {
		case "ahead":
			if (isPaused)
				return `${what} was not received yet, and the partition is paused: resume it, and skip the message when it stands at it`;
			return `${what} was not received yet: the next one is ${position}. Skip it when the partition stands at it`;
		case "open":
			return `${what} was handled: its rows or its letter are under way, and can't be taken back`;
		default:
			return `${what} is finished already, or is no message (compacted, or a transaction's mark)`;
	}
}
