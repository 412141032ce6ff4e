/**
 * The time of the last write to a row of PocKaffe's own tables (`updated_at`). An earlier time than expected shows its owner that the table
 * was restored to an earlier state.
 */

/** Expression that sets the time of the row with this alias; always later, whatever the server's clock does. */
export function written(row: string): string {
	return `updated_at = greatest(${row}.updated_at + interval '1 microsecond', clock_timestamp())`;
}

/** The time as a whole number of microseconds, for comparison. */
export function microseconds(column: string): string {
	return `(extract(epoch from ${column}) * 1000000)::bigint`;
}
