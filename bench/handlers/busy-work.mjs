/** Work that takes the processor and nothing else: so many rounds cost the same wherever they run, whoever else is running. */

/** Rounds of xorshift; the result keeps the compiler from leaving them out. */
export function busy(rounds) {
	let state = 0x9e3779b9;
	for (let i = 0; i < rounds; i++) {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
	}
	return state;
}
