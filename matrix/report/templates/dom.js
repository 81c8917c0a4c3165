// Makes elements for the page, from text alone: the browser never reads a string from a guest as
// markup.

const dom = (() => {
  // Makes an HTML element. Attributes such as `onclick` add a listener, true sets an empty
  // attribute, false and null set none. Children may be nested in arrays; null and undefined are
  // left out.
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

  // Makes an SVG element.
  function svg(name, attributes, ...children) {
    const made = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children.flat(Infinity));
    return made;
  }

  return { element, svg };
})();
