/** Integers of JSON, however they are spelled. Pure. */

/** No integer type of Postgres has more digits. */
const MOST_DIGITS = 19;

/** `1.0`, `1e3` and the like as the digits of an integer; any other text as it is. */
export function wholeNumber(text: string): string {
	const [, sign = "", whole = "", fraction = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
	if (whole === "" || whole.length === text.length - sign.length) return text;
	const point = whole.length + Number(exponent);
	const digits = whole + fraction;
	if (point > MOST_DIGITS) return text;
	const isWhole = !/[1-9]/.test(digits.slice(Math.max(0, point)));
	if (!isWhole) return text;
	const plain = digits.slice(0, Math.max(0, point)).padEnd(Math.max(0, point), "0").replace(/^0+/, "") || "0";
	return plain === "0" ? plain : sign + plain;
}
