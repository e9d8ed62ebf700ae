// Elements as values: h makes them, patch turns a container's content into
// them while keeping what is the same, so that focus, selection and a screen
// reader's place survive a refresh. Text is only ever set as text.

export const $ = (id) => document.getElementById(id);

// h makes an element. Children are nodes, strings or arrays of them; null and
// false are left out.
export const h = (tag, attributes, ...children) => make(document.createElement(tag), attributes, children);

// svg makes an element of a drawing.
export const svg = (tag, attributes, ...children) => make(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function make(element, attributes = {}, children = []) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

// patch makes container's children equal to the given ones.
export function patch(container, ...children) {
  const wanted = h("div", {}, children);
  patchChildren(container, wanted);
}

function patchChildren(have, want) {
  const wanted = [...want.childNodes];
  wanted.forEach((next, i) => {
    const now = have.childNodes[i];
    if (!now) have.append(next);
    else if (now.nodeName !== next.nodeName) now.replaceWith(next);
    else if (now.nodeType === Node.TEXT_NODE) {
      if (now.data !== next.data) now.data = next.data;
    } else patchElement(now, next);
  });
  while (have.childNodes.length > wanted.length) have.lastChild.remove();
}

function patchElement(now, next) {
  for (const { name } of [...now.attributes]) {
    // What the reader opened stays open.
    if (!next.hasAttribute(name) && !(now.nodeName === "DETAILS" && name === "open")) now.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  patchChildren(now, next);
}

// table makes a table; a column is [heading, class] or a heading.
export function table(columns, rows) {
  const heads = columns.map((c) => (Array.isArray(c) ? c : [c, null]));
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, heads.map(([text, cls]) => h("th", { scope: "col", class: cls }, text)))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, i) => h("td", { class: heads[i][1] }, cell)))))));
}
