// Building pieces of the page. Text is always set as text, so that titles cannot be markup.

/** Returns an element; `facts` are attributes, or listeners where they are functions. */
export function el(tag, facts = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((one) => one != null && one !== false));
  return made;
}

/** Returns the element with an id. */
export function at(id) {
  return document.getElementById(id);
}

/** Shows what went wrong at a place, or nothing. */
export function complain(id, error) {
  at(id).hidden = !error;
  at(id).textContent = error ? error.message : "";
}

/** Returns a function that runs `work` once, a moment after it was last called. */
export function soon(work, milliseconds = 200) {
  let waiting;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(work, milliseconds);
  };
}

/** Returns a number with a sign, as it is added to a score. */
export function signed(value) {
  return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
}

/** Returns a share as a percentage. */
export function percent(share) {
  return `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}
