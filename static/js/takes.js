/** Takes that are not yet cloned, in the browser's IndexedDB: neither a closed tab nor a failed upload loses them. */

const KEPT_FOR = 7 * 24 * 3600 * 1000; // milliseconds; after that a forgotten recording goes

/** @typedef {{id: number, owner: string, blob: Blob, name: string, seconds: number, kept: number}} StoredTake */

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

  /** The owner's takes, oldest first. @returns {Promise<StoredTake[]>} */
  async all() {
    const takes = await settled(this.#takes("readonly").getAll());
    const expired = takes.filter((take) => take.kept < Date.now() - KEPT_FOR);
    await Promise.all(expired.map((take) => this.remove(take.id)));
    return takes.filter((take) => take.owner === this.#owner && !expired.includes(take));
  }

  /** @param {{blob: Blob, name: string, seconds: number}} take @returns {Promise<number>} its id */
  add({ blob, name, seconds }) {
    return settled(this.#takes("readwrite").add({ owner: this.#owner, blob, name, seconds, kept: Date.now() }));
  }

  /** @param {number} id */
  remove(id) {
    return settled(this.#takes("readwrite").delete(id));
  }

  #takes(mode) {
    return this.#database.transaction("takes", mode).objectStore("takes");
  }
}
