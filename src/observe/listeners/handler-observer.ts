/** Different versions of the handler run at the same time if its file changed and only some threads have loaded it since. */
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { ObserverParts } from "./observer-parts.ts";

/** A partition, and the hash of the handler's files that its thread has loaded; null before. */
export interface HandlerOfPartition extends TopicPartition {
	readonly handlerHash: string | null;
}

/** Reports when partitions run different versions of the handler, and when they don't any more. */
export class HandlerObserver {
	readonly #logger: ObserverParts["logger"];
	readonly #module: string;
	readonly #running: () => readonly HandlerOfPartition[];
	/** The hashes of the last mixture that was reported. */
	#told = "";

	constructor(logger: ObserverParts["logger"], module: string, running: () => readonly HandlerOfPartition[]) {
		this.#logger = logger;
		this.#module = module;
		this.#running = running;
	}

	/** The version that all partitions run; null if none has loaded it, or they run different ones. */
	get only(): string | null {
		const [first, ...others] = this.#byHash().keys();
		return others.length === 0 ? (first ?? null) : null;
	}

	get mixed(): boolean {
		return this.#byHash().size > 1;
	}

	/** A thread has loaded the handler. Each mixture is reported once, and so is its end. */
	started(): void {
		const byHash = this.#byHash();
		const hashes = [...byHash.keys()].sort().join();
		if (byHash.size > 1 && hashes !== this.#told) {
			const which = [...byHash].map(([hash, names]) => `${hash} at ${names.join(", ")}`).join("; ");
			const advice = "the others load it when their threads start again: restart the daemon, or each partition (pockaffe restart)";
			const fields = { module: this.#module, versions: Object.fromEntries(byHash) };
			this.#logger.warn(fields, `${this.#module} changed on disk, and partitions run different versions of it: ${which}; ${advice}`);
			this.#told = hashes;
		} else if (byHash.size === 1 && this.#told !== "") {
			this.#logger.info(
				{ module: this.#module, version: hashes },
				`all partitions run the same version of ${this.#module} again: ${hashes}`,
			);
			this.#told = "";
		}
	}

	#byHash(): Map<string, string[]> {
		const byHash = new Map<string, string[]>();
		for (const { handlerHash, ...partition } of this.#running()) {
			if (handlerHash !== null) byHash.set(handlerHash, [...(byHash.get(handlerHash) ?? []), partitionName(partition)]);
		}
		return byHash;
	}
}
