/** A real thread that the test plays, for those who share one: each call waits until the test answers it. */
import type { PackedBatch } from "../../../src/core/messages/packed-batch.ts";
import {
	type HandlerFailure,
	type RunReply,
	type StartReply,
	type ThreadDeath,
	ThreadDiedError,
	type ThreadProgress,
} from "../../../src/worker/thread/handler-thread.ts";
import type { ThreadHost } from "../../../src/worker/thread/shared-thread.ts";
import { nothing } from "./fake-thread.ts";

interface Pending {
	readonly name: string;
	readonly phase: ThreadProgress["phase"];
	resolve(reply: never): void;
	reject(error: Error): void;
}

/** One thread. `calls` names its calls by partition: `start 3`, `run 3`, `terminate 3`, `drop 3`. */
export class FakeHost implements ThreadHost {
	readonly id: number;
	readonly calls: string[] = [];
	death: ThreadDeath | null = null;
	pending: Pending | null = null;
	/** Others wait for their turn. */
	isAwaited = false;
	/** Resolves what `kill` waits for. */
	gone: () => void = () => {};
	/** Kills take until `gone` is called. */
	diesSlowly = false;
	readonly #partitions = new Map<number, number>();
	#progress: ThreadProgress = { calls: 0, phase: "idle", message: -1, running: 0 };
	#idleDeath: (death: ThreadDeath) => void = () => {};
	#ending: Promise<void> | null = null;

	constructor(id: number) {
		this.id = id;
	}

	load(): Promise<HandlerFailure | null> {
		return this.#call("load", 0, "load");
	}

	start(share: number, { partition }: { partition: number }): Promise<StartReply> {
		this.#partitions.set(share, partition);
		return this.#call("start", share, "init");
	}

	run(share: number, _: PackedBatch, from: number, to: number): Promise<RunReply> {
		return this.#call("run", share, "handle", [from, to]);
	}

	terminate(share: number): Promise<HandlerFailure | null> {
		return this.#call("terminate", share, "terminate");
	}

	async drop(share: number): Promise<void> {
		this.calls.push(`drop ${this.#partitions.get(share)}`);
	}

	othersWait(doWait: boolean): void {
		this.isAwaited = doWait;
	}

	cutShort(): void {
		this.calls.push("cut short");
	}

	progress(): ThreadProgress {
		return this.#progress;
	}

	kill(death: ThreadDeath = { reason: "exit", message: "killed", stack: null }): Promise<void> {
		this.death ??= death;
		this.#take()?.reject(new ThreadDiedError(this.death));
		this.#ending ??= this.diesSlowly ? new Promise((resolve) => (this.gone = resolve)) : Promise.resolve();
		return this.#ending;
	}

	onIdleDeath(listener: (death: ThreadDeath) => void): void {
		this.#idleDeath = listener;
	}

	/** Answers whatever is asked as if all went well. */
	answer(reply: unknown = usualReply(this.pending?.name)): void {
		this.#stand("idle");
		this.#take()?.resolve(reply as never);
	}

	/** The run was handled as far as message `to`. */
	handled(to: number): void {
		this.answer({ ok: true, outcome: nothing(0, to) });
	}

	failToStart(kind: "load" | "init"): void {
		this.answer({ ok: false, failure: { kind, name: "Error", message: `${kind} failed`, stack: null } });
	}

	/** The call that runs is in this phase. */
	isIn(phase: ThreadProgress["phase"]): void {
		this.#stand(phase);
	}

	/** It dies with the call that is pending. */
	die(reason: ThreadDeath["reason"]): void {
		void this.kill({ reason, message: "it died", stack: null });
	}

	dieIdle(): void {
		this.death = { reason: "exception", message: "between calls", stack: null };
		this.#idleDeath(this.death);
	}

	#call<T>(type: string, share: number, phase: ThreadProgress["phase"], run?: [number, number]): Promise<T> {
		if (this.death) return Promise.reject(new ThreadDiedError(this.death));
		if (this.pending) throw new Error(`${type} while ${this.pending.name} is outstanding`);
		const name = type === "load" ? type : `${type} ${this.#partitions.get(share)}`;
		this.calls.push(run ? `${name} ${run.join("-")}` : name);
		this.#stand(phase);
		return new Promise((resolve, reject) => {
			this.pending = { name, phase, resolve, reject };
		});
	}

	#stand(phase: ThreadProgress["phase"]): void {
		this.#progress = {
			calls: this.#progress.calls + 1,
			phase,
			...(phase === "handle" ? { message: 0, running: 1 } : { message: -1, running: 0 }),
		};
	}

	#take(): Pending | null {
		const { pending } = this;
		this.pending = null;
		return pending;
	}
}

function usualReply(call = ""): unknown {
	if (call.startsWith("start")) return { ok: true, handles: "message" };
	return null;
}
