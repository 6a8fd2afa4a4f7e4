// What the page is about: the picked history and the wishes; the address holds it, to be shared.

const listeners = [];

export const state = {
  history: [], // cards, oldest first
  modality: null, // "text", "image", or null for both
  other: null, // another run
  filter: "",
  diversity: 0,
  places: 10,
};

/** Calls `work` whenever something of the state changes. */
export function onChange(work) {
  listeners.push(work);
}

/** Changes the state and tells everybody. */
export function change(parts) {
  Object.assign(state, parts);
  writeAddress();
  for (const work of listeners) work();
}

/** Adds an item to the end of the history. */
export function pick(item) {
  change({ history: [...state.history, item] });
}

/** Takes the item at a place out of the history. */
export function drop(place) {
  change({ history: state.history.filter((_, n) => n !== place) });
}

/** Returns the ids of the history that the address names. */
export function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).getAll("item");
  return given.slice(0, 1000);
}

function writeAddress() {
  const parts = new URLSearchParams(state.history.map((one) => ["item", one.item_id]));
  history.replaceState(null, "", parts.size ? `#${parts}` : location.pathname);
}
