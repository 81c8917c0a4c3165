// Elements for the page. They are made of text alone: no string from a guest is ever read as
// markup.

const dom = (() => {
  // Of the attributes, `onclick` and its like add a listener, true sets an empty attribute, false
  // and null set none. The children may be nested in arrays; null and undefined stand for no child.
  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
      else if (value === true) made.setAttribute(key, '');
      else if (value !== false && value !== null) made.setAttribute(key, value);
    }
    made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
    return made;
  }

  function svg(name, attributes, ...children) {
    const made = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children.flat(Infinity));
    return made;
  }

  return { element, svg };
})();
