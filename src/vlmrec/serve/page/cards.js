// Items as small pictures with a title.

import { showPicture } from "./api.js";
import { el } from "./dom.js";

/** What is known of items that were on the page: id -> {item_id, title, has_picture}. */
const known = new Map();

/** Remembers what items look like, for lists that name them by id. */
export function remember(cards) {
  for (const one of cards) known.set(one.item_id, one);
}

/** Returns how people call an item. */
export function nameOf(item) {
  return item.title || known.get(item.item_id)?.title || item.item_id;
}

/** Returns the picture of an item; a plain tile with its first letters where there is none. */
export function picture(item) {
  const card = item.has_picture === undefined ? known.get(item.item_id) ?? item : item;
  const box = el("span", { class: "picture" });
  if (card.has_picture === false) {
    box.append(tile(item));
    return box;
  }
  const image = el("img", { alt: "", loading: "lazy", error: () => box.replaceChildren(tile(item)) });
  box.append(image);
  showPicture(image, item.item_id);
  return box;
}

/** Returns a card that does something when it is chosen. */
export function cardButton(item, action, work) {
  const name = nameOf(item);
  return el(
    "button",
    { type: "button", class: "card", title: name, "aria-label": `${action}: ${name}`, "data-item": item.item_id, click: work },
    picture(item),
    el("span", { class: "name" }, name),
  );
}

/** Returns a card to look at. */
export function card(item, note) {
  return el(
    "span",
    { class: "card", title: nameOf(item), "data-item": item.item_id },
    picture(item),
    el("span", { class: "name" }, nameOf(item)),
    note && el("span", { class: "quiet" }, note),
  );
}

function tile(item) {
  return el("span", { class: "tile", "aria-hidden": "true" }, nameOf(item).slice(0, 2));
}
