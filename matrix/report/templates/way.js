// Draws the path of the packets: a stream from hook to hook, whose width shows the number of
// packets, and beside the stream the packets that were lost between two hooks.

const way = (() => {
  const { element, svg } = dom;
  const { data } = model;

  // Sizes in the drawing's units: the width of the column of labels and of the whole stream, the
  // height of a step from hook to hook and of a hook.
  const [LABELS, STREAM, STEP, HOOK] = [172, 84, 46, 22];
  const LEFT = LABELS + 8; // where the stream begins

  // The part of the panel that draws the paths of a cell's packets; empty if the cell's facts do
  // not count packets by hook.
  function parts(cell) {
    const found = data.ways[cell.facts];
    if (!found) return [];
    const drawings = found.map(([name, stages]) => drawing(name, stages));
    return [element('h3', {}, 'The way of the packets'), element('div', { class: 'ways' }, drawings)];
  }

  function drawing(name, stages) {
    const most = Math.max(1, ...stages.map(([, packets]) => packets));
    const width = (packets) => (STREAM * packets) / most;
    const said = [];
    const marks = stages.map(([hook, packets, note], place) => {
      const before = place ? stages[place - 1][1] : packets;
      const lost = Math.max(0, before - packets);
      const notes = [note, lost ? `${lost} lost before` : ''].filter(Boolean);
      said.push(`${hook}: ${[packets, ...notes].join(', ')}`);
      const y = place * STEP + 4;
      const kept = Math.min(before, packets);
      return [
        place && kept ? stream(y, width(kept)) : [],
        lost ? loss(y, width(kept), width(before), lost) : [],
        packets
          ? svg('rect', { class: 'node', x: LEFT, y, width: width(packets), height: HOOK })
          : svg('path', { class: 'none', d: `M${LEFT} ${y + HOOK / 2}h${STREAM}` }),
        svg('text', { x: LABELS, y: y + 16, 'text-anchor': 'end' }, hook),
        svg(
          'text',
          { class: 'number', x: LEFT + STREAM + 8, y: y + 16 },
          note ? `${packets}  ${note}` : `${packets}`,
        ),
      ];
    });
    const height = (stages.length - 1) * STEP + HOOK + 8;
    const label = `${name ? `${name}: ` : ''}${said.join('; ')}`;
    return element(
      'figure',
      {},
      name ? element('figcaption', {}, element('code', {}, name)) : null,
      svg('svg', { viewBox: `0 0 400 ${height}`, role: 'img', 'aria-label': label }, marks),
    );
  }

  // The stream that flows into the hook at `y` from the hook above.
  function stream(y, width) {
    return svg('rect', { class: 'stream', x: LEFT, y: y - STEP + HOOK, width, height: STEP - HOOK });
  }

  // An arrow to the right, away from the stream, for the packets that do not reach the hook at `y`.
  // The arrow leaves the hook above between the widths of the stream after and before the loss.
  function loss(y, after, before, lost) {
    const top = y - STEP + HOOK;
    const tip = `H${LEFT + STREAM + 26}v-5l9 8.5l-9 8.5v-5`;
    const arrow = `M${LEFT + after} ${top}v6q0 9 9 9${tip}H${LEFT + before}V${top}z`;
    return [
      svg('path', { class: 'lost', d: arrow }),
      svg('text', { class: 'lost', x: LEFT + STREAM + 42, y: top + 18 }, `${lost} lost`),
    ];
  }

  return { parts };
})();
