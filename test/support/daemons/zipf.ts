/** Numbers of which a few come often: the k-th most frequent with a share of 1/k^exponent (Zipf's law). */
import type { Random } from "../../../src/core/random.ts";

/** A source of numbers from 0 (the most frequent) to `count` - 1. */
export function zipfNumbers(count: number, exponent: number, random: Random): () => number {
	const upTo = new Float64Array(count);
	let sum = 0;
	for (let k = 0; k < count; k++) {
		sum += 1 / (k + 1) ** exponent;
		upTo[k] = sum;
	}
	return () => {
		const wanted = random() * sum;
		let [low, high] = [0, count - 1];
		while (low < high) {
			const middle = (low + high) >> 1;
			if ((upTo[middle] as number) > wanted) high = middle;
			else low = middle + 1;
		}
		return low;
	};
}
