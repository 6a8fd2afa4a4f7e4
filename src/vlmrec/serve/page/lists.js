// What is recommended after the picked history: one list, or two runs side by side.

import { ask } from "./api.js";
import { nameOf, picture, remember } from "./cards.js";
import { at, complain, el, soon } from "./dom.js";
import { change, onChange, pick, state } from "./state.js";
import { explain } from "./why.js";

let running = null;

/** Brings the lists to life. */
export function startLists(run) {
  at("modality").hidden = !(run.modalities.includes("text") && run.modalities.includes("image"));
  at("other").append(...run.runs.map((name) => el("option", { value: name }, name)));
  at("other-label").hidden = run.runs.length === 0;
  const some = run.fields.slice(0, 8).join(", ");
  at("filter-hint").textContent = `Fields: ${some}. For example: ${example(run.fields)}`;
  for (const one of document.querySelectorAll("#modality input")) {
    one.addEventListener("change", () => change({ modality: one.value || null }));
  }
  at("other").addEventListener("change", () => {
    at("modality").disabled = at("other").value !== "";
    change({ other: at("other").value || null });
  });
  at("filter").addEventListener("input", soon(() => change({ filter: at("filter").value.trim() }), 500));
  at("diversity").addEventListener("input", soon(() => change({ diversity: Number(at("diversity").value) })));
  at("places").addEventListener("change", () => change({ places: Number(at("places").value) }));
  onChange(refresh);
  return refresh();
}

/** Asks anew. */
export async function refresh() {
  running?.abort();
  const mine = (running = new AbortController());
  at("columns").setAttribute("aria-busy", "true");
  try {
    await (state.other ? compared(mine.signal) : single(mine.signal));
    complain("lists-problem", null);
  } catch (error) {
    if (error.name === "AbortError") return; // something newer was asked
    complain("lists-problem", error);
    at("lists-told").textContent = "";
  }
  at("columns").removeAttribute("aria-busy");
}

async function single(signal) {
  const wish = { ...limits(), diversity: state.diversity };
  if (state.modality) wish.modality = state.modality;
  const list = await ask("POST", "/recommend", wish, signal);
  at("lists-told").textContent = told(list);
  at("columns").replaceChildren(column(null, list, new Set(), state.modality === null));
}

async function compared(signal) {
  const both = await ask("POST", "/compare", { ...limits(), run: state.other }, signal);
  const ids = new Set(both.other.items.map((one) => one.item_id));
  const shared = new Set(both.served.items.map((one) => one.item_id).filter((id) => ids.has(id)));
  at("lists-told").textContent = `${both.in_both} of ${both.served.items.length} in both lists`;
  at("columns").replaceChildren(
    column("Served now", both.served, shared, true),
    column(state.other, both.other, shared, false),
  );
}

function limits() {
  const wish = { history: state.history.map((one) => one.item_id), k: state.places };
  if (state.filter) wish.filter = state.filter;
  return wish;
}

function told(list) {
  if (list.fallback) return state.history.length ? "Nothing of it is known: the most frequent items." : "Without a history: the most frequent items.";
  return state.modality ? "Items that have it, by this alone." : "";
}

function column(title, list, shared, explained) {
  remember(list.items);
  const scores = list.items.map((one) => one.score);
  const best = Math.max(...scores);
  const worst = Math.min(...scores);
  const rows = list.items.map((item) => {
    const part = best > worst ? 0.15 + (0.85 * (item.score - worst)) / (best - worst) : 1;
    return row(item, part, shared.has(item.item_id), explained && !list.fallback);
  });
  return el(
    "div",
    { class: "column" },
    title && el("h3", {}, title),
    list.items.length ? el("ol", { class: "list" }, ...rows) : el("p", { class: "quiet" }, "No item is left."),
  );
}

function row(item, part, inBoth, explained) {
  const name = nameOf(item);
  const place = el("div", { class: "why", hidden: true });
  const bar = el("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--part", part);
  const why = explained && el("button", { type: "button", class: "plain", "aria-expanded": "false", "aria-label": `Why: ${name}`, click: () => explain(item, why, place) }, "Why?");
  return el(
    "li",
    { "data-item": item.item_id, class: inBoth ? "both" : "" },
    el("span", { class: "rank" }, String(item.rank)),
    picture(item),
    el(
      "span",
      { class: "grow" },
      el("span", { class: "name" }, name),
      el("span", { class: "score" }, bar, item.score.toFixed(2)),
      inBoth && el("span", { class: "tag" }, "in both lists"),
    ),
    el(
      "span",
      { class: "buttons" },
      why,
      el("button", { type: "button", class: "plain", "aria-label": `Pick: ${name}`, click: () => pick(item) }, "+"),
    ),
    place,
  );
}

function example(fields) {
  if (fields.includes("genres")) return 'genres has "Comedy"';
  if (fields.includes("year")) return "year >= 1990";
  return `${fields[0] ?? "title"} has "red"`;
}
