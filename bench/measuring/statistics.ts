/** What many measured values come to: quantiles, median and spread, a fitted line. Pure. */

/** The value that `share` (0 to 1) of all are not above; NaN of none. */
export function quantile(values: ArrayLike<number>, share: number): number {
	const sorted = Float64Array.from(values).sort();
	return sorted[Math.max(0, Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN;
}

/** The middle value; of an even number of values the mean of the two in the middle. NaN of none. */
export function median(values: ArrayLike<number>): number {
	const sorted = Float64Array.from(values).sort();
	const middle = sorted.length / 2;
	const [below, above] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
	return below === undefined || above === undefined ? Number.NaN : (below + above) / 2;
}

/** A point of a course over time or size. */
export type Point = readonly [x: number, y: number];

/** The line of least squares through the points; a slope of 0 where all are at one `x`. */
export function linearFit(points: readonly Point[]): { readonly slope: number; readonly intercept: number } {
	const mean = (pick: (point: Point) => number) => points.reduce((sum, point) => sum + pick(point), 0) / points.length;
	const [meanX, meanY] = [mean(([x]) => x), mean(([, y]) => y)];
	let [covariance, variance] = [0, 0];
	for (const [x, y] of points) {
		covariance += (x - meanX) * (y - meanY);
		variance += (x - meanX) ** 2;
	}
	const slope = variance === 0 ? 0 : covariance / variance;
	return { slope, intercept: meanY - slope * meanX };
}

export function round(value: number, digits: number): number {
	return Number(value.toFixed(digits));
}
