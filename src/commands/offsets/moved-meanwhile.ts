/** Checks whether a group moved between the plan shown to a person and the answer. Pure. */
import { partitionName } from "../../core/messages/message.ts";
import type { OffsetPlan } from "../../kafka/offsets/offset-plan.ts";

/**
 * True if what was confirmed no longer holds. A running daemon goes on committing while a person thinks, and it reports the offset that it
 * had; so stored offsets are compared only where no daemon runs.
 */
export function hasMoved(
	plans: readonly OffsetPlan[],
	now: readonly OffsetPlan[],
	running: (plan: OffsetPlan) => readonly [before: boolean, now: boolean],
): boolean {
	if (plans.length !== now.length) return true;
	const former = new Map(plans.map((plan) => [partitionName(plan), plan]));
	return now.some((plan) => {
		const before = former.get(partitionName(plan));
		const [wasRunning, isRunning] = running(plan);
		if (!before || wasRunning !== isRunning) return true;
		const isInside = plan.to >= plan.log.low && plan.to <= plan.log.high && plan.note.log.id === before.note.log.id;
		return !isInside || (!isRunning && plan.kept !== before.kept);
	});
}
