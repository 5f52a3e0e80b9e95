/** The page's one AudioContext. Chrome on Android falls silent when contexts are made and left. */

let context;

/**
 * Call this inside a click, before anything is awaited: browsers let a context start only there.
 * @returns {AudioContext}
 */
export function audioContext() {
  context ??= new AudioContext();
  if (context.state !== "running") context.resume();
  return context;
}
