/** Takes that are not cloned yet, stored in the browser's IndexedDB: they survive a closed tab and a failed upload. */

const KEPT_MILLISECONDS = 7 * 24 * 3600 * 1000; // Older takes are deleted.

/**
 * @typedef {{code: string, label: string, value: string, passed: boolean, word: string, advice: string}} QualityPoint
 * @typedef {{id?: number, blob: Blob, name: string, seconds: number, points?: QualityPoint[], refusal?: string,
 *   problem?: string}} Take
 *   `points` are the server's measurements, `refusal` is its reason for not using the take; both are missing before the
 *   server has checked it. `problem` tells why it could not, for now
 * @typedef {Take & {id: number, kept: number, owner: string}} StoredTake `kept` in milliseconds since 1970
 */

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function resultOf(request) {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });
}

/** @returns {Promise<IDBDatabase>} */
function openDatabase() {
  const request = indexedDB.open("voiceclone", 1);
  request.addEventListener("upgradeneeded", () => {
    request.result.createObjectStore("takes", { keyPath: "id", autoIncrement: true });
  });
  return resultOf(request);
}

export class TakeStore {
  #database;
  #owner;

  /**
   * Rejects if the browser stores nothing, as in some private windows.
   * @param {string} owner the user's id: people who share a browser do not share takes
   * @returns {Promise<TakeStore>}
   */
  static async open(owner) {
    return new TakeStore(await openDatabase(), owner);
  }

  /**
   * Only for TakeStore.open.
   * @param {IDBDatabase} database
   * @param {string} owner
   */
  constructor(database, owner) {
    this.#database = database;
    this.#owner = owner;
  }

  /** Return the owner's takes, oldest first, and delete expired ones. @returns {Promise<Take[]>} */
  async all() {
    /** @type {StoredTake[]} */
    const takes = await resultOf(this.#takes("readonly").getAll());
    const expired = takes.filter((take) => take.kept < Date.now() - KEPT_MILLISECONDS);
    await Promise.all(expired.map((take) => this.remove(take)));
    return takes.filter((take) => take.owner === this.#owner && !expired.includes(take));
  }

  /** Store a new take, or the changes to a stored one, and set its id. @param {Take} take */
  async save(take) {
    const id = await resultOf(this.#takes("readwrite").put({ kept: Date.now(), ...take, owner: this.#owner }));
    take.id = Number(id);
  }

  /** @param {Take} take */
  async remove({ id }) {
    if (id !== undefined) await resultOf(this.#takes("readwrite").delete(id));
  }

  /** @param {IDBTransactionMode} mode */
  #takes(mode) {
    return this.#database.transaction("takes", mode).objectStore("takes");
  }
}
