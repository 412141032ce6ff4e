/** Calls listeners of other programs. What one throws does not reach the daemon: it is thrown again later, as an uncaught exception. */
export function tell(listeners: () => unknown): void {
	try {
		listeners();
	} catch (error) {
		setImmediate(() => {
			throw error;
		});
	}
}
