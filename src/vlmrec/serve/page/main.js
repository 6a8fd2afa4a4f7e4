// The page's beginning: what is served decides which parts of it there are.

import { ask, onKeyWanted, useKey } from "./api.js";
import { at } from "./dom.js";
import { startHistory } from "./history.js";
import { startLists } from "./lists.js";
import { startProduct } from "./product.js";
import { startShelf } from "./shelf.js";

const READS = { text: "words", image: "pictures" };

onKeyWanted(() => {
  at("key").hidden = false;
  at("key-given").focus();
});
at("key").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(at("key-given").value.trim());
  location.reload();
});

async function start() {
  let run;
  try {
    run = await ask("GET", "/run");
  } catch (error) {
    at("served").textContent = error.message;
    return;
  }
  const reads = run.modalities.map((name) => READS[name]).join(" and ") || "who clicked what";
  const count = run.n_items.toLocaleString("en");
  at("served").textContent = `${run.model} · reads ${reads} · ${count} items · run ${run.run.slice(0, 8)}`;
  startProduct(run);
  await startHistory();
  await Promise.all([startShelf(), startLists(run)]);
  document.body.dataset.ready = "yes";
}

start();
