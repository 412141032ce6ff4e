/** When a row of PocKaffe's own tables was written last (`updated_at`): who wrote it knows a table that was put back by an earlier time in it. */

/** Sets the time of a row of this name; always forward, whatever the server's clock does. */
export function written(row: string): string {
	return `updated_at = greatest(${row}.updated_at + interval '1 microsecond', clock_timestamp())`;
}

/** The same as a whole number, to be compared. */
export function microseconds(column: string): string {
	return `(extract(epoch from ${column}) * 1000000)::bigint`;
}
