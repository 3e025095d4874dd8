// Numbers as they are read: short, with their unit beside them.
// Rules alone. Where nothing is known it says so, and never 0.

export interface Figure {
  text: string;
  unit: string;
}

export type Format = (value: number) => Figure;

const UNKNOWN: Figure = { text: "–", unit: "" };
const BYTES = ["B", "KiB", "MiB", "GiB", "TiB"];

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** About three digits, whatever the size. */
export function short(value: number): string {
  if (Math.abs(value) >= 10_000) return compact.format(value);
  if (Math.abs(value) >= 100 || Number.isInteger(value)) return whole.format(value);
  return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 1 ? 2 : 1 });
}

export const count: Format = (value) => ({ text: short(value), unit: "" });
/** To the last digit, where it has room. */
export const exact: Format = (value) => ({ text: whole.format(value), unit: "" });
export const perSecond: Format = (value) => ({ text: short(value), unit: "/s" });
export const milliseconds: Format = (value) => ({ text: short(value), unit: "ms" });
export const percent: Format = (value) => ({ text: short(value), unit: "%" });

/** In powers of 1,024. */
export const bytes: Format = (value) => {
  const power = value < 1 ? 0 : Math.min(BYTES.length - 1, Math.floor(Math.log2(value) / 10));
  return { text: short(value / 1024 ** power), unit: BYTES[power]! };
};

export function figure(value: number | null | undefined, format: Format): Figure {
  return value === null || value === undefined ? UNKNOWN : format(value);
}

/** In one piece. */
export function words(value: number | null | undefined, format: Format): string {
  const { text, unit } = figure(value, format);
  return unit && unit !== "/s" && unit !== "%" ? `${text} ${unit}` : text + unit;
}

/** What a plot shows, for who can't see it. */
export function described(name: string, of: { now: number | null; least: number; most: number } | undefined, format: Format): string {
  if (!of) return `${name}: nothing known in the last 5 minutes`;
  const now = of.now === null ? "nothing now" : `now ${words(of.now, format)}`;
  return `${name}: ${now}, least ${words(of.least, format)}, most ${words(of.most, format)} in the last 5 minutes`;
}
