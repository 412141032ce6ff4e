/**
 * Control over HTTP: pause, resume and restart a partition, skip a message, set offsets, drain. Only with `http.admin`, and with the token
 * if one is set. Functions passed in do the work.
 */
import type { Context, Hono } from "hono";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { LONGEST_WHY, type SkipOutcome } from "../../core/messages/skip-outcome.ts";
import type { OffsetsSetOutcome, WantedOffset } from "../../core/offsets/set-offset.ts";
import { bringsToken } from "./bearer-token.ts";

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

/** Adds the routes to `app`. `token`: the bearer token; empty: none is needed. */
export function addControl(app: Hono, { control, skip, setOffsets, drain }: HttpControl, token: string): void {
	const permitted = (context: Context) => {
		// Only browsers send Origin: it names the web page that asks.
		if (context.req.header("origin") !== undefined) return refusal(context, 403, "forbidden_origin", "requests of web pages are refused");
		if (token === "" || bringsToken(context.req.header("authorization"), token)) return null;
		context.header("WWW-Authenticate", "Bearer");
		return refusal(context, 401, "unauthorized", "Authorization: Bearer <http.token> is needed");
	};
	app.post("/partitions/:topic/:partition/skip", async (context) => {
		const refused = permitted(context);
		if (refused) return refused;
		const { topic, partition: number } = context.req.param();
		const { offset, why } = (await context.req.json().catch(() => null)) ?? {};
		if (!/^\d+$/.test(number) || !Number.isSafeInteger(offset) || offset < 0 || typeof why !== "string" || why.length > LONGEST_WHY)
			return refusal(
				context,
				400,
				"bad_request",
				`send JSON: {"offset": 42, "why": "who wants it, and why (up to ${LONGEST_WHY} characters)"}`,
			);
		const partition = { topic, partition: Number(number) };
		const found = await skip(partition, offset, why);
		if (!found || found.outcome === "released") return notAssigned(context, partition);
		const answer = { ...partition, offset, ...found };
		if (found.outcome === "skipped") return context.json(answer);
		if (found.outcome === "asked") return context.json(answer, 202);
		return refusal(context, 409, found.outcome, skipWords(answer));
	});
	app.post("/partitions/:topic/:partition/:action", (context) => {
		const refused = permitted(context);
		if (refused) return refused;
		const { topic, partition: number, action } = context.req.param();
		const partition = Number(number);
		const isKnown = (partitionActions as readonly string[]).includes(action);
		if (!isKnown || !/^\d+$/.test(number))
			return refusal(context, 404, "not_found", `POST /partitions/{topic}/{partition}/${partitionActions.join("|")}`);
		if (!control({ topic, partition }, action as PartitionAction)) {
			return notAssigned(context, { topic, partition });
		}
		return context.json({ topic, partition, action });
	});
	app.post("/offsets", async (context) => {
		const refused = permitted(context);
		if (refused) return refused;
		const { id, offsets } = (await context.req.json().catch(() => null)) ?? {};
		if (typeof id !== "string" || id === "" || id.length > LONGEST_ID || !Array.isArray(offsets) || !offsets.every(isWanted))
			return refusal(context, 400, "bad_request", 'send JSON: {"id": "a new one", "offsets": [{"topic": "t", "partition": 0, "to": 42}]}');
		const found = await setOffsets(id, offsets);
		if (found.outcome === "set") return context.json(found);
		if (found.outcome === "asked") return context.json(found, 202);
		if (found.outcome === "refused") return refusal(context, 409, "refused", found.why);
		return refusal(context, 409, "busy", "offsets are being set by somebody else just now; nothing was changed");
	});
	app.post("/drain", (context) => {
		const refused = permitted(context);
		if (refused) return refused;
		drain();
		return context.json({ action: "drain" }, 202);
	});
}

function isWanted(each: unknown): each is WantedOffset {
	const { topic, partition, to } = (each ?? {}) as Partial<Record<keyof WantedOffset, unknown>>;
	return typeof topic === "string" && [partition, to].every((number) => Number.isSafeInteger(number) && (number as number) >= 0);
}

function notAssigned(context: Context, partition: TopicPartition): Response {
	return refusal(context, 404, "not_assigned", `${partitionName(partition)} is not assigned to this member`);
}

function skipWords({ topic, partition, offset, outcome, position }: SkipOutcome & TopicPartition & { readonly offset: number }): string {
	const what = `${topic}/${partition} offset ${offset}`;
	switch (outcome) {
		case "ahead":
			return `${what} was not received yet: the next one is ${position}. Skip it when the partition stands at it`;
		case "open":
			return `${what} was handled: its rows or its letter are under way, and can't be taken back`;
		default:
			return `${what} is finished already, or is no message (compacted, or a transaction's mark)`;
	}
}

function refusal(context: Context, status: 400 | 401 | 403 | 404 | 409, code: string, message: string): Response {
	return context.json({ error: { code, message } }, status);
}
