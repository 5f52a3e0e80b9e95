/** The page's one AudioContext. Chrome on Android stops playing when a page makes several. */

/** @type {AudioContext | undefined} */
let context;

/**
 * Return the context, running. Call this inside a click and before any await: browsers let a context start only there.
 * @returns {AudioContext}
 */
export function audioContext() {
  context ??= new AudioContext();
  if (context.state !== "running") context.resume();
  return context;
}
