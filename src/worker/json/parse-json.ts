/** JSON as it is written: numbers reach the server as their own text. JSON.parse is used only where it can't change one. Pure. */
import { parse } from "lossless-json";

/**
 * A number whose text JSON.parse may change, where one can stand: minus zero, with an exponent, of more than 15 digits, a fraction smaller
 * than a millionth or with a 0 at its end. In a string (", 1.50") it costs time only; ids and dates don't look like it.
 */
const delicateNumber = /[:,[\s]-?(?:\d+(?:\.\d+)?[eE]|(?:\d\.?){16}|0\.0{6}|\d+\.\d*0[\s,}\]]|(?<=-)0[\s,}\]])/;

/** Any JSON value, also one that is but a number, with numbers that keep their own text. Throws where it is none. */
export function parseJson(text: string): unknown {
	return delicateNumber.test(` ${text} `) ? parse(text, null, { onDuplicateKey: ({ newValue }) => newValue }) : JSON.parse(text);
}
