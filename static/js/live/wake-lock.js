/** Keeps the screen on while the microphone is open: a dark screen would take it away. */

export class WakeLock {
  #isWanted = true;
  /** @type {Promise<WakeLockSentinel | null> | undefined} */
  #lock;
  #request = () => {
    if (this.#isWanted && document.visibilityState === "visible") {
      this.#lock = navigator.wakeLock?.request("screen").catch(() => null);
    }
  };

  constructor() {
    document.addEventListener("visibilitychange", this.#request); // A hidden page loses the lock.
    this.#request();
  }

  async release() {
    this.#isWanted = false;
    document.removeEventListener("visibilitychange", this.#request);
    (await this.#lock)?.release();
  }
}
