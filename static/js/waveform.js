/** The shape of a recording as an SVG that follows the player. */

const BARS = 72;
const HEIGHT = 40; // of the view box, in which a bar and its gap are 4 wide
const SAMPLE_RATE = 16000; // enough for a shape, and little memory
const NAMESPACE = "http://www.w3.org/2000/svg";

/** @param {Blob} blob @returns {Promise<AudioBuffer>} rejects where this browser can not decode it */
async function decoded(blob) {
  return new OfflineAudioContext(1, 1, SAMPLE_RATE).decodeAudioData(await blob.arrayBuffer());
}

/** @param {Float32Array} samples @returns {number[]} the loudest sample of each part, 0 to 1 */
function peaks(samples) {
  const length = Math.max(1, Math.floor(samples.length / BARS));
  return Array.from({ length: BARS }, (_bar, index) => {
    let peak = 0;
    for (const sample of samples.subarray(index * length, (index + 1) * length)) peak = Math.max(peak, Math.abs(sample));
    return peak;
  });
}

function bar(peak, index) {
  const rect = document.createElementNS(NAMESPACE, "rect");
  const height = Math.max(2, Math.sqrt(peak) * HEIGHT); // the root: quiet speech is to be seen, too
  const places = { x: index * 4 + 0.5, y: (HEIGHT - height) / 2, width: 3, height, rx: 1.5 };
  for (const [name, value] of Object.entries(places)) rect.setAttribute(name, String(value));
  return rect;
}

/**
 * Draw the waveform of `blob`, coloured as far as `audio` has played; a click goes to that place.
 * @param {SVGElement} svg
 * @param {Blob} blob
 * @param {HTMLAudioElement} audio
 * @returns {Promise<number>} the seconds of the recording; 0 where this browser can not decode it, and nothing is drawn
 */
export async function drawWaveform(svg, blob, audio) {
  let sound;
  try {
    sound = await decoded(blob);
  } catch {
    svg.setAttribute("hidden", "");
    return 0;
  }
  svg.setAttribute("viewBox", `0 0 ${BARS * 4} ${HEIGHT}`);
  svg.replaceChildren(...peaks(sound.getChannelData(0)).map(bar));
  audio.addEventListener("timeupdate", () => {
    const played = audio.ended ? 0 : (audio.currentTime / sound.duration) * BARS;
    for (const [index, rect] of [...svg.children].entries()) rect.classList.toggle("played", index < played);
  });
  svg.addEventListener("click", (event) => {
    const { left, width } = svg.getBoundingClientRect();
    audio.currentTime = ((event.clientX - left) / width) * sound.duration;
  });
  return sound.duration;
}
