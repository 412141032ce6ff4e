/**
 * Whether this member is in touch with the group's coordinator, and what to report about it. Its sources are the client's statistics
 * (membership.ts), errors, lost sessions and rebalances. Statistics come only every few seconds, so a rebalance counts as soon as it is
 * known. Pure bookkeeping.
 */
import { type Membership, readMembership } from "./membership.ts";

/** What is reported: whether it is a member, and why not. */
export interface MembershipNews {
	readonly member: boolean;
	readonly message: string;
}

const STEADY = "up/steady";
/** librdkafka waits for the answer to an assignment. */
const ANSWERING = "up/wait-assign-call";

/** Follows the member's contact with its coordinator. One per consumer, over all its clients. */
export class CoordinatorContact {
	readonly #brokers: readonly string[];
	#membership: Membership = { state: "connecting", kind: "joining", message: "", stranded: false };
	/** The coordinator was away, and the member has not been steady since. */
	#isLost = false;
	/** An assignment was answered since the last statistics. */
	#hasJustJoined = false;
	/** The reason, if a broker was found and refused the client, or is not trusted. */
	#cause: string | null = null;

	/** `brokers` is `kafka.brokers`. */
	constructor(brokers: readonly string[]) {
		this.#brokers = brokers;
	}

	/** The member's state in the group, in librdkafka's words once it has joined. */
	get state(): string {
		return this.#membership.state;
	}

	/** True if the client waits at an address that the coordinator has left, and would wait for ever. */
	get isStranded(): boolean {
		return this.#membership.stranded;
	}

	/** True if the coordinator was away and the member has not been steady since. */
	get isLost(): boolean {
		return this.#isLost;
	}

	/** Why the coordinator can't be reached; null if it can. */
	get away(): string | null {
		return this.#membership.kind === "away" ? this.#membership.message : null;
	}

	/** A new client takes the old one's place. */
	replaced(): void {
		this.#membership = { ...this.#membership, state: "connecting", stranded: false };
	}

	/** The client has subscribed. */
	joining(): void {
		this.#membership = { ...this.#membership, state: "joining" };
	}

	/** An assignment was answered: it came from the coordinator. */
	joined(): void {
		this.#membership = { state: STEADY, kind: "steady", message: "", stranded: false };
		this.#hasJustJoined = true;
	}

	/** Partitions were revoked, and another assignment will follow. */
	rebalancing(): void {
		this.#membership = { ...this.#membership, state: "up/rebalancing" };
	}

	/** The client failed at a broker; `cause` is what to correct, if known. */
	failed(cause: string | null): void {
		this.#cause = cause;
	}

	/** A member that had no partitions was given some. */
	assigned(): void {
		this.#isLost = false;
	}

	/** The coordinator did not answer for a session of `timeoutMs`. */
	lost(timeoutMs: number): MembershipNews {
		this.#isLost = true;
		this.#membership = { ...this.#membership, state: "lost" };
		return { member: false, message: `the group's coordinator did not answer for a session (${timeoutMs} ms)` };
	}

	/**
	 * Takes the client's statistics; null if they say nothing about the group. `isSteady`: it is a member that has had an assignment. A
	 * rebalance by itself is not reported. One after the coordinator was away is: until it ends, which may take a session, the member is not
	 * back.
	 */
	read(json: string, hasRebalanced: boolean): { readonly isSteady: boolean; readonly news: MembershipNews | null } | null {
		const membership = readMembership(json, this.#brokers);
		if (!membership) return null;
		// The first statistics that arrive after the answer to an assignment may have been made before it.
		const isOutdated = membership.state === ANSWERING && this.#hasJustJoined;
		this.#hasJustJoined = false;
		if (!isOutdated) this.#membership = membership;
		const { kind, message } = membership;
		if (kind === "away") this.#isLost = true;
		if (kind === "steady") {
			this.#isLost = false;
			this.#cause = null;
		}
		const isSteady = kind === "steady" && hasRebalanced;
		if (this.#isLost) return { isSteady, news: { member: false, message: this.#cause ? `${message}; ${this.#cause}` : message } };
		return { isSteady, news: isSteady ? { member: true, message } : null };
	}
}
