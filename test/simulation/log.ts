/** A partition's log, simulated: records with gaps between them, a beginning that moves on, an end that may be lost. */

/** A record of the simulated log. */
export interface LogRecord {
	readonly offset: number;
	readonly timestamp: number;
	readonly key: string;
	readonly value: string | null;
}

/** A message by what tells it from every other. */
export function recordName(partition: number, { offset, timestamp, key }: Pick<LogRecord, "offset" | "timestamp" | "key">): string {
	return `${partition}@${offset} ${timestamp} ${key}`;
}

/** See the file's header. */
export class SimLog {
	/** All there ever were, also what lies before `low`: what became of those is still to be judged. */
	readonly records: LogRecord[] = [];
	/** The first offset that it still has. */
	low = 0;
	/** How often its end was lost. */
	losses = 0;
	/** The next offset. */
	end = 0;
	/** How often the topic was made before. */
	readonly life: number;

	constructor(life: number) {
		this.life = life;
	}

	/** Appends a record, behind a gap of some offsets. */
	append(record: Omit<LogRecord, "offset">, gap: number): LogRecord {
		const appended = { ...record, offset: this.end + gap };
		this.records.push(appended);
		this.end = appended.offset + 1;
		return appended;
	}

	/** Its end is lost: it goes on at `end`. */
	truncate(end: number): readonly LogRecord[] {
		const lost = this.records.splice(this.indexOf(end));
		this.end = end;
		this.losses++;
		return lost;
	}

	/** At most so many records from an offset on. */
	from(offset: number, count: number): readonly LogRecord[] {
		const first = this.indexOf(offset);
		return this.records.slice(first, first + count);
	}

	/** The record at an offset; undefined where there is none. */
	at(offset: number): LogRecord | undefined {
		const record = this.records[this.indexOf(offset)];
		return record?.offset === offset ? record : undefined;
	}

	/** The index of the first record at an offset or behind it. */
	indexOf(offset: number): number {
		let [low, high] = [0, this.records.length];
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.records[middle] as LogRecord).offset < offset) low = middle + 1;
			else high = middle;
		}
		return low;
	}
}
