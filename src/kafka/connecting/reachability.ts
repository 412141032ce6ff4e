/**
 * Checks whether the brokers' advertised addresses can be reached from here: a client finds the cluster at one address and works with
 * others.
 */
import { connect } from "node:net";
import type { ClusterMetadata } from "./connect.ts";

/** A broker whose advertised address does not answer, and why: ECONNREFUSED, ENOTFOUND, `no answer within … ms`, … */
export interface UnreachableBroker {
	readonly id: number;
	readonly address: string;
	readonly why: string;
}

const TIMEOUT_MS = 3_000;

/** Connects to each address and sends nothing. Never rejects. */
export async function unreachableBrokers(brokers: ClusterMetadata["brokers"]): Promise<UnreachableBroker[]> {
	const tried = await Promise.all(
		brokers.map(async ({ id, host, port }) => ({ id, address: `${host}:${port}`, why: await reasonOf(host, port) })),
	);
	return tried.flatMap(({ why, ...broker }) => (why === null ? [] : [{ ...broker, why }]));
}

function reasonOf(host: string, port: number): Promise<string | null> {
	return new Promise((resolve) => {
		const socket = connect({ host, port, timeout: TIMEOUT_MS });
		const end = (reason: string | null) => {
			socket.destroy();
			resolve(reason);
		};
		socket.once("connect", () => end(null));
		socket.once("timeout", () => end(`no answer within ${TIMEOUT_MS} ms`));
		socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
	});
}
