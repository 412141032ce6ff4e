/** What the simulated server understands of SQL, as a tree: the statements of the sink, and what comes near them. */

/** An expression. */
export type Expression =
	| { readonly kind: "literal"; readonly value: string | number | boolean | null }
	| { readonly kind: "parameter"; readonly index: number }
	| { readonly kind: "column"; readonly table: string | null; readonly name: string }
	| { readonly kind: "cast"; readonly operand: Expression; readonly type: string }
	| { readonly kind: "not"; readonly operand: Expression }
	| { readonly kind: "negative"; readonly operand: Expression }
	| { readonly kind: "binary"; readonly operator: string; readonly left: Expression; readonly right: Expression }
	| { readonly kind: "is"; readonly operand: Expression; readonly value: null | boolean; readonly not: boolean }
	| { readonly kind: "distinct"; readonly left: Expression; readonly right: Expression; readonly not: boolean }
	| { readonly kind: "in"; readonly operand: Expression; readonly list: readonly Expression[] | Select; readonly not: boolean }
	| { readonly kind: "any"; readonly operator: string; readonly left: Expression; readonly right: Expression }
	| { readonly kind: "row"; readonly items: readonly Expression[] }
	| { readonly kind: "array"; readonly items: readonly Expression[] }
	| { readonly kind: "case"; readonly branches: readonly { when: Expression; result: Expression }[]; readonly otherwise: Expression | null }
	| { readonly kind: "call"; readonly name: string; readonly args: readonly Expression[]; readonly filter: Expression | null }
	| { readonly kind: "exists"; readonly query: Select }
	| { readonly kind: "query"; readonly query: Select };

/** What a row comes from. `numbered`: with ordinality. */
export type Source =
	| { readonly kind: "table"; readonly name: string }
	| { readonly kind: "query"; readonly query: Select }
	| { readonly kind: "function"; readonly name: string; readonly args: readonly Expression[]; readonly numbered: boolean };

/** A source in `from`. `columns` names a function's; `types` where they are declared. */
export interface FromItem {
	readonly source: Source;
	readonly alias: string;
	readonly columns: readonly string[];
	readonly types: readonly string[];
	readonly join: "inner" | "left";
	readonly on: Expression | null;
}

/** A column of a result; `*` of one source or of all where `expression` is null. */
export interface SelectItem {
	readonly expression: Expression | null;
	/** The source of a `*`, or the column's name. */
	readonly name: string | null;
}

export interface Select {
	readonly kind: "select";
	readonly items: readonly SelectItem[];
	readonly from: readonly FromItem[];
	readonly where: Expression | null;
	readonly groupBy: readonly Expression[];
	readonly orderBy: readonly { readonly expression: Expression; readonly descending: boolean }[];
	readonly limit: Expression | null;
	readonly distinct: boolean;
	/** Rows of `values`, in place of everything above. */
	readonly values: readonly (readonly Expression[])[] | null;
}

export interface Assignment {
	readonly column: string;
	readonly value: Expression;
}

export interface Insert {
	readonly kind: "insert";
	readonly table: string;
	readonly alias: string;
	readonly columns: readonly string[];
	readonly source: Select;
	readonly conflict: {
		readonly columns: readonly string[];
		/** null: do nothing. */
		readonly update: { readonly set: readonly Assignment[]; readonly where: Expression | null } | null;
	} | null;
	readonly returning: readonly SelectItem[];
}

export interface Update {
	readonly kind: "update";
	readonly table: string;
	readonly alias: string;
	readonly set: readonly Assignment[];
	readonly from: readonly FromItem[];
	readonly where: Expression | null;
	readonly returning: readonly SelectItem[];
}

export interface Delete {
	readonly kind: "delete";
	readonly table: string;
	readonly alias: string;
	readonly from: readonly FromItem[];
	readonly where: Expression | null;
	readonly returning: readonly SelectItem[];
}

/** A statement that gives rows. */
export type RowStatement = Select | Insert | Update | Delete;

export interface With {
	readonly kind: "with";
	readonly parts: readonly { readonly name: string; readonly statement: RowStatement }[];
	readonly main: RowStatement;
}

/** A column as `create table` and `add column` say it. */
export interface ColumnDefinition {
	readonly name: string;
	readonly type: string;
	readonly notNull: boolean;
	readonly defaultValue: Expression | null;
	readonly unique: boolean;
	readonly primaryKey: boolean;
	readonly check: Expression | null;
	readonly references: string | null;
}

export interface CreateTable {
	readonly kind: "create table";
	readonly table: string;
	readonly columns: readonly ColumnDefinition[];
	readonly primaryKey: readonly string[];
}

export interface AlterTable {
	readonly kind: "alter table";
	readonly table: string;
	readonly add: readonly ColumnDefinition[];
}

/** A statement. */
export type Statement = RowStatement | With | CreateTable | AlterTable;
