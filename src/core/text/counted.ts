/** `1 partition`, `2 partitions`. */
export function counted(count: number, noun: string): string {
	return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `100,002` */
export function grouped(count: number): string {
	return count.toLocaleString("en-US");
}
