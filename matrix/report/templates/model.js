// The run as the page knows it: what was written into #data, and the questions the rest of the script asks of it.

const data = JSON.parse(document.getElementById('data').textContent);
const kernels = data.kernels;
const rows = data.rows.map((row, index) => {
  const experiment = data.experiments[row.experiment];
  return {
    ...row,
    index,
    experiment,
    key: row.label ? `${experiment.name}/${row.label}` : experiment.name,
    title: row.label ? `${experiment.name} ${row.label}` : experiment.name,
    text: [experiment.name, experiment.topic, experiment.question, ...row.variants, ...Object.keys(experiment.facts)].join('\n').toLowerCase(),
    changes: new Map((row.changes || []).map((change) => [change.at, change])),
  };
});
const rowByKey = new Map(rows.map((row) => [row.key, row]));
const kernelByName = new Map(kernels.map((kernel, column) => [kernel.name, column]));

const cellAt = (row, column) => data.cells[row.cells[column]] || null;
const factsAt = (row, column) => {
  const cell = cellAt(row, column);
  return cell ? data.facts[cell.facts] : {};
};

// A fact may be called constructor.
const valueIn = (facts, name) => (Object.hasOwn(facts, name) ? facts[name] : undefined);

// Whether a cell holds what a kernel did: everything but our own errors and what disagreed with itself.
const comparable = (cell) => cell !== null && cell.behaviour !== -1;

// The nearest cell to one side that can be compared, within the columns in sight; -1 if there is none.
function neighbour(row, column, step, columns) {
  for (let place = columns.indexOf(column) + step; place >= 0 && place < columns.length; place += step) {
    const cell = cellAt(row, columns[place]);
    if (comparable(cell)) return columns[place];
  }
  return -1;
}

function differs(row, columns) {
  let first;
  for (const column of columns) {
    const cell = cellAt(row, column);
    if (!comparable(cell)) continue;
    if (first === undefined) first = cell.behaviour;
    else if (cell.behaviour !== first) return true;
  }
  return false;
}

// What leads from the cell's left neighbour in sight to the cell: the changes in between.
function changesInto(row, column, columns) {
  const cell = cellAt(row, column);
  if (!comparable(cell)) return [];
  const from = neighbour(row, column, -1, columns);
  if (from < 0 || cellAt(row, from).behaviour === cell.behaviour) return [];
  const found = [];
  for (let at = from + 1; at <= column; at += 1) if (row.changes.has(at)) found.push(row.changes.get(at));
  return found;
}

function inWords(value) {
  if (value === undefined) return '';
  if (value === true) return 'yes';
  if (value === false) return 'no';
  if (Array.isArray(value)) return value.join(', ') || 'none';
  if (typeof value === 'object') return Object.entries(value).map(([key, number]) => `${key} ${number}`).join(', ') || 'none';
  return value === '' ? 'empty' : String(value);
}

// Two values of a fact; of long lists and maps what differs between them.
function moved(before, after) {
  const [was, now] = [inWords(before) || 'absent', inWords(after) || 'absent'];
  const items = (value) => (Array.isArray(value) ? value : Object.entries(value).map(([key, number]) => `${key} ${number}`));
  const listed = (value) => value !== null && typeof value === 'object';
  if (Math.max(was.length, now.length) > 80 && listed(before) && listed(after)) {
    const [old, young] = [items(before), items(after)];
    const less = old.filter((item) => !young.includes(item));
    const more = young.filter((item) => !old.includes(item));
    if (less.length < old.length && less.length + more.length) {
      return [less.length ? `without ${less.join(', ')}` : '', more.length ? `with ${more.join(', ')}` : ''].filter(Boolean).join('; ');
    }
  }
  return `${was} → ${now}`;
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

function letter(number) {
  let text = '';
  for (let left = number + 1; left > 0; left = Math.floor((left - 1) / 26)) text = String.fromCharCode(65 + ((left - 1) % 26)) + text;
  return text;
}

// Elements are made from text alone: no string from a guest is ever read as markup.
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, '');
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}
