// The packets' way as a drawing: a stream from hook to hook, as wide as there are packets, and what left it on the way.

const [LABELS, STREAM, STEP, NODE] = [172, 84, 46, 22]; // widths of labels and of the whole stream; heights of a step and of a hook

function svg(name, attributes, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.flat(Infinity));
  return made;
}

function wayParts(cell) {
  const found = data.ways[cell.facts];
  if (!found) return [];
  return [element('h3', {}, 'The way of the packets'), element('div', { class: 'ways' }, found.map(([name, stages]) => drawing(name, stages)))];
}

function drawing(name, stages) {
  const most = Math.max(1, ...stages.map(([, packets]) => packets));
  const width = (packets) => (STREAM * packets) / most;
  const said = [];
  const marks = stages.map(([hook, packets, note], place) => {
    const y = place * STEP + 4;
    const [before, left] = [place ? stages[place - 1][1] : packets, LABELS + 8];
    const lost = Math.max(0, before - packets);
    said.push(`${hook}: ${packets}${note ? `, ${note}` : ''}${lost ? `, ${lost} lost before` : ''}`);
    const kept = Math.min(before, packets);
    return [
      place && kept ? svg('rect', { class: 'stream', x: left, y: y - STEP + NODE, width: width(kept), height: STEP - NODE }) : [],
      lost ? [
        svg('path', { class: 'lost', d: `M${left + width(kept)} ${y - STEP + NODE}v6q0 9 9 9H${left + STREAM + 26}v-5l9 8.5l-9 8.5v-5H${left + width(before)}` +
          `q0 0 0 0V${y - STEP + NODE}z` }),
        svg('text', { class: 'lost', x: left + STREAM + 42, y: y - STEP + NODE + 18 }, `${lost} lost`),
      ] : [],
      packets ? svg('rect', { class: 'node', x: left, y, width: width(packets), height: NODE }) :
        svg('path', { class: 'none', d: `M${left} ${y + NODE / 2}h${STREAM}` }),
      svg('text', { x: LABELS, y: y + 16, 'text-anchor': 'end' }, hook),
      svg('text', { class: 'number', x: left + STREAM + 8, y: y + 16 }, `${packets}${note ? `  ${note}` : ''}`),
    ];
  });
  const label = `${name ? `${name}: ` : ''}${said.join('; ')}`;
  return element('figure', {}, name ? element('figcaption', {}, element('code', {}, name)) : null,
    svg('svg', { viewBox: `0 0 400 ${(stages.length - 1) * STEP + NODE + 8}`, role: 'img', 'aria-label': label }, marks));
}
