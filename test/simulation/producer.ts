/**
 * What is produced: messages of every outcome, of ids that several partitions share; rows that refer to each other and addresses that
 * change hands, each legal in the order of its partition's log.
 */
import { BAD } from "./database.ts";
import type { MessageFields } from "./handler.ts";
import type { SimKafka } from "./kafka.ts";
import type { Extra } from "./kinds.ts";
import { WALL_START, type World } from "./world.ts";

/** What a partition's log has said so far. */
interface Said {
	/** Rows that lines may refer to. */
	readonly orders: string[];
	/** Who has an address; null: nobody. */
	readonly owners: Map<string, string | null>;
	lastTimestamp: number;
	lines: number;
}

const CONTACTS = ["a", "b", "c", "d"];
const ADDRESSES = 3;

/** See the file's header. */
export class SimProducer {
	readonly #world: World;
	readonly #kafka: SimKafka;
	readonly #calm: boolean;
	readonly #extras: ReadonlySet<Extra>;
	readonly #said = new Map<string, Said>();
	readonly #held = new Set<number>();
	#produced = 0;

	constructor(world: World, kafka: SimKafka, { calm, extras }: { calm: boolean; extras: ReadonlySet<Extra> }) {
		this.#world = world;
		this.#kafka = kafka;
		this.#calm = calm;
		this.#extras = extras;
	}

	/** How many messages so far. */
	get produced(): number {
		return this.#produced;
	}

	/** Nothing more comes to this partition. */
	hold(partition: number): void {
		this.#held.add(partition);
	}

	/** Appends a message, or a few that belong together. */
	produce(partition = this.#world.between(0, this.#kafka.logs.length)): void {
		if (this.#held.has(partition)) return;
		const world = this.#world;
		const life = this.#tag(partition);
		const kind = this.#extras.size > 0 ? world.random() : 1;
		if (kind < 0.3 && this.#extras.has("references")) this.#produceOrder(partition, life);
		else if (kind < 0.3 && this.#extras.has("parents elsewhere")) this.#produceChild(partition, life);
		else if (kind > 0.3 && kind < 0.6 && this.#extras.has("addresses")) this.#produceMove(partition, life);
		else this.#append(partition, `id-${life}-${world.between(0, 12)}`, this.#value());
		// A transaction's mark: the log ends behind it, and no message tells so.
		if (world.chance(0.05)) this.#kafka.leaveGap(partition, world.between(1, 3));
	}

	#append(partition: number, key: string, value: string | null, timestamp = this.#timestamp()): void {
		const world = this.#world;
		this.#produced++;
		this.#kafka.produce(partition, { key, timestamp, value }, world.chance(0.1) ? world.between(1, 4) : 0);
	}

	/** A clock that goes back now and then. */
	#timestamp(): number {
		const world = this.#world;
		return WALL_START + Math.floor(world.now) - world.between(0, world.chance(0.1) ? 5_000 : 3);
	}

	#value(): string | null {
		const world = this.#world;
		const bad = this.#extras.has("breaker") ? 3 : 1;
		if (this.#extras.has("deadly") && world.chance(0.02)) return json({ way: "deadly" });
		const kind = world.random();
		if (kind < 0.08) return null;
		if (kind < 0.08 + 0.02 * bad) return json({ way: "reject" });
		if (kind < 0.1 + 0.02 * bad) return json({ way: "none" });
		if (kind < 0.11 + 0.02 * bad && !this.#calm) return json({ way: "poison" });
		if (kind < 0.12 + 0.02 * bad && !this.#calm) return json({ way: "half" });
		if (kind < 0.12 + 0.05 * bad) return json({ n: BAD });
		return json({ n: `${this.#produced}` });
	}

	/** An order with its lines, an order alone, or one more line of an order before. */
	#produceOrder(partition: number, life: string): void {
		const world = this.#world;
		const said = this.#of(partition, life);
		const known = said.orders.length > 0 && world.chance(0.4) ? world.pick(said.orders) : null;
		if (known !== null) {
			this.#append(partition, `${known}+${said.lines++}`, json({ of: known, n: `${this.#produced}` }));
			return;
		}
		const key = `order-${partition}-${life}-${world.between(0, 6)}`;
		if (!said.orders.includes(key)) said.orders.push(key);
		const lines = Array.from({ length: world.between(0, 4) }, () => `${key}+${said.lines++}`);
		this.#append(partition, key, json(lines.length > 0 ? { n: `${this.#produced}`, lines } : { n: `${this.#produced}` }));
	}

	/** An order, and a line of it in any partition: before it, behind it, or with others between. */
	#produceChild(partition: number, life: string): void {
		const world = this.#world;
		const said = this.#of(partition, life);
		const known = said.orders.length > 0 && world.chance(0.4) ? world.pick(said.orders) : null;
		const key = known ?? `order-${partition}-${life}-${world.between(0, 6)}`;
		const line = () =>
			this.#append(world.between(0, this.#kafka.logs.length), `${key}+${said.lines++}`, json({ of: key, n: `${this.#produced}` }));
		const isFirst = world.chance(0.5);
		if (isFirst) line();
		if (known === null) this.#append(partition, key, json({ n: `${this.#produced}` }));
		if (!said.orders.includes(key)) said.orders.push(key);
		if (!isFirst) line();
	}

	/** An address changes hands: its owner gives it up, in the same message or in one before. */
	#produceMove(partition: number, life: string): void {
		const world = this.#world;
		const said = this.#of(partition, life);
		const family = `contact-${partition}-${life}`;
		const address = `${world.between(0, ADDRESSES)}@${family}`;
		const [from, to] = [said.owners.get(address) ?? null, `${family}+${world.pick(CONTACTS)}`];
		const giveUp = from !== null && from !== to ? [[from, null] as const] : [];
		const take = [[to, address] as const];
		const together = world.chance(0.5);
		if (!together && giveUp.length > 0) this.#appendMove(partition, said, family, giveUp);
		this.#appendMove(partition, said, family, together ? [...giveUp, ...take] : take);
		for (const [other, owner] of said.owners) if (owner === to) said.owners.set(other, null);
		said.owners.set(address, to);
	}

	/** In the order of the log also by its timestamps: an address that was given up before is free. */
	#appendMove(partition: number, said: Said, key: string, addresses: MessageFields["addresses"] & {}): void {
		said.lastTimestamp = Math.max(said.lastTimestamp + 1, WALL_START + Math.floor(this.#world.now));
		this.#append(partition, key, json({ addresses }), said.lastTimestamp);
	}

	/** Ids of a log that is gone, or of an end that was lost, are used no more. */
	#tag(partition: number): string {
		const { life } = this.#kafka;
		const losses = this.#kafka.logs[partition]?.losses ?? 0;
		return losses > 0 ? `${life}x${losses}` : String(life);
	}

	#of(partition: number, life: string): Said {
		const name = `${partition}-${life}`;
		const said = this.#said.get(name) ?? { orders: [], owners: new Map(), lastTimestamp: 0, lines: 0 };
		this.#said.set(name, said);
		return said;
	}
}

function json(fields: MessageFields): string {
	return JSON.stringify(fields);
}
