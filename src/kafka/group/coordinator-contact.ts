/**
 * Whether this member is in touch with the group's coordinator, from the client's statistics (membership.ts), its errors and its lost
 * sessions: what there is to report of it. Pure bookkeeping.
 */
import { type Membership, readMembership } from "./membership.ts";

/** What is reported: whether it is a member, and why not. */
export interface MembershipNews {
	readonly member: boolean;
	readonly message: string;
}

/** Follows the member's contact with its coordinator. One per consumer, over all its clients. */
export class CoordinatorContact {
	readonly #brokers: readonly string[];
	#membership: Membership = { state: "connecting", kind: "joining", message: "", stranded: false };
	/** The coordinator was away, and the member has not been steady since. */
	#isLost = false;
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

	/** A new client took the old one's place. */
	replaced(): void {
		this.#membership = { ...this.#membership, stranded: false };
	}

	/** The client failed at a broker; `cause` is what to correct, if known. */
	failed(cause: string | null): void {
		this.#cause = cause;
	}

	/** A member with nothing left to lose was given partitions. */
	assigned(): void {
		this.#isLost = false;
	}

	/** The coordinator did not answer for a session of `timeoutMs`. */
	lost(timeoutMs: number): MembershipNews {
		this.#isLost = true;
		return { member: false, message: `the group's coordinator did not answer for a session (${timeoutMs} ms)` };
	}

	/**
	 * Takes the client's statistics; null if they say nothing about the group. `isSteady`: it is a member that has had an assignment. Does
	 * not report a rebalance alone; one after the coordinator was away is part of the way back, and takes as long as a session.
	 */
	read(json: string, hasRebalanced: boolean): { readonly isSteady: boolean; readonly news: MembershipNews | null } | null {
		const membership = readMembership(json, this.#brokers);
		if (!membership) return null;
		this.#membership = membership;
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
