// A new product: what it would sit next to and whom it would reach; then, if wanted, it is added.

import { ask } from "./api.js";
import { card, remember } from "./cards.js";
import { at, complain, el, percent } from "./dom.js";
import { refresh } from "./lists.js";
import { fill } from "./shelf.js";

let chosen = null;

/** Brings the form to life. */
export function startProduct(run) {
  at("product").hidden = !run.takes_new_items;
  at("words-label").hidden = !run.fields.includes("description");
  at("file").addEventListener("change", () => choose(at("file").files[0]));
  at("trial").addEventListener("submit", tryIt);
  at("keep").addEventListener("submit", keep);
  const drop = at("drop");
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.remove("over");
    });
  }
  drop.addEventListener("drop", (event) => choose(event.dataTransfer.files[0]));
}

function choose(file) {
  chosen = file ?? null;
  const shown = at("drop-shown");
  if (shown.src) URL.revokeObjectURL(shown.src);
  shown.hidden = !chosen;
  if (chosen) shown.src = URL.createObjectURL(chosen);
  else shown.removeAttribute("src");
  at("tried").hidden = true;
}

function form() {
  const fields = { title: at("title").value.trim() };
  const description = at("description").value.trim();
  if (description) fields.description = description;
  const body = new FormData();
  body.set("fields", JSON.stringify(fields));
  if (chosen) body.set("picture", chosen);
  return body;
}

async function tryIt(event) {
  event.preventDefault();
  if (!at("title").value.trim() && !chosen) {
    complain("product-problem", new Error("Give it a title or a picture."));
    return;
  }
  await busy("Reading its words and picture …", async () => {
    const found = await ask("POST", "/try", form());
    for (const one of found.reach.nearest) remember(one.history);
    at("similar").replaceChildren(
      ...found.similar.items.map((one) => el("li", {}, card(one, `cosine ${one.score.toFixed(2)}`))),
    );
    at("reach").textContent = sentence(found.reach);
    at("reached").replaceChildren(...found.reach.nearest.map(person));
    at("tried").hidden = false;
  });
}

function sentence(reach) {
  if (!reach.users) return "No events are stored, so nobody's list can be looked at.";
  return (
    `Of ${reach.users.toLocaleString("en")} people of the latest events ${percent(reach.in_top["10"])} would see it ` +
    `among their first 10 and ${percent(reach.in_top["100"])} among their first 100; ` +
    `its median place is ${Math.round(reach.median_rank).toLocaleString("en")}.`
  );
}

function person(one) {
  const items = one.history.map((item) => el("li", {}, card(item)));
  return el("li", {}, el("p", {}, `User ${one.user_id}: place ${one.rank.toLocaleString("en")}, after`), el("ul", { class: "strip" }, ...items));
}

async function keep(event) {
  event.preventDefault();
  const name = at("keep-id").value.trim();
  if (!name) return;
  await busy("Adding it …", async () => {
    await ask("PUT", `/items/${encodeURIComponent(name)}`, form());
    remember([{ item_id: name, title: at("title").value.trim() || name, has_picture: chosen !== null }]);
    await Promise.all([fill(false), refresh()]);
    return `'${name}' is in the catalogue and can be recommended from now on.`;
  });
}

async function busy(told, work) {
  const buttons = at("product").querySelectorAll("button");
  for (const one of buttons) one.disabled = true;
  at("product-told").textContent = told;
  complain("product-problem", null);
  try {
    at("product-told").textContent = (await work()) ?? "";
  } catch (error) {
    at("product-told").textContent = "";
    complain("product-problem", error);
  } finally {
    for (const one of buttons) one.disabled = false;
  }
}
