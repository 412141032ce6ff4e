/** The token that a request brings in `Authorization: Bearer …`. Pure. */
import { timingSafeEqual } from "node:crypto";

/** True where the header brings this token. The scheme's case doesn't count; a header's characters are bytes, as Node hands them on. */
export function bringsToken(header: string | undefined, token: string): boolean {
	const [, brought] = /^bearer +(.+)$/i.exec(header ?? "") ?? [];
	if (brought === undefined || token === "") return false;
	const [given, wanted] = [Buffer.from(brought, "latin1"), Buffer.from(token)];
	return given.length === wanted.length && timingSafeEqual(given, wanted);
}
