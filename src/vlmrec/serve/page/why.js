// Why an item is recommended: shares of words and picture, the clicks that carried it, its kin.

import { ask } from "./api.js";
import { card } from "./cards.js";
import { el, signed } from "./dom.js";
import { state } from "./state.js";

const SHOWN_CLICKS = 4;
const PARTS = [
  ["text", "words"],
  ["image", "picture"],
  ["rest", "neither"],
];

/** Opens or closes the explanation of an item. */
export async function explain(item, button, place) {
  const open = place.hidden;
  place.hidden = !open;
  button.setAttribute("aria-expanded", String(open));
  if (!open || place.childElementCount) return;
  place.replaceChildren(el("p", { class: "quiet" }, "Leaving out one click after the other …"));
  try {
    const history = state.history.map((one) => one.item_id);
    const found = await ask("POST", "/explain", { item_id: item.item_id, history });
    place.replaceChildren(...pieces(found));
  } catch (error) {
    place.replaceChildren(el("p", { class: "problem" }, error.message));
  }
}

function pieces(found) {
  return [
    el("p", {}, `Score ${found.score.toFixed(2)}, place ${found.rank} of all items that were not seen.`),
    found.shares && shares(found.shares),
    ...clicks(found.clicks),
    ...nearest(found.nearest),
  ].filter(Boolean);
}

function shares(found) {
  const whole = PARTS.reduce((sum, [name]) => sum + Math.abs(found[name]), 0) || 1;
  const bars = PARTS.map(([name, word]) => {
    const bar = el("span", { class: `share ${name} ${found[name] < 0 ? "minus" : ""}`, title: `${word} ${signed(found[name])}` });
    bar.style.flexGrow = Math.abs(found[name]) / whole;
    return bar;
  });
  const legend = PARTS.map(([name, word]) =>
    el("span", { class: "key" }, el("span", { class: `dot ${name}` }), `${word} ${signed(found[name])}`),
  );
  return el("div", {}, el("div", { class: "shares", "aria-hidden": "true" }, ...bars), el("p", { class: "legend" }, ...legend));
}

function clicks(found) {
  if (!found.length) return [];
  const shown = found.slice(0, SHOWN_CLICKS).map((one) => {
    const without = `without it place ${one.rank_without}`;
    return el("li", {}, card(one, `${signed(one.added)}, ${without}`));
  });
  return [el("h4", {}, "The clicks that carried it"), el("ul", { class: "strip" }, ...shown)];
}

function nearest(found) {
  const words = { text: "by words", image: "by picture" };
  const shown = Object.entries(found).map(([name, one]) =>
    el("li", {}, card(one, `${words[name]}, cosine ${one.cosine.toFixed(2)}`)),
  );
  return shown.length ? [el("h4", {}, "Nearest of the history"), el("ul", { class: "strip" }, ...shown)] : [];
}

