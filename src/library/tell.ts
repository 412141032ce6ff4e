/** Calls listeners of other programs. What one throws ends no partition and no stop: it is thrown again later, as an uncaught exception. */
export function tell(listeners: () => unknown): void {
	try {
		listeners();
	} catch (error) {
		setImmediate(() => {
			throw error;
		});
	}
}
