/**
 * A thread and the partitions that share it. It runs one call at a time; calls wait for their turn in the order in which they were asked
 * for, so partitions take turns. Ending a share goes first, so a drain waits for one turn at most.
 *
 * When the thread dies, all its shares die. If a call ran, its partition is charged, and the others are told `shared`. If none ran (a timer
 * of the handler threw between two calls), any partition may be the cause. All of them are charged then: otherwise a thread that dies like
 * this again and again would be restarted for ever without back-off. If the module did not load, all partitions that wait to start fail.
 *
 * A partition alone on its thread is the case of one share: nothing waits, and nobody else dies.
 *
 * Step 4 of a message's way (docs/architecture.md).
 */
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import {
	type BatchOutcome,
	deathOf,
	type ExitReason,
	type HandlerFailure,
	type RunReply,
	type StartReply,
	type StateRule,
	type ThreadDeath,
	ThreadDiedError,
	type ThreadProgress,
} from "./handler-thread.ts";

/** The thread itself: a real one (worker-thread.ts), a simulated one, or a test's. At most one call is outstanding. */
export interface ThreadHost {
	/** Node's id; null before it runs. */
	readonly id: number | null;
	/** How it died; null while it lives. It may be dead although a start was answered. */
	readonly death: ThreadDeath | null;
	/** Loads the module, before the first start; resolves to why it can't be loaded, or null. */
	load(): Promise<HandlerFailure | null>;
	/** The calls of HandlerThread, each for one share, by number. */
	start(share: number, partition: TopicPartition): Promise<StartReply>;
	run(
		share: number,
		batch: PackedBatch,
		from: number,
		to: number,
		state: StateRule,
		handled: (part: BatchOutcome) => void,
	): Promise<RunReply>;
	terminate(share: number, reason: ExitReason): Promise<HandlerFailure | null>;
	/** Drops the share's state without calling the handler. */
	drop(share: number): Promise<void>;
	/** Whether other partitions wait. While they do, a long run ends early. */
	othersWait(doWait: boolean): void;
	/** The running run begins no more calls. */
	cutShort(): void;
	progress(): ThreadProgress;
	/** Kills the thread. `partition`: whose call runs. Resolves when it is gone, or after a grace period if it can't be ended. */
	kill(death?: ThreadDeath, partition?: TopicPartition | null): Promise<void>;
	onIdleDeath(listener: (death: ThreadDeath) => void): void;
}

/** A partition's share, as the thread knows it. */
export interface Share {
	readonly number: number;
	readonly partition: TopicPartition;
	/** Its call ended or was cut off; `progress` is the thread's progress at that time. */
	stoodAt(progress: ThreadProgress): void;
	/**
	 * Its thread is gone, or it left the thread. Called once, before a waiting call of the share is rejected. `isIdle`: no call was waiting
	 * or running.
	 */
	died(death: ThreadDeath, isIdle: boolean): void;
}

/** A call that waits or runs. */
interface Turn {
	readonly share: Share;
	readonly type: "start" | "run" | "terminate" | "drop";
	readonly call: (host: ThreadHost) => Promise<unknown>;
	/** Set if the call should not begin any more, or end soon. A run that never began is answered with this reply. */
	insteadOf: RunReply | null;
	readonly resolve: (reply: never) => void;
	readonly reject: (error: Error) => void;
}

/** A thread ended for partitions that had no part in its end. */
export interface SharedDeath {
	/** The partition whose call ended it. Null: it was replaced on purpose. */
	readonly partition: TopicPartition | null;
	readonly death: ThreadDeath;
	readonly others: readonly TopicPartition[];
}

/** The events of a shared thread. */
export interface SharedThreadListener {
	/** The thread ended: no share can join any more. */
	ended(): void;
	/** The last share leaves without a fault: true if the thread should live on without a share. */
	keeps(): boolean;
	endedForOthers(fact: SharedDeath): void;
}

const wasEnded: ThreadDeath = { reason: "exit", message: "the thread was ended", stack: null };
const wasReplaced: ThreadDeath = { reason: "shared", message: "the thread was replaced by a new one", stack: null };

/**
 * One thread and its shares: decides whose turn it is, and who is charged when the thread dies. `before`: resolves when the previous thread
 * of this place is gone.
 */
export class SharedThread {
	/** Resolves when the thread has ended, or is left behind because it can't be ended. */
	readonly gone: Promise<void>;
	readonly #host: ThreadHost;
	readonly #listener: SharedThreadListener;
	readonly #before: Promise<unknown>;
	readonly #shares = new Set<Share>();
	/** Shares that have, or may have, a state in the thread. */
	readonly #begun = new Set<Share>();
	/** Numbers of the shares that have had a run. */
	readonly #ran = new Set<number>();
	/** Shares whose running call is no longer needed. */
	readonly #abandoned = new Set<Share>();
	#waiting: Turn[] = [];
	#current: Turn | null = null;
	#isEnded = false;
	#isRetiring = false;
	#resolveGone: (gone: Promise<void>) => void = () => {};

	constructor(host: ThreadHost, before: Promise<unknown>, listener: SharedThreadListener) {
		this.#host = host;
		this.#before = before;
		this.#listener = listener;
		this.gone = new Promise((resolve) => {
			this.#resolveGone = resolve;
		});
		host.onIdleDeath((death) => this.#end(death, null));
	}

	get id(): number | null {
		return this.#host.id;
	}

	/** The thread's progress while this share's call runs, else null. */
	progressOf(share: Share): ThreadProgress | null {
		return this.#current?.share === share ? this.#host.progress() : null;
	}

	/** True if other shares have had a run in this thread, including shares that have left. */
	hadOthers(share: Share): boolean {
		return this.#ran.size > (this.#ran.has(share.number) ? 1 : 0);
	}

	/** Adds a share. */
	join(share: Share): void {
		this.#shares.add(share);
	}

	/** Makes the call when it is the share's turn. Rejects with ThreadDiedError if the thread dies. */
	ask<T>(share: Share, type: Turn["type"], call: (host: ThreadHost) => Promise<T>): Promise<T> {
		return new Promise((resolve, reject) => {
			const turn: Turn = { share, type, call, insteadOf: null, resolve, reject };
			const isLast = type === "terminate" || type === "drop";
			const firstOther = this.#waiting.findIndex((each) => each.type === "start" || each.type === "run");
			if (isLast && firstOther >= 0) this.#waiting.splice(firstOther, 0, turn);
			else this.#waiting.push(turn);
			this.#tellAwaited();
			this.#next();
		});
	}

	/** Ends the share's run soon. A waiting run is answered with `reply` and never begins; a running one ends after the calls under way. */
	cutShort(share: Share, reply: RunReply): void {
		const turn = this.#waiting.find((each) => each.share === share && each.type === "run");
		if (!turn) {
			if (this.#current?.share !== share || this.#current.type !== "run") return;
			this.#current.insteadOf = reply;
			this.#host.cutShort();
			return;
		}
		this.#waiting = this.#waiting.filter((each) => each !== turn);
		this.#tellAwaited();
		turn.resolve(reply as never);
	}

	/**
	 * Ends the share. If its call is the one that runs, or if it is the last share, the thread ends with it. Resolves when whatever ends is
	 * gone. `death`: what was found about the running call; null if the share is just not needed any more.
	 */
	async leave(share: Share, death: ThreadDeath | null): Promise<void> {
		if (this.#isEnded) return this.gone;
		if (this.#current?.share === share && this.#shares.has(share)) return this.#end(death ?? wasEnded, share, death !== null);
		if (!this.#shares.delete(share)) return;
		const mine = this.#waiting.filter((turn) => turn.share === share);
		this.#waiting = this.#waiting.filter((turn) => turn.share !== share);
		share.died(death ?? wasEnded, false);
		for (const turn of mine) turn.reject(new ThreadDiedError(death ?? wasEnded));
		if (this.#shares.size === 0) return this.#end(wasEnded, share);
		if (this.#begun.delete(share)) this.ask(share, "drop", (host) => host.drop(share.number)).catch(() => {});
		this.#endIfAbandoned();
	}

	/** The share ends without a fault: its state is terminated, and none of its calls is left. */
	async rest(share: Share): Promise<void> {
		const isIdle = this.#shares.size === 1 && this.#current === null && this.#waiting.length === 0;
		if (this.#isEnded || this.#isRetiring || !this.#shares.has(share) || !isIdle || !this.#listener.keeps()) return this.leave(share, null);
		this.#shares.delete(share);
	}

	#endIfAbandoned(): void {
		const share = this.#current?.share;
		if (share && this.#abandoned.has(share) && [...this.#begun].every((each) => each === share)) void this.#end(wasEnded, share);
	}

	/**
	 * The share's call is no longer needed: the share leaves, but only after the call has ended if leaving now would cost others their state.
	 */
	abandon(share: Share): void {
		if (this.#waiting.some((turn) => turn.share === share)) void this.leave(share, null);
		if (this.#current?.share === share) this.#abandoned.add(share);
		this.#endIfAbandoned();
	}

	/** Ends the thread for all shares, after the running call. */
	retire(): void {
		this.#isRetiring = true;
		this.#next();
	}

	#next(): void {
		if (this.#current || this.#isEnded) return;
		if (this.#isRetiring) {
			void this.#end(wasReplaced, null);
			return;
		}
		const turn = this.#waiting.shift() ?? null;
		this.#current = turn;
		this.#tellAwaited();
		if (turn) void this.#take(turn);
	}

	async #take(turn: Turn): Promise<void> {
		let reply: unknown;
		if (turn.type === "start") this.#begun.add(turn.share);
		if (turn.type === "run") this.#ran.add(turn.share.number);
		try {
			await this.#before;
			reply = turn.insteadOf ?? (await turn.call(this.#host));
		} catch (error) {
			const { phase, message } = this.#host.progress();
			// The share is also to blame after its call has ended, if the answer did not add up.
			const ran = phase !== "idle" || (turn.type === "run" && message >= 0);
			void this.#end(deathOf(error), ran && turn.type !== "drop" ? turn.share : null, true);
			return;
		}
		if (this.#isEnded) return;
		if (turn.type === "terminate") this.#begun.delete(turn.share);
		turn.share.stoodAt(this.#host.progress());
		this.#abandoned.delete(turn.share);
		this.#current = null;
		turn.resolve(reply as never);
		if (turn.type === "start") this.#started(turn.share, reply as StartReply);
		this.#next();
	}

	/** The result of loading the module holds for every share that waits to start; another thread has to try again. */
	#started(share: Share, reply: StartReply): void {
		if (!reply.ok && reply.failure.kind === "load") {
			const starts = this.#waiting.filter(({ type }) => type === "start");
			this.#waiting = this.#waiting.filter(({ type }) => type !== "start");
			for (const turn of starts) {
				turn.resolve(reply as never);
				this.#shares.delete(turn.share);
				turn.share.died(wasEnded, false);
			}
			void this.#end(wasEnded, share);
		} else if (this.#host.death) void this.#end(this.#host.death, share);
	}

	/**
	 * The thread is dead, or must end. `culprit` null: no share's call ran. `isFound`: the death is the thread's own, or a verdict about the
	 * running call; false if somebody only wants the thread to end.
	 */
	#end(death: ThreadDeath, culprit: Share | null, isFound = false): Promise<void> {
		if (this.#isEnded) return this.gone;
		this.#isEnded = true;
		const progress = this.#host.progress();
		const [alone] = this.#shares.size === 1 ? this.#shares : [];
		this.#resolveGone(this.#host.kill(death, (this.#current?.share ?? alone)?.partition ?? null));
		this.#listener.ended();
		this.#current?.share.stoodAt(progress);
		const turns = [...(this.#current ? [this.#current] : []), ...this.#waiting];
		const others: TopicPartition[] = [];
		for (const share of this.#shares) {
			const turn = turns.find((each) => each.share === share);
			const isAnswered = isFound && progress.phase === "load" && turn?.type === "start";
			const isBystander = culprit !== null && share !== culprit && !isAnswered;
			const its = isBystander ? sharedDeath(death, culprit.partition) : death;
			if (its.reason === "shared") others.push(share.partition);
			share.died(its, turn === undefined && share !== culprit);
			turn?.reject(new ThreadDiedError(its));
		}
		this.#shares.clear();
		this.#waiting = [];
		this.#current = null;
		if (others.length > 0) this.#listener.endedForOthers({ partition: culprit?.partition ?? null, death, others });
		return this.gone;
	}

	#tellAwaited(): void {
		this.#host.othersWait(this.#waiting.length > 0);
	}
}

function sharedDeath({ message }: ThreadDeath, culprit: TopicPartition): ThreadDeath {
	return { reason: "shared", message: `the thread it shares ended at ${partitionName(culprit)}: ${message}`, stack: null };
}
