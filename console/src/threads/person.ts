// How a person is told from others at a glance: initials and a hue, both of their name alone. Rules only.

/** Hues that can be told from each other. */
const HUES = 12;

/** One or two letters, of whatever script. */
export function initialsOf(name: string): string {
  const words = name.split(/[\s\p{P}]+/u).filter(Boolean);
  const [first = "?", second] = words;
  return (letter(first) + (second ? letter(second) : "")).toLocaleUpperCase();
}

/** An angle of the colour wheel. */
export function hueOf(name: string): number {
  let hash = 2_166_136_261;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 16_777_619);
  return ((hash >>> 0) % HUES) * (360 / HUES);
}

function letter(word: string): string {
  const [first] = new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(word);
  return first?.segment ?? "";
}
