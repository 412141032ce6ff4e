/**
 * Control over HTTP: pause, resume and restart of a partition, and a drain. Only where `http.admin` says so; with a token where one is
 * set. What is asked for is done by functions handed in.
 */
import type { Context, Hono } from "hono";
import type { TopicPartition } from "../core/message.ts";
import { bringsToken } from "./bearer-token.ts";

/** What may be done to a partition. */
export const partitionActions = ["pause", "resume", "restart"] as const;
export type PartitionAction = (typeof partitionActions)[number];

/** What is called. */
export interface HttpControl {
	/** False where the partition isn't assigned here. */
	readonly control: (partition: TopicPartition, action: PartitionAction) => boolean;
	readonly drain: () => void;
}

/** Puts the routes on `app`. `token`: the bearer token; empty: none is needed. */
export function addControl(app: Hono, { control, drain }: HttpControl, token: string): void {
	const permitted = (context: Context) => {
		// A browser names the page that asks; nobody else does.
		if (context.req.header("origin") !== undefined) return refusal(context, 403, "forbidden_origin", "not from a web page");
		if (token === "" || bringsToken(context.req.header("authorization"), token)) return null;
		context.header("WWW-Authenticate", "Bearer");
		return refusal(context, 401, "unauthorized", "Authorization: Bearer <http.token> is needed");
	};
	app.post("/partitions/:topic/:partition/:action", (context) => {
		const refused = permitted(context);
		if (refused) return refused;
		const { topic, partition: number, action } = context.req.param();
		const partition = Number(number);
		const isKnown = (partitionActions as readonly string[]).includes(action);
		if (!isKnown || !/^\d+$/.test(number))
			return refusal(context, 404, "not_found", `POST /partitions/{topic}/{partition}/${partitionActions.join("|")}`);
		if (!control({ topic, partition }, action as PartitionAction)) {
			return refusal(context, 404, "not_assigned", `${topic}/${partition} is not assigned to this member`);
		}
		return context.json({ topic, partition, action });
	});
	app.post("/drain", (context) => {
		const refused = permitted(context);
		if (refused) return refused;
		drain();
		return context.json({ action: "drain" }, 202);
	});
}

function refusal(context: Context, status: 401 | 403 | 404, code: string, message: string): Response {
	return context.json({ error: { code, message } }, status);
}
