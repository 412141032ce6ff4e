/** Tells listeners of others: what one throws ends no partition and no stop. It is thrown again in a turn of its own, for the process. */
export function tell(listeners: () => unknown): void {
	try {
		listeners();
	} catch (error) {
		setImmediate(() => {
			throw error;
		});
	}
}
