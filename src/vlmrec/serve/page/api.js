// Asking the service. Answers are JSON; what is wrong becomes an Error that says what to do.

const KEY = "vlmrec-key";
let askForKey = () => {};

/** Says what happens when the service wants a key. */
export function onKeyWanted(work) {
  askForKey = work;
}

/** Keeps the key that is sent from now on, for this tab. */
export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

/** Returns what the service answers. */
export async function ask(method, path, body, signal) {
  const headers = authorised();
  const options = { method, headers, signal };
  if (body instanceof FormData) {
    options.body = body;
  } else if (body !== undefined) {
    headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service does not answer. Is it still running?");
  }
  if (answer.status === 401) askForKey();
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw new Error([told.problem || `The service answered ${answer.status}.`, told.fix].filter(Boolean).join(" "));
  }
  return told;
}

/** Lets an <img> show an item's picture, with the key where there is one. */
export async function showPicture(image, itemId) {
  const path = `/items/${encodeURIComponent(itemId)}/picture`;
  if (!sessionStorage.getItem(KEY)) {
    image.src = path;
    return;
  }
  const answer = await fetch(path, { headers: authorised() }).catch(() => null);
  if (!answer || !answer.ok) return;
  image.src = URL.createObjectURL(await answer.blob());
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
}

function authorised() {
  const key = sessionStorage.getItem(KEY);
  return key ? { authorization: `Bearer ${key}` } : {};
}
