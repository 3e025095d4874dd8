// How fast frames may be sent, so that the hub refuses none. Pure: time is an argument, in milliseconds.

/** So many may pass now. */
export interface Bucket {
  left: number;
  at: number;
}

/** Takes one of `perSecond` a second, and as many at once: 0 where it may pass, else how long to wait. */
export function take(was: Bucket, now: number, perSecond: number): { bucket: Bucket; waitMs: number } {
  const left = Math.min(perSecond, was.left + (Math.max(0, now - was.at) * perSecond) / 1000);
  if (left >= 1) return { bucket: { left: left - 1, at: now }, waitMs: 0 };
  return { bucket: { left, at: now }, waitMs: Math.ceil(((1 - left) * 1000) / perSecond) };
}
