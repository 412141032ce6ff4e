/** Where a value lies on an axis, and which values are written beside it. Pure. */

/** An axis from its least to its greatest value, in px. */
export interface Axis {
	readonly at: (value: number) => number;
	readonly ticks: readonly number[];
}

/** Holds all from `least` to `most`, ticks at 1, 2 or 5 times a power of ten. `from` and `to` are px; `to` may be the smaller. */
export function linearAxis(least: number, most: number, from: number, to: number, wanted = 5): Axis {
	const step = niceStep((most - least || Math.abs(most) || 1) / wanted);
	const low = Math.floor(least / step) * step;
	const high = Math.max(Math.ceil(most / step) * step, low + step);
	const ticks: number[] = [];
	// Counted, not added up: sums of tenths drift.
	for (let i = 0; low + i * step <= high + step / 2; i++) ticks.push(Number((low + i * step).toPrecision(12)));
	const last = ticks.at(-1) as number;
	return { at: (value) => from + ((value - low) / (last - low)) * (to - from), ticks };
}

/** By powers, for values that double: the ticks are the values themselves. */
export function powerAxis(values: readonly number[], from: number, to: number): Axis {
	const ticks = [...new Set(values)].sort((left, right) => left - right);
	const [low, high] = [Math.log(ticks[0] ?? 1), Math.log(ticks.at(-1) ?? 1)];
	return { at: (value) => from + ((Math.log(value) - low) / (high - low || 1)) * (to - from), ticks };
}

/** A tick as text: 1.5M, 20k, 0.25. */
export function shownTick(value: number): string {
	const size = Math.abs(value);
	if (size >= 1e6) return `${Number((value / 1e6).toPrecision(4))}M`;
	if (size >= 1e4) return `${Number((value / 1e3).toPrecision(4))}k`;
	return String(value);
}

function niceStep(rough: number): number {
	const power = 10 ** Math.floor(Math.log10(rough));
	const factor = [1, 2, 5, 10].find((each) => each * power >= rough * (1 - 1e-9)) ?? 10;
	return factor * power;
}
