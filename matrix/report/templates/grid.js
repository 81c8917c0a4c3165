// The matrix on the page: which rows and columns are visible, the rows of facts under an
// experiment's row, and moving from cell to cell by keyboard.

const grid = (() => {
  const { element } = dom;
  const { data, kernels, rows, cellAt, factsAt, valueIn, comparable, differs, changesInto, inWords } = model;

  const table = document.getElementById('matrix');
  const rowElements = [...table.querySelectorAll('tr.r')];
  const sections = [...table.tBodies];
  const seriesHeads = [...table.querySelectorAll('.series th')];
  const kernelHeads = [...table.querySelectorAll('.kernels th')].slice(1);
  const rowOf = new Map(rowElements.map((tr, index) => [tr, rows[index]]));
  const elementAt = (row, column) => rowElements[row.index].cells[column + 1];

  // Columns

  const columnRules = document.styleSheets[0];
  const fixedRules = columnRules.cssRules.length; // the rules after these hide columns, and change with them
  let inSight = kernels.map((_, column) => column);
  const columnsInSight = () => inSight;

  // Shows these columns and no others. `pair` is true if only two kernels are compared and the
  // columns between them are hidden.
  function showColumns(columns, pair) {
    inSight = columns;
    hideOthers(columns, pair);
    fitHeads(columns);
    rowElements.forEach((tr, index) => tr.classList.toggle('d', differs(rows[index], columns)));
    markChanges(columns);
    joinCells(columns);
    countChanges(columns);
  }

  function hideOthers(columns, pair) {
    while (columnRules.cssRules.length > fixedRules) columnRules.deleteRule(fixedRules);
    const [first, last] = [columns[0], columns.at(-1)];
    const hide = [];
    if (first > 0) hide.push(`:nth-child(n+2):nth-child(-n+${first + 1})`);
    if (last < kernels.length - 1) hide.push(`:nth-child(n+${last + 3})`);
    if (pair && last - first > 1) hide.push(`:nth-child(n+${first + 3}):nth-child(-n+${last + 1})`);
    const add = (rule) => columnRules.insertRule(rule, fixedRules);
    for (const which of hide) add(`#matrix tr:not(.series, .topic) > ${which} { display: none; }`);
    add(`:root { --columns: ${columns.length} !important; }`);
  }

  // Makes the head of each series span the visible kernels of that series, and draws a rule before
  // the first of them.
  function fitHeads(columns) {
    const there = new Set(columns);
    let series = null;
    kernels.forEach((kernel, column) => {
      kernelHeads[column].classList.toggle('o', there.has(column) && kernel.series !== series);
      if (there.has(column)) series = kernel.series;
    });
    let begin = 0;
    for (const head of seriesHeads) {
      const end = begin + head.colSpan;
      const span = columns.filter((column) => begin <= column && column < end).length;
      begin = end;
      head.hidden = span === 0;
      head.style.setProperty('--span', span);
    }
  }

  // Writes into each kernel's head in how many rows the kernel differs from the visible kernel to
  // its left. The heads of a dense table have no room for that, and no such button.
  function countChanges(columns) {
    columns.forEach((column, place) => {
      const button = kernelHeads[column].querySelector('.into');
      if (!button) return;
      const count = place && rows.filter((row) => changesInto(row, column, columns).length).length;
      button.textContent = `${count} ${count === 1 ? 'row differs' : 'rows differ'}`;
      button.disabled = !place;
    });
  }

  // In the table as written, a mark compares each cell with the kernel to its left. If that kernel
  // is hidden, the mark must compare the cell with the visible kernel to its left.
  const VERDICTS = Object.keys(data.verdicts); // each is a CSS class; the most serious is last
  const remarked = new Map(); // cell element -> its mark as written, for each cell whose mark was changed
  function markChanges(columns) {
    for (const [target, written] of remarked) {
      target.classList.remove(...VERDICTS);
      if (written) target.classList.add(written);
    }
    remarked.clear();
    columns.forEach((column, place) => {
      if (column === 0 || (place > 0 && columns[place - 1] === column - 1)) return;
      for (const row of rows) {
        const target = elementAt(row, column);
        const written = VERDICTS.find((verdict) => target.classList.contains(verdict)) || '';
        const found = changesInto(row, column, columns).map((change) => VERDICTS.indexOf(change.verdict));
        const mark = VERDICTS[Math.max(-1, ...found)] || '';
        if (written === mark) continue;
        remarked.set(target, written);
        target.classList.remove(...VERDICTS);
        if (mark) target.classList.add(mark);
      }
    });
  }

  // Neighbours in sight that behave alike are one strip: its first cell (class s2, s3, ... by the
  // number of cells) shows the letter and the facts, the others (class j) nothing of their own.
  const alike = (one, other) =>
    one !== null &&
    other !== null &&
    comparable(one) &&
    one.behaviour === other.behaviour &&
    one.status === other.status &&
    Boolean(one.splats) === Boolean(other.splats);

  // For each column the number of cells of the strip that begins there, 0 where none begins.
  function spansOf(row, columns) {
    const found = new Uint16Array(kernels.length);
    let head = columns[0];
    columns.forEach((column, place) => {
      if (place && !alike(cellAt(row, columns[place - 1]), cellAt(row, column))) head = column;
      found[head] += 1;
    });
    return found;
  }

  const writtenSpans = rows.map((row) => spansOf(row, inSight));
  const spans = writtenSpans.map((written) => written.slice()); // as the elements have them now
  function joinCells(columns) {
    const whole = columns.length === kernels.length;
    for (const row of rows) {
      const wanted = whole ? writtenSpans[row.index] : spansOf(row, columns);
      const present = spans[row.index];
      for (const column of columns) {
        if (present[column] === wanted[column]) continue;
        setSpan(row, column, present[column], wanted[column]);
        present[column] = wanted[column];
      }
    }
  }

  function setSpan(row, column, was, is) {
    const target = elementAt(row, column);
    target.classList.toggle('j', is === 0);
    if (was > 1) target.classList.remove(`s${was}`);
    if (is > 1) target.classList.add(`s${is}`);
    if (is === 0 || target.querySelector('.lines')) return;
    let head = column;
    while (writtenSpans[row.index][head] === 0) head -= 1;
    const lines = elementAt(row, head).querySelector('.lines');
    if (lines) target.append(lines.cloneNode(true));
  }

  // Rows

  let shownRows = rows.map(() => true);
  const isShown = (row) => shownRows[row.index];
  const hits = rows.map(() => new Uint8Array(kernels.length)); // 1 for each cell that is marked as a hit
  const factRows = new Map(); // row -> the elements of its rows of facts, once they are made

  // Shows the rows that match a query and returns their number. If the cells of one row may match
  // or not, the cells that match are marked as hits.
  function showRows({ test, cells }) {
    table.classList.toggle('asked', cells);
    const marks = new Uint8Array(kernels.length);
    let count = 0;
    for (const row of rows) {
      const shows = answers(row, test, cells, marks);
      count += shows;
      if (shows !== isShown(row)) show(row, shows);
      markHits(row, marks);
    }
    hideEmptySections();
    return count;
  }

  // Whether a cell of the row matches. If the cells of one row may match or not, the function
  // writes into `marks` which of them do.
  function answers(row, test, cells, marks) {
    let shows = false;
    marks.fill(0);
    for (const column of inSight) {
      if (cellAt(row, column) && test(row, column, inSight)) {
        shows = true;
        if (!cells) break;
        marks[column] = 1;
      }
    }
    return shows;
  }

  function show(row, shows) {
    shownRows[row.index] = shows;
    rowElements[row.index].hidden = !shows;
    for (const tr of factRows.get(row) || []) tr.hidden = !shows || !isUnfolded(row);
  }

  // Changes a cell's class only if the cell becomes a hit or ceases to be one: a page may have
  // 20,000 cells.
  function markHits(row, marks) {
    const marked = hits[row.index];
    for (let column = 0; column < marks.length; column += 1) {
      if (marks[column] !== marked[column]) {
        marked[column] = marks[column];
        elementAt(row, column).classList.toggle('hit', marks[column] === 1);
      }
    }
  }

  function hideEmptySections() {
    let index = 0;
    for (const section of sections) {
      const end = index + Number(section.dataset.rows);
      section.hidden = !shownRows.slice(index, end).includes(true);
      index = end;
    }
  }

  // Facts

  for (const [tr, row] of rowOf) {
    tr.cells[0].prepend(
      element('button', {
        type: 'button',
        class: 'fold',
        tabindex: '-1',
        'aria-expanded': 'false',
        'aria-label': `Facts of ${row.title}`,
      }),
    );
  }
  const foldButton = (row) => elementAt(row, -1).querySelector('.fold');
  const isUnfolded = (row) => foldButton(row).getAttribute('aria-expanded') === 'true';

  // Shows or hides one row per fact below an experiment's row. These rows show which of a cell's
  // facts changed.
  function unfold(row, open) {
    foldButton(row).setAttribute('aria-expanded', String(open));
    if (open && !factRows.has(row)) factRows.set(row, makeFactRows(row));
    let after = rowElements[row.index];
    for (const tr of factRows.get(row) || []) {
      if (!tr.isConnected) after.after(tr);
      tr.hidden = !open || !isShown(row);
      after = tr;
    }
  }

  // Makes the rows of facts. Each value that is new in such a row has the next colour, as
  // behaviours have in an experiment's row.
  function makeFactRows(row) {
    const names = new Set(Object.keys(row.experiment.facts));
    kernels.forEach((_, column) => Object.keys(factsAt(row, column)).forEach((name) => names.add(name)));
    return [...names].map((name) => {
      const numbers = new Map();
      const values = kernels.map((_, column) => {
        const value = valueIn(factsAt(row, column), name);
        const key = JSON.stringify(value);
        if (value !== undefined && !numbers.has(key)) numbers.set(key, numbers.size);
        return { text: inWords(value), number: value === undefined ? -1 : numbers.get(key) };
      });
      const colour = (number) =>
        numbers.size > 1 && number >= 0 ? data.colours[number % data.colours.length] : null;
      const meaning = valueIn(row.experiment.facts, name) || '';
      return element(
        'tr',
        { class: 'fact' },
        element('th', { scope: 'row', title: meaning }, name),
        values.map(({ text, number }) => element('td', { class: colour(number), title: text }, text)),
      );
    });
  }

  // Moving

  // The Tab key stops at one cell of the matrix, and the arrow keys lead from there to the others:
  // the grid pattern of WAI-ARIA.
  table.setAttribute('role', 'grid');
  let tabStop = null;
  function moveTo(target, focus = true) {
    if (tabStop) tabStop.tabIndex = -1;
    tabStop = target;
    tabStop.tabIndex = 0;
    if (focus) tabStop.focus({ preventScroll: false });
  }

  // Makes sure that the Tab key stops at a visible row, if there is one.
  function keepTabStop() {
    if (tabStop && !tabStop.closest('tr').hidden) return;
    const tr = rowElements.find((each) => !each.hidden);
    if (tr) moveTo(tr.cells[1 + inSight[0]], false);
  }

  // A place in the matrix is {row, column}, with the column -1 at the row's name.
  function placeOf(target) {
    const tr = target.closest('tr.r');
    return tr ? { row: rowOf.get(tr), column: target.cellIndex - 1 } : null;
  }

  // The place `down` visible rows below and `right` visible columns to the right of `place`. Steps
  // beyond the edge of the table end at the edge.
  function step({ row, column }, down, right) {
    let index = row.index;
    for (let left = Math.abs(down); left > 0; left -= 1) {
      let next = index + Math.sign(down);
      while (next >= 0 && next < rows.length && !shownRows[next]) next += Math.sign(down);
      if (next < 0 || next >= rows.length) break;
      index = next;
    }
    const columns = [-1, ...inSight];
    const to = Math.max(0, Math.min(columns.length - 1, columns.indexOf(column) + right));
    return { row: rows[index], column: columns[to] };
  }

  // Key -> how far it leads down and to the right.
  const MOVES = new Map([
    ['ArrowDown', [1, 0]],
    ['ArrowUp', [-1, 0]],
    ['ArrowRight', [0, 1]],
    ['ArrowLeft', [0, -1]],
    ['PageDown', [10, 0]],
    ['PageUp', [-10, 0]],
    ['Home', [0, -Infinity]],
    ['End', [0, Infinity]],
  ]);

  // The place to which a key leads, null if the key does not move.
  const stepByKey = (place, key) => (MOVES.has(key) ? step(place, ...MOVES.get(key)) : null);

  return {
    table,
    elementAt,
    columnsInSight,
    showColumns,
    isShown,
    showRows,
    isUnfolded,
    unfold,
    moveTo,
    keepTabStop,
    placeOf,
    step,
    stepByKey,
  };
})();
