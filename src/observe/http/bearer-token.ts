/** Compares the token of a request's `Authorization: Bearer …`. Pure. */
import { timingSafeEqual } from "node:crypto";

/** True if the header has this token. The scheme's case does not matter; Node passes a header's bytes on as Latin-1 characters. */
export function bringsToken(header: string | undefined, token: string): boolean {
	const [, brought] = /^bearer +(.+)$/i.exec(header ?? "") ?? [];
	if (brought === undefined || token === "") return false;
	const [given, wanted] = [Buffer.from(brought, "latin1"), Buffer.from(token)];
	return given.length === wanted.length && timingSafeEqual(given, wanted);
}
