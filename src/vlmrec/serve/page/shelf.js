// The catalogue: a grid of pictures to pick from, searched by words of the title.

import { ask } from "./api.js";
import { cardButton, remember } from "./cards.js";
import { at, soon } from "./dom.js";
import { pick } from "./state.js";

const AT_A_TIME = 48;
let shown = 0;
let latest = 0;

/** Brings the catalogue to life. */
export function startShelf() {
  at("words").addEventListener("input", soon(() => fill(false)));
  at("further").addEventListener("click", () => fill(true));
  at("grid").addEventListener("keydown", move);
  return fill(false);
}

/** Shows the first items of what is searched for, or more of them. */
export async function fill(further) {
  const number = ++latest;
  const offset = further ? shown : 0;
  const asked = new URLSearchParams({ words: at("words").value, limit: AT_A_TIME, offset });
  try {
    const found = await ask("GET", `/items?${asked}`);
    if (number !== latest) return; // a later search has begun
    remember(found.items);
    const cards = found.items.map((item) => cardButton(item, "Pick", () => pick(item)));
    const first = cards[0];
    if (further) at("grid").append(...cards);
    else at("grid").replaceChildren(...cards);
    if (further && first) first.focus();
    shown = offset + found.items.length;
    at("further").hidden = shown >= found.total;
    at("shelf-told").textContent = `${found.total.toLocaleString("en")} items`;
  } catch (error) {
    at("shelf-told").textContent = error.message;
  }
}

function move(event) {
  const cards = [...at("grid").children];
  const place = cards.indexOf(document.activeElement);
  if (place < 0) return;
  const across = cards.filter((one) => one.offsetTop === cards[0].offsetTop).length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across };
  const next = { Home: 0, End: cards.length - 1 }[event.key] ?? place + (steps[event.key] ?? NaN);
  if (Number.isNaN(next)) return;
  event.preventDefault();
  cards[next]?.focus();
}
