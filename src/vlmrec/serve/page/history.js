// The picked history: items in a row, each can be taken out; somebody's can be taken over.

import { ask } from "./api.js";
import { nameOf, picture, remember } from "./cards.js";
import { at, el } from "./dom.js";
import { change, drop, fromAddress, onChange, state } from "./state.js";

/** Brings the history to life. */
export async function startHistory() {
  onChange(show);
  at("clear").addEventListener("click", () => change({ history: [] }));
  at("user").addEventListener("submit", takeOver);
  suggestUsers();
  const given = fromAddress();
  if (given.length) change({ history: await cardsOf(given) });
  show();
}

function show() {
  const strip = at("picked");
  const focused = [...strip.querySelectorAll("button")].indexOf(document.activeElement);
  strip.replaceChildren(
    ...state.history.map((item, place) => {
      const name = nameOf(item);
      return el(
        "li",
        { class: "card", title: name },
        picture(item),
        el("span", { class: "name" }, name),
        el("button", { type: "button", class: "out", "aria-label": `Take out: ${name}`, click: () => drop(place) }, "×"),
      );
    }),
  );
  at("picked-none").hidden = state.history.length > 0;
  at("clear").hidden = state.history.length === 0;
  const buttons = strip.querySelectorAll("button");
  if (focused >= 0) (buttons[Math.min(focused, buttons.length - 1)] ?? at("words")).focus();
  strip.scrollLeft = strip.scrollWidth;
}

async function takeOver(event) {
  event.preventDefault();
  const user = at("user-id").value.trim();
  if (!user) return;
  try {
    const found = await ask("GET", `/users/${encodeURIComponent(user)}/history`);
    remember(found.items);
    at("user-told").textContent = found.items.length
      ? `${found.items.length} items of ${user}, the oldest first.`
      : `Nothing is known of '${user}'.`;
    if (found.items.length) change({ history: found.items });
  } catch (error) {
    at("user-told").textContent = error.message;
  }
}

async function suggestUsers() {
  try {
    const { users } = await ask("GET", "/users?limit=50");
    at("users").replaceChildren(...users.map((name) => el("option", { value: name })));
    at("user").hidden = false;
  } catch {
    // Whose key may not ask about people can still write an id.
  }
}

async function cardsOf(ids) {
  const cards = ids.map((id) =>
    ask("GET", `/items/${encodeURIComponent(id)}`)
      .then((one) => ({ item_id: id, title: one.fields.title, has_picture: one.has_picture }))
      .catch(() => null),
  );
  const found = (await Promise.all(cards)).filter(Boolean);
  remember(found);
  return found;
}
