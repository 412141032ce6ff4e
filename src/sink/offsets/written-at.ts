/** When a row of PocKaffe's own tables was written last (`updated_at`). Its owner tells by an earlier time that the table was put back. */

/** Sets the time of a row of this name; always forward, whatever the server's clock does. */
export function written(row: string): string {
	return `updated_at = greatest(${row}.updated_at + interval '1 microsecond', clock_timestamp())`;
}

/** The same as a whole number, to be compared. */
export function microseconds(column: string): string {
	return `(extract(epoch from ${column}) * 1000000)::bigint`;
}
