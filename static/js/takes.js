/** Takes that are not yet cloned, in the browser's IndexedDB: neither a closed tab nor a failed upload loses them. */

const KEPT_FOR = 7 * 24 * 3600 * 1000; // milliseconds; after that a forgotten recording goes

/**
 * @typedef {{code: string, label: string, value: string, passed: boolean, advice: string}} QualityPoint
 * @typedef {{id?: number, blob: Blob, name: string, seconds: number, points?: QualityPoint[], refusal?: string}} Take
 *   `points` is what the server measured, `refusal` why it can not use the take; neither is there before it has looked
 */

function settled(request) {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });
}

function open() {
  const request = indexedDB.open("voiceclone", 1);
  request.addEventListener("upgradeneeded", () => {
    request.result.createObjectStore("takes", { keyPath: "id", autoIncrement: true });
  });
  return settled(request);
}

export class TakeStore {
  #database;
  #owner;

  /**
   * Rejects where the browser keeps nothing, as in some private windows.
   * @param {string} owner the user's id: people who share a browser do not share takes
   * @returns {Promise<TakeStore>}
   */
  static async open(owner) {
    return new TakeStore(await open(), owner);
  }

  /** For TakeStore.open alone. */
  constructor(database, owner) {
    this.#database = database;
    this.#owner = owner;
  }

  /** The owner's takes, oldest first. @returns {Promise<Take[]>} */
  async all() {
    const takes = await settled(this.#takes("readonly").getAll());
    const expired = takes.filter((take) => take.kept < Date.now() - KEPT_FOR);
    await Promise.all(expired.map((take) => this.remove(take)));
    return takes.filter((take) => take.owner === this.#owner && !expired.includes(take));
  }

  /** Store the take, or what has become of it since, and give it its id. @param {Take} take */
  async save(take) {
    take.id = await settled(this.#takes("readwrite").put({ kept: Date.now(), ...take, owner: this.#owner }));
  }

  /** @param {Take} take */
  async remove({ id }) {
    if (id !== undefined) await settled(this.#takes("readwrite").delete(id));
  }

  #takes(mode) {
    return this.#database.transaction("takes", mode).objectStore("takes");
  }
}
