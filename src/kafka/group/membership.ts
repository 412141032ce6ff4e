/**
 * Reads from librdkafka's statistics whether the client is in touch with its group's coordinator: no callback reports a coordinator that is
 * away. Says which address is missing, and whether brokers sent the client to an address that it can't reach. Pure.
 */

/**
 * What the statistics say; `state` in librdkafka's words. `away`: no connection to the coordinator. `joining`: connected, between two
 * generations, as in any rebalance. `message` says so. `stranded`: the client waits for its coordinator at an address that the cluster has
 * left, and would wait for ever: librdkafka takes a coordinator's new address only together with a new id.
 */
export interface Membership {
	readonly state: string;
	readonly kind: "away" | "joining" | "steady";
	readonly message: string;
	readonly stranded: boolean;
}

interface BrokerStatistics {
	readonly nodeid: number;
	/** `host:port`; for the logical broker `GroupCoordinator` the address of the real broker, empty if not known. */
	readonly nodename: string;
	readonly source: string;
	readonly state: string;
}

interface Statistics {
	readonly cgrp?: { readonly state: string; readonly join_state: string };
	readonly brokers?: Readonly<Record<string, BrokerStatistics>>;
}

/** States of a connection that was tried. Connections are made only when needed: one in another state was never tried. */
const TRIED: readonly string[] = ["DOWN", "TRY_CONNECT", "CONNECT", "SSL_HANDSHAKE", "AUTH_LEGACY", "AUTH_HANDSHAKE", "AUTH_REQ"];

/** Null if the statistics contain no group. `configured` is `kafka.brokers`. */
export function readMembership(json: string, configured: readonly string[]): Membership | null {
	const { cgrp, brokers = {} } = JSON.parse(json) as Statistics;
	if (!cgrp) return null;
	const state = `${cgrp.state}/${cgrp.join_state}`;
	const inTouch = { state, stranded: false };
	if (cgrp.state === "up" && cgrp.join_state === "steady") return { ...inTouch, kind: "steady", message: "" };
	if (cgrp.state === "up") return { ...inTouch, kind: "joining", message: `the group is being joined (${state})` };
	const all = Object.values(brokers);
	const known = all.filter(({ nodeid, source }) => nodeid >= 0 && source !== "logical");
	const coordinator = all.find(({ source, nodename, state: of }) => source === "logical" && nodename !== "" && of !== "UP");
	const isKnown = known.some(({ nodename }) => nodename === coordinator?.nodename);
	const message = `the group's coordinator is away (${state})${explain(known, coordinator, configured)}`;
	return { state, kind: "away", message, stranded: coordinator !== undefined && known.length > 0 && !isKnown };
}

function explain(known: readonly BrokerStatistics[], coordinator: BrokerStatistics | undefined, configured: readonly string[]): string {
	const missing = known.filter(({ state }) => TRIED.includes(state));
	const addresses = [...new Set([...(coordinator ? [coordinator] : []), ...missing].map(({ nodename }) => nodename))];
	if (addresses.length === 0) return "";
	const said = `: ${addresses.join(", ")} can't be reached`;
	if (known.some(({ state }) => state === "UP") || addresses.some((address) => configured.includes(address))) return said;
	return `${said}, an address that the brokers found at ${configured.join(",")} advertise to clients: look at their advertised.listeners`;
}
