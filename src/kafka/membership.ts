/**
 * Whether the client is in touch with its group's coordinator, read from librdkafka's statistics: a group whose coordinator is away gets
 * no callback. Says which address is missing, and where brokers told a client to connect to something that it can't reach. Pure.
 */

/**
 * What the statistics say; `state` in librdkafka's words. `away`: no way to the coordinator. `joining`: in touch, and between two
 * generations, as in any rebalance. `message` says so.
 */
export interface Membership {
	readonly state: string;
	readonly kind: "away" | "joining" | "steady";
	readonly message: string;
}

interface BrokerStatistics {
	readonly nodeid: number;
	/** `host:port`; of the logical broker `GroupCoordinator` the address of the broker behind it, empty where none is known. */
	readonly nodename: string;
	readonly source: string;
	readonly state: string;
}

interface Statistics {
	readonly cgrp?: { readonly state: string; readonly join_state: string };
	readonly brokers?: Readonly<Record<string, BrokerStatistics>>;
}

/** Connections are made where they are needed: one in another state was never tried. */
const TRIED: readonly string[] = ["DOWN", "TRY_CONNECT", "CONNECT", "SSL_HANDSHAKE", "AUTH_LEGACY", "AUTH_HANDSHAKE", "AUTH_REQ"];

/** null where the statistics know of no group. `configured` is `kafka.brokers`. */
export function readMembership(json: string, configured: readonly string[]): Membership | null {
	const { cgrp, brokers = {} } = JSON.parse(json) as Statistics;
	if (!cgrp) return null;
	const state = `${cgrp.state}/${cgrp.join_state}`;
	if (cgrp.state === "up" && cgrp.join_state === "steady") return { state, kind: "steady", message: "" };
	if (cgrp.state === "up") return { state, kind: "joining", message: `the group is being joined (${state})` };
	return { state, kind: "away", message: `the group's coordinator is away (${state})${explain(Object.values(brokers), configured)}` };
}

function explain(brokers: readonly BrokerStatistics[], configured: readonly string[]): string {
	const coordinator = brokers.find(({ source, nodename, state }) => source === "logical" && nodename !== "" && state !== "UP");
	const known = brokers.filter(({ nodeid, source }) => nodeid >= 0 && source !== "logical");
	const missing = known.filter(({ state }) => TRIED.includes(state));
	const addresses = [...new Set([...(coordinator ? [coordinator] : []), ...missing].map(({ nodename }) => nodename))];
	if (addresses.length === 0) return "";
	const said = `: ${addresses.join(", ")} can't be reached`;
	if (known.some(({ state }) => state === "UP") || addresses.some((address) => configured.includes(address))) return said;
	return `${said}, which is what the brokers found at ${configured.join(",")} tell clients to connect to: where those run, look at their advertised.listeners`;
}
