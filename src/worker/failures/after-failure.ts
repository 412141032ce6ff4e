/**
 * Carries out what the failure policy decided about a failure: reports it, and then waits, parks the partition, stops the daemon, or gives
 * the message up.
 *
 * Step 4 of a message's way (docs/architecture.md).
 */
import { firstOffset, type MessageQueue, type Run } from "../message-queue.ts";
import type { OutcomeRouter } from "../outcomes/outcome-router.ts";
import type { SkipRequests } from "../skip-requests.ts";
import type { ThreadDeath } from "../thread/handler-thread.ts";
import type { ThreadSlot } from "../thread/thread-slot.ts";
import type { ThreadReplacement } from "../thread-replacement.ts";
import type { ParkReason, WorkerParts } from "../worker-parts.ts";
import type { WorkerWaits } from "../worker-waits.ts";
import type { CarefulHand } from "./careful-hand.ts";
import { isEnd } from "./crash-report.ts";
import type { CrashReports } from "./crash-reports.ts";
import type { FailurePolicy, Verdict } from "./failure-policy.ts";

/** What it needs from its worker. */
export interface AfterFailureParts {
	readonly slot: ThreadSlot;
	readonly queue: MessageQueue;
	readonly waits: WorkerWaits;
	readonly router: OutcomeRouter;
	readonly policy: FailurePolicy;
	readonly reports: CrashReports;
	readonly skips: SkipRequests;
	readonly replacement: ThreadReplacement;
	/** Null if no message is suspected of a death of the process. */
	readonly careful: () => CarefulHand | null;
	/** Has the worker begin with the code that is on disk. */
	readonly codeChanged: () => void;
}

/** Carries verdicts out, for one partition. */
export class AfterFailure {
	readonly #parts: WorkerParts;
	readonly #with: AfterFailureParts;

	constructor(parts: WorkerParts, own: AfterFailureParts) {
		this.#parts = parts;
		this.#with = own;
	}

	/** Reports what happened and carries out what the policy decided; resolves when the worker may go on. */
	async carryOut(judged: Verdict): Promise<void> {
		const { slot, waits, policy, reports, skips, replacement } = this.#with;
		const isCodeOld = slot.isCodeOld;
		if (isCodeOld) this.#with.codeChanged();
		const verdict = isCodeOld ? policy.ofOldCode(judged) : judged;
		const { next, run, reason } = verdict;
		if (verdict.restarted) {
			this.#parts.listener.restarted(this.#parts.partition, verdict.restarted);
			replacement.stateEnded();
		}
		reports.tell(verdict, slot.threadId, policy);
		// A person asked to skip this message before it failed.
		if (isEnd(next) && run && skips.has(firstOffset(run))) return;
		switch (next.action) {
			case "retry":
				await waits.backOff(next.delayMs);
				if (next.inNewThread) await replacement.forLastAttempt(run as Run);
				return;
			case "restart":
				return waits.backOff(next.delayMs);
			case "park":
				return waits.park(reason as ParkReason, verdict.kind === "process" ? null : next.delayMs);
			case "stop":
				return waits.requestStop(reason as ParkReason);
			case "dead-letter":
			case "skip":
				return this.#giveUp(run as Run, verdict);
		}
	}

	/**
	 * The thread is dead: judges the messages it had and what still waits, unless the worker is stopping anyway. Does so at once: a thread
	 * that can't be ended is given up only after a while, and the next one waits for that.
	 */
	async died(death: ThreadDeath, judge: () => Verdict): Promise<void> {
		const { slot, waits, replacement } = this.#with;
		waits.idleDeath = null;
		const gone = slot.discard();
		if (!waits.stopReason) {
			if (death.reason === "shared") replacement.replaced("shared");
			else await this.carryOut(judge());
		}
		await gone;
	}

	/** Gives the next message up if the process died too often with it in hand; true if so. */
	async gaveUpForDeaths(run: Run): Promise<boolean> {
		const deaths = this.#with.careful()?.deathsOf(run) ?? 0;
		const verdict = deaths > 0 ? this.#with.policy.processDied(run, deaths) : null;
		if (verdict) await this.carryOut(verdict);
		return verdict !== null;
	}

	/** The message at `offset` was given up, by the policy or by a person. */
	gaveUp(offset: number): void {
		const { careful, policy, reports } = this.#with;
		careful()?.gaveUp(offset);
		policy.gaveUp(offset);
		reports.gaveUp(offset);
	}

	/** Gives up the poison message at `run.from`: it leaves the queue, and the next one is handled. */
	#giveUp(run: Run, { next, kind, error, attempt }: Verdict): void {
		const { held, from } = run;
		const { queue, router } = this.#with;
		queue.take({ held, from, to: from + 1 });
		const poison = { kind, error, attempts: attempt };
		if (next.action === "skip") router.skip(held, from, poison);
		else router.poison(held, from, poison);
		this.gaveUp(firstOffset(run));
	}
}
