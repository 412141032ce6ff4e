/** Work that takes the processor and nothing else: so many rounds cost the same wherever they run, whoever else is running. */

/** Rounds of xorshift; the result keeps the compiler from leaving them out. */
export function busy(rounds) {
	// 32 bits from the first round on: as a double it costs three times as much wherever the call is inlined.
	let state = 0x9e3779b9 | 0;
	for (let i = 0; i < rounds; i++) {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
	}
	return state;
}
