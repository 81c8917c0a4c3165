// The matrix on the page: which rows and columns are in sight, folding out facts, moving by keyboard.

const table = document.getElementById('matrix');
const rowElements = [...table.querySelectorAll('tr.r')];
const sections = [...table.tBodies];
const seriesHeads = [...table.querySelectorAll('.series th')];
const kernelHeads = [...table.querySelectorAll('.kernels th')].slice(1);
const rowOf = new Map(rowElements.map((tr, index) => [tr, rows[index]]));
const folded = new Map(); // row index -> its fact rows, once they were made
const columnRules = document.styleSheets[0];
const fixedRules = columnRules.cssRules.length;
let inSight = kernels.map((_, column) => column);
let shownRows = rows.map(() => true);
const hits = rows.map(() => new Uint8Array(kernels.length)); // which cells are marked as answering the query

function showColumns(columns, pair) {
  inSight = columns;
  while (columnRules.cssRules.length > fixedRules) columnRules.deleteRule(fixedRules);
  const [first, last] = [columns[0], columns.at(-1)];
  const hide = [];
  if (first > 0) hide.push(`:nth-child(n+2):nth-child(-n+${first + 1})`);
  if (last < kernels.length - 1) hide.push(`:nth-child(n+${last + 3})`);
  if (pair && last - first > 1) hide.push(`:nth-child(n+${first + 3}):nth-child(-n+${last + 1})`);
  for (const which of hide) columnRules.insertRule(`#matrix tr:not(.series, .topic) > ${which} { display: none; }`, fixedRules);
  columnRules.insertRule(`:root { --columns: ${columns.length} !important; }`, fixedRules);
  const there = new Set(columns);
  let column = 0;
  let series = null;
  kernels.forEach((kernel, place) => {
    kernelHeads[place].classList.toggle('o', there.has(place) && kernel.series !== series);
    if (there.has(place)) series = kernel.series;
  });
  for (const head of seriesHeads) {
    const end = column + head.colSpan;
    let span = 0;
    for (; column < end; column += 1) span += there.has(column);
    head.hidden = span === 0;
    head.style.setProperty('--span', span);
  }
  rowElements.forEach((tr, index) => tr.classList.toggle('d', differs(rows[index], columns)));
  markChanges(columns);
  countChanges(columns);
}

// In how many rows each kernel differs from its neighbour in sight; in a dense table there is no room to say so.
function countChanges(columns) {
  columns.forEach((column, place) => {
    const button = kernelHeads[column].querySelector('.into');
    if (!button) return;
    const count = place && rows.filter((row) => changesInto(row, column, columns).length).length;
    button.textContent = `${count} ${count === 1 ? 'row differs' : 'rows differ'}`;
    button.disabled = !place;
  });
}

// A cell is marked as changed against its neighbour in sight: with kernels left out, that is another one than in the table as written.
const VERDICT_MARKS = ['explained', 'unexplained', 'contradicted'];
const remarked = new Map(); // cells whose mark is not the written one, and that one
function markChanges(columns) {
  for (const [target, written] of remarked) {
    target.classList.remove(...VERDICT_MARKS);
    if (written) target.classList.add(written);
  }
  remarked.clear();
  columns.forEach((column, place) => {
    if (column === 0 || (place > 0 && columns[place - 1] === column - 1)) return;
    rows.forEach((row, index) => {
      const target = rowElements[index].cells[column + 1];
      const written = VERDICT_MARKS.find((mark) => target.classList.contains(mark)) || '';
      const grave = changesInto(row, column, columns).reduce((most, change) => Math.max(most, VERDICT_MARKS.indexOf(change.verdict)), -1);
      if (written === (VERDICT_MARKS[grave] || '')) return;
      remarked.set(target, written);
      target.classList.remove(...VERDICT_MARKS);
      if (grave >= 0) target.classList.add(VERDICT_MARKS[grave]);
    });
  });
}

// Shows the rows that answer; returns how many do. Where the query tells cells apart, those that answer are marked.
function showRows({ test, cells }) {
  let count = 0;
  table.classList.toggle('asked', cells);
  const marks = new Uint8Array(kernels.length);
  rows.forEach((row, index) => {
    let shows = false;
    marks.fill(0);
    for (const column of inSight) {
      if (row.cells[column] >= 0 && test(row, column, inSight)) {
        shows = true;
        if (!cells) break;
        marks[column] = 1;
      }
    }
    count += shows;
    if (shows !== shownRows[index]) {
      shownRows[index] = shows;
      rowElements[index].hidden = !shows;
      for (const tr of folded.get(index) || []) tr.hidden = !shows || !isUnfolded(index);
    }
    // A class is set or taken only where that changes something: there may be 20,000 cells.
    const marked = hits[index];
    for (let column = 0; column < marks.length; column += 1) {
      if (marks[column] !== marked[column]) {
        marked[column] = marks[column];
        rowElements[index].cells[column + 1].classList.toggle('hit', marks[column] === 1);
      }
    }
  });
  let index = 0;
  for (const section of sections) {
    const end = index + Number(section.dataset.rows);
    section.hidden = !shownRows.slice(index, end).includes(true);
    index = end;
  }
  return count;
}

const isUnfolded = (index) => rowElements[index].cells[0].querySelector('.fold').getAttribute('aria-expanded') === 'true';

// One row per fact beneath the experiment's: there a change of one fact among many is seen.
function unfold(index, open) {
  const button = rowElements[index].cells[0].querySelector('.fold');
  button.setAttribute('aria-expanded', String(open));
  if (open && !folded.has(index)) folded.set(index, factRows(rows[index]));
  let after = rowElements[index];
  for (const tr of folded.get(index) || []) {
    if (!tr.isConnected) after.after(tr);
    tr.hidden = !open || !shownRows[index];
    after = tr;
  }
}

function factRows(row) {
  const names = new Set(Object.keys(row.experiment.facts));
  kernels.forEach((_, column) => Object.keys(factsAt(row, column)).forEach((name) => names.add(name)));
  return [...names].map((name) => {
    const numbers = new Map();
    const values = kernels.map((_, column) => {
      const value = valueIn(factsAt(row, column), name);
      const key = JSON.stringify(value);
      if (value !== undefined && !numbers.has(key)) numbers.set(key, numbers.size);
      return { value, number: value === undefined ? -1 : numbers.get(key) };
    });
    return element('tr', { class: 'fact' },
      element('th', { scope: 'row', title: valueIn(row.experiment.facts, name) || '' }, name),
      values.map(({ value, number }) => element('td', { class: numbers.size > 1 && number >= 0 ? `k${number % 8}` : null, title: inWords(value) }, inWords(value))));
  });
}

for (const tr of rowElements) {
  const row = rowOf.get(tr);
  tr.cells[0].prepend(element('button', {
    type: 'button', class: 'fold', tabindex: '-1', 'aria-expanded': 'false', 'aria-label': `Facts of ${row.title}`,
  }));
}

// One stop for the Tab key, arrows within: the ARIA grid pattern.
table.setAttribute('role', 'grid');
let stop = null;
function moveTo(target, focus = true) {
  if (!target) return;
  if (stop) stop.tabIndex = -1;
  stop = target;
  stop.tabIndex = 0;
  if (focus) stop.focus({ preventScroll: false });
}
function place(target) {
  const tr = target.closest('tr.r');
  return tr ? { row: rowOf.get(tr), column: target.cellIndex - 1 } : null;
}
const elementAt = (row, column) => rowElements[row.index].cells[column + 1];
function step(from, down, right) {
  const { row, column } = from;
  let index = row.index;
  for (let left = Math.abs(down); left > 0;) {
    let next = index + Math.sign(down);
    while (next >= 0 && next < rows.length && !shownRows[next]) next += Math.sign(down);
    if (next < 0 || next >= rows.length) break;
    index = next;
    left -= 1;
  }
  const stops = [-1, ...inSight];
  const to = Math.max(0, Math.min(stops.length - 1, stops.indexOf(column) + right));
  return { row: rows[index], column: stops[to] };
}
const MOVES = {
  ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], PageDown: [10, 0], PageUp: [-10, 0], Home: [0, -Infinity], End: [0, Infinity],
};
