// The run that the page shows: the data that Python wrote into the element #data, and functions
// that look something up in that data.

const model = (() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const kernels = data.kernels;
  const rows = data.rows.map((row, index) => {
    const experiment = data.experiments[row.experiment];
    const { name, topic, question, facts } = experiment;
    return {
      ...row,
      index,
      experiment,
      key: row.label ? `${name}/${row.label}` : name,
      title: row.label ? `${name} ${row.label}` : name,
      text: [name, topic, question, ...row.variants, ...Object.values(row.words), ...Object.keys(facts)]
        .join('\n')
        .toLowerCase(),
      changes: new Map(row.changes.map((change) => [change.at, change])),
    };
  });
  const rowByKey = new Map(rows.map((row) => [row.key, row]));
  const kernelByName = new Map(kernels.map((kernel, column) => [kernel.name, column]));

  const cellAt = (row, column) => data.cells[row.cells[column]] || null;
  const factsAt = (row, column) => {
    const cell = cellAt(row, column);
    return cell ? data.facts[cell.facts] : {};
  };

  // What a cell answers in a few words, empty if its experiment declares none.
  const wordsOf = (row, cell) => row.words[cell.behaviour] ?? '';

  // The value of a fact, undefined if there is no such fact. `facts[name]` would find something for
  // a fact that is called `constructor`, since every object inherits a property of that name.
  const valueIn = (facts, name) => (Object.hasOwn(facts, name) ? facts[name] : undefined);

  // Whether a cell may be compared with others. A cell may not if the tool failed (status error) or
  // if the repeats of the experiment disagreed (unstable): Python gives both the behaviour -1.
  const comparable = (cell) => cell !== null && cell.behaviour !== -1;

  // The column of the nearest comparable cell to the left (step -1) or right (step 1) among the
  // visible `columns`; -1 if there is none.
  function neighbour(row, column, step, columns) {
    for (let place = columns.indexOf(column) + step; place >= 0 && place < columns.length; place += step) {
      if (comparable(cellAt(row, columns[place]))) return columns[place];
    }
    return -1;
  }

  // Whether the kernels in these columns behave differently in this row.
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

  // The changes between a cell and the visible comparable cell to its left. There may be several: a
  // change is stored per kernel of the run, and kernels between the two may be hidden.
  function changesInto(row, column, columns) {
    const cell = cellAt(row, column);
    if (!comparable(cell)) return [];
    const from = neighbour(row, column, -1, columns);
    if (from < 0 || cellAt(row, from).behaviour === cell.behaviour) return [];
    const found = [];
    for (let at = from + 1; at <= column; at += 1) if (row.changes.has(at)) found.push(row.changes.get(at));
    return found;
  }

  // A fact's value on one line, the same text as `in_words` in matrix/report/sanitize.py returns.
  function inWords(value) {
    if (value === undefined) return '';
    if (value === true) return 'yes';
    if (value === false) return 'no';
    if (Array.isArray(value)) return value.join(', ') || 'none';
    if (typeof value === 'object') {
      const counts = Object.entries(value).map(([key, count]) => `${key} ${count}`);
      return counts.join(', ') || 'none';
    }
    return value === '' ? 'empty' : String(value);
  }

  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

  return {
    data,
    kernels,
    rows,
    rowByKey,
    kernelByName,
    cellAt,
    factsAt,
    wordsOf,
    valueIn,
    comparable,
    neighbour,
    differs,
    changesInto,
    inWords,
    same,
  };
})();
