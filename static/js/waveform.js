/** The waveform of a recording, as an SVG that follows its playback. */

const BARS = 72;
const BAR_STEP = 4; // from bar to bar, in the units of the view box
const HEIGHT = 40; // of the view box
const SAMPLE_RATE = 16000; // enough for the waveform, and small in memory
const NAMESPACE = "http://www.w3.org/2000/svg";

/**
 * @param {Blob} blob
 * @returns {Promise<AudioBuffer>} rejects if this browser cannot decode it
 */
async function decode(blob) {
  return new OfflineAudioContext(1, 1, SAMPLE_RATE).decodeAudioData(await blob.arrayBuffer());
}

/**
 * @param {Float32Array} samples
 * @returns {number[]} the peak of each part, 0 to 1
 */
function peaksOf(samples) {
  const length = Math.max(1, Math.floor(samples.length / BARS));
  return Array.from({ length: BARS }, (_bar, index) => {
    const part = samples.subarray(index * length, (index + 1) * length);
    let peak = 0;
    for (const sample of part) peak = Math.max(peak, Math.abs(sample));
    return peak;
  });
}

/**
 * @param {number} peak
 * @param {number} index
 * @returns {SVGRectElement}
 */
function barOf(peak, index) {
  const bar = document.createElementNS(NAMESPACE, "rect");
  const height = Math.max(2, Math.sqrt(peak) * HEIGHT); // The square root makes quiet speech visible.
  const attributes = { x: index * BAR_STEP + 0.5, y: (HEIGHT - height) / 2, width: 3, height, rx: 1.5 };
  for (const [name, value] of Object.entries(attributes)) bar.setAttribute(name, String(value));
  return bar;
}

/**
 * Draw the waveform of `blob`, coloured as far as `audio` has played. A click on it moves the playback there.
 * @param {SVGElement} svg
 * @param {Blob} blob
 * @param {HTMLAudioElement} audio
 * @returns {Promise<number>} the seconds of the recording; 0 if this browser cannot decode it, and nothing is drawn
 */
export async function drawWaveform(svg, blob, audio) {
  let sound;
  try {
    sound = await decode(blob);
  } catch {
    svg.setAttribute("hidden", "");
    return 0;
  }
  const { duration } = sound;
  svg.setAttribute("viewBox", `0 0 ${BARS * BAR_STEP} ${HEIGHT}`);
  svg.replaceChildren(...peaksOf(sound.getChannelData(0)).map(barOf));
  audio.addEventListener("timeupdate", () => {
    const playedBars = audio.ended ? 0 : (audio.currentTime / duration) * BARS;
    for (const [index, bar] of [...svg.children].entries()) bar.classList.toggle("played", index < playedBars);
  });
  svg.addEventListener("click", (event) => {
    const { left, width } = svg.getBoundingClientRect();
    audio.currentTime = ((event.clientX - left) / width) * duration;
  });
  return duration;
}
