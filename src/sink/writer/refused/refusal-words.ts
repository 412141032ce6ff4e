/** What is said of a row that is refused because of other rows, after the server's own words (`message`). Pure. */

/** It was tried after all earlier rows of its partition. */
export function stillRefused(message: string): string {
	return `${message}; also after everything earlier of its partition was written`;
}

/** Its parent did not come in time. */
export function withoutParent(message: string, waitMs: number): string {
	return `${message}; the row that it refers to did not come within ${waitMs} ms`;
}
