// The panel beside the matrix: one cell or one row in full.

const panel = document.getElementById('panel');
const INLINE_NOTE = 'not in this page; the file has it';

async function evidenceOf(row) {
  const holder = document.getElementById(`evidence-${row.index}`);
  if (!holder) return {};
  if (!row.evidence) {
    const bytes = Uint8Array.from(atob(holder.textContent), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
    row.evidence = await new Response(stream).json();
  }
  return row.evidence;
}

const badge = (cell) => element('span', { class: `badge ${cell.behaviour >= 0 ? `k${cell.behaviour % 8}` : ''} ${cell.status}` },
  [cell.behaviour >= 0 ? `${letter(cell.behaviour)} ` : '', data.statuses[cell.status], ' ', cell.status]);

function head(title, under, ...buttons) {
  return element('div', { class: 'head' }, element('h2', { id: 'panel-title' }, title, element('small', {}, under)), buttons,
    element('button', { type: 'button', 'aria-label': 'Close', onclick: () => go({ open: null }) }, '✕'));
}

function mover(sign, label, target) {
  return element('button', { type: 'button', 'aria-label': label, disabled: !target, onclick: () => go({ open: target }) }, sign);
}

function showCell(row, column) {
  const cell = cellAt(row, column);
  const kernel = kernels[column];
  const here = { row, column };
  const to = (down, right) => { const found = step(here, down, right); return (found.row === row && found.column === column) || found.column < 0 ? null : found; };
  const parts = [
    head(row.title, `${kernel.name} · ${kernel.version}`,
      mover('‹', 'Older kernel', to(0, -1)), mover('›', 'Newer kernel', to(0, 1)), mover('↑', 'Row above', to(-1, 0)), mover('↓', 'Row below', to(1, 0))),
    element('p', {}, row.experiment.question),
  ];
  if (!cell) parts.push(element('p', {}, 'This cell was not run.'));
  else {
    parts.push(element('p', {}, badge(cell), ` in ${row.seconds[column]} s${cell.attempts > 1 ? `, after ${cell.attempts} attempts` : ''}`));
    if (cell.reason) parts.push(element('pre', { tabindex: '0', 'aria-label': 'Reason' }, cell.reason));
    parts.push(...changeParts(row, column), ...wayParts(cell), ...factParts(row, column), ...replayParts(row, kernel), ...evidenceParts(row, column, cell));
  }
  if (row.experiment.doc) parts.push(element('details', {}, element('summary', {}, 'About this experiment'), element('pre', { tabindex: '0' }, row.experiment.doc)));
  return parts;
}

function changeParts(row, column) {
  const found = changesInto(row, column, inSight);
  return found.length ? [element('h3', {}, 'What changed'), found.map(changePart)] : [];
}

const VERDICTS = { explained: 'Explained change', unexplained: 'Unexplained change', contradicted: 'Not the change that the ledger expects' };

function changePart(change) {
  return element('div', { class: `change ${change.verdict}` },
    element('p', {}, element('b', {}, VERDICTS[change.verdict]), ` between ${kernels[change.from].name} and ${kernels[change.at].name}`),
    element('ul', {}, change.facts.map((one) => element('li', {}, one.fact ? element('code', {}, one.fact) : 'the cell',
      ` ${moved(one.before, one.after)}`, verdictNote(change, one)))),
    [...new Set(change.facts.flatMap((one) => one.commits || []))].map((place) => {
      const lost = (change.lost || []).includes(place);
      const [has, lacks] = [kernels[lost ? change.from : change.at].name, kernels[lost ? change.at : change.from].name];
      return commit(data.ledger[place], `${has} has this commit, ${lacks} does not:`);
    }));
}

// Said of one fact where it is not what is said of all.
function verdictNote(change, one) {
  if (one.missing) return `; nothing explains ${one.missing.join(', ')}`;
  return one.verdict === change.verdict ? '' : ` (${one.verdict})`;
}

function commit(entry, held) {
  const title = entry.link ? element('a', { href: entry.link, rel: 'noreferrer' }, entry.title) : entry.title;
  return element('p', { class: 'commit' }, held, element('br'), entry.sentence, element('cite', {}, title), element('small', {}, [entry.hash, entry.where].filter(Boolean).join(', ')));
}

function factParts(row, column) {
  const facts = factsAt(row, column);
  const sides = [neighbour(row, column, -1, inSight), neighbour(row, column, 1, inSight)];
  const names = new Set([...Object.keys(row.experiment.facts), ...Object.keys(facts)]);
  sides.filter((side) => side >= 0).forEach((side) => Object.keys(factsAt(row, side)).forEach((name) => names.add(name)));
  if (!Object.keys(facts).length && sides.every((side) => side < 0)) return [];
  const heading = (side) => (side < 0 ? null : element('th', { scope: 'col' }, kernels[side].name));
  const value = (side, name) => {
    if (side < 0) return null;
    const found = valueIn(factsAt(row, side), name);
    return element('td', { class: tint(side, differing(name)) }, inWords(found));
  };
  const tint = (at, colour) => { const cell = cellAt(row, at); return colour && cell && cell.behaviour >= 0 ? `k${cell.behaviour % 8}` : null; };
  const differing = (name) => sides.some((side) => side >= 0 && !same(valueIn(factsAt(row, side), name), valueIn(facts, name)));
  const [left, right] = sides;
  return [
    element('h3', {}, 'Facts'),
    element('table', { class: 'facts' },
      element('thead', {}, element('tr', {}, element('th', { scope: 'col' }, 'fact'), heading(left), element('th', { scope: 'col' }, element('b', {}, kernels[column].name)), heading(right))),
      element('tbody', {}, [...names].map((name) => {
        return element('tr', { class: differing(name) ? 'differs' : null },
          element('th', { scope: 'row' }, element('code', {}, name), element('small', {}, valueIn(row.experiment.facts, name) || '')),
          value(left, name), value(column, name), value(right, name));
      }))),
  ];
}

function replayParts(row, kernel) {
  // Debian's packages are named to the last digit, so that the same build is asked and not a newer one of its series.
  const spec = kernel.id.startsWith('debian:') ? kernel.id : `${kernel.name}=${kernel.id.replace(/=[0-9a-f]+$/, '')}`;
  const command = `./invoke matrix -k ${quoted(spec)} ${replaySpecs(row).map((spec) => `-e ${quoted(spec)}`).join(' ')}`;
  const button = element('button', { type: 'button', onclick: async () => {
    try {
      await navigator.clipboard.writeText(command);
      button.textContent = 'copied';
    } catch {
      getSelection().selectAllChildren(button.previousElementSibling);
    }
  } }, 'copy');
  return [element('h3', {}, 'Run it again'), element('div', { class: 'replay' }, element('pre', { tabindex: '0' }, command.split(/(?<= )/).map((word) => element('span', {}, word))), button)];
}

// The row's variants and no others; without a label it stands for all of them.
function replaySpecs(row) {
  const { name } = row.experiment;
  return row.label ? row.label.split('; ').map((label) => `${name}[${label}]`) : [name];
}

const quoted = (text) => (/^[\w.,:=+@%/~-]+$/.test(text) && !text.startsWith('~') ? text : `'${text.replaceAll("'", "'\\''")}'`);

function evidenceParts(row, column, cell) {
  if (!cell.evidence.length) return [];
  const base = directory(row, column, row.variants[0]);
  const list = element('div', {}, cell.evidence.map((name) => element('p', {}, element('a', { href: `${base}/${encodeURIComponent(name)}` }, name))));
  evidenceOf(row).then((all) => {
    const own = all[column] || {};
    list.replaceChildren(...cell.evidence.map((name) => evidenceFile(name, `${base}/${encodeURIComponent(name)}`, own[name])));
  }, (error) => list.prepend(element('p', {}, `The evidence in this page cannot be read (${error.message}); the files have it.`)));
  return [element('h3', {}, 'Evidence'), list, alsoParts(row, column)];
}

const directory = (row, column, variant) =>
  ['..', 'cells', kernels[column].name, row.experiment.name, ...(variant ? [variant] : [])].map((part) => encodeURIComponent(part)).join('/');

// A row stands for every variant that gave the same on every kernel; the page carries the first one's evidence.
function alsoParts(row, column) {
  if (row.variants.length < 2) return null;
  return element('p', {}, `This is ${row.variants[0]}. The same was found with `,
    row.variants.slice(1).flatMap((variant, place) => [place ? ', ' : '', element('a', { href: `${directory(row, column, variant)}/` }, variant)]), '.');
}

function evidenceFile(name, href, found) {
  const link = element('a', { href }, 'file');
  if (!found) return element('details', {}, element('summary', {}, name, ' ', element('small', {}, INLINE_NOTE)), element('p', {}, link));
  const body = found.packets ? packetTable(found) : element('pre', { tabindex: '0', 'aria-label': name }, found.text);
  return element('details', { open: name === 'conntrack.txt' },
    element('summary', {}, name, ' ', element('small', {}, found.note)), body, element('p', {}, link));
}

function packetTable({ packets }) {
  const placed = packets.some(([, place]) => place); // a cooked capture says through which interface
  const heads = ['s', ...(placed ? ['interface'] : []), 'from', 'to', 'packet', 'bytes'];
  return element('div', { class: 'wide', tabindex: '0', role: 'region', 'aria-label': 'Packets' }, element('table', { class: 'packets' },
    element('thead', {}, element('tr', {}, heads.map((name) => element('th', { scope: 'col' }, name)))),
    element('tbody', {}, packets.map(([seconds, place, source, destination, protocol, what, length]) =>
      element('tr', {}, [seconds.toFixed(4), ...(placed ? [place] : []), source, destination, `${protocol} ${what}`, length].map((text) => element('td', {}, String(text))))))));
}

function showRow(row) {
  const byClass = new Map();
  const others = [];
  kernels.forEach((kernel, column) => {
    const cell = cellAt(row, column);
    if (!cell) return;
    if (!comparable(cell)) others.push([kernel, cell]);
    else if (byClass.has(cell.behaviour)) byClass.get(cell.behaviour).columns.push(column);
    else byClass.set(cell.behaviour, { cell, columns: [column] });
  });
  const first = byClass.size ? factsAt(row, byClass.values().next().value.columns[0]) : {};
  return [
    head(row.title, row.experiment.topic),
    element('p', {}, row.experiment.question),
    element('h3', {}, byClass.size > 1 ? `${byClass.size} behaviours` : 'One behaviour'),
    [...byClass.values()].map(({ cell, columns }, place) => {
      const facts = data.facts[cell.facts];
      const shown = Object.entries(facts).filter(([name, value]) => place === 0 || !same(value, valueIn(first, name)));
      return [
        element('p', {}, badge(cell), ' ', ranges(columns)),
        element('dl', {}, shown.map(([name, value]) => [element('dt', {}, element('code', {}, name)), element('dd', {}, inWords(value))])),
      ];
    }),
    row.changes.size ? element('h3', {}, 'What changed') : null,
    [...row.changes.values()].map(changePart),
    others.length ? element('h3', {}, 'Not compared') : null,
    others.map(([kernel, cell]) => element('p', {}, badge(cell), ` ${kernel.name} `, cell.reason.split('\n')[0])),
    row.experiment.invariants.length ? element('h3', {}, 'Must hold on every kernel') : null,
    element('ul', {}, row.experiment.invariants.map((text) => element('li', {}, text))),
    row.experiment.doc ? [element('h3', {}, 'About this experiment'), element('pre', { tabindex: '0' }, row.experiment.doc)] : null,
  ];
}

// 5.10.1 to 6.1.90, 6.12.3: columns that follow each other are one range.
function ranges(columns) {
  const found = [];
  columns.forEach((column) => {
    if (found.length && found.at(-1)[1] === column - 1) found.at(-1)[1] = column;
    else found.push([column, column]);
  });
  return found.map(([from, to]) => (from === to ? kernels[from].name : `${kernels[from].name} to ${kernels[to].name}`)).join(', ');
}
