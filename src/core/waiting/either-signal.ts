/** For waits that more than one signal may end. */
import { lifetime } from "./lifetime.ts";

/**
 * A signal that is aborted when the first of these is, with its reason. It lets go of them when disposed: on Node 20 `AbortSignal.any`
 * leaves 90 bytes behind in each of them, for as long as they live.
 */
export function eitherSignal(...signals: readonly AbortSignal[]): Disposable & { readonly signal: AbortSignal } {
	const either = lifetime();
	const letGo = signals.map((signal) => {
		const aborted = () => either.abort(signal.reason);
		if (signal.aborted) aborted();
		signal.addEventListener("abort", aborted, { once: true });
		return () => signal.removeEventListener("abort", aborted);
	});
	return {
		signal: either.signal,
		[Symbol.dispose]() {
			for (const each of letGo) each();
		},
	};
}
