// The state of the page, which is held in full by the page's address, and the events that change
// the state.
//
//   #q=differs&from=6.1.174&to=6.12.117&pair=1&cell=table-full/frontend=nft@6.12.117
//
// Instead of a cell a whole row may be open: row=table-full/frontend=nft

(() => {
  const { kernels, rows, rowByKey, kernelByName } = model;
  const { QueryError, topTerms, rewritten, compile } = query;

  const byId = (id) => document.getElementById(id);
  const [toolbar, queryField, answer, help] = ['toolbar', 'query', 'query-answer', 'help'].map(byId);
  const [fromList, toList, topicList, statusList] = ['from', 'to', 'topic', 'status'].map(byId);
  const pairBox = byId('pair');

  // The state: the query, the names of the first and last visible kernel (empty: no bound), whether
  // only these two are visible, and the place whose cell or row is open, null if none is.
  let state = { q: '', from: '', to: '', pair: false, open: null };
  let applied = { q: null, columns: null }; // what the matrix shows now

  const shown = panel({ open: (place) => go({ open: place }), step: grid.step });

  function fromHash() {
    const given = new URLSearchParams(location.hash.slice(1));
    const known = (name) => (kernelByName.has(given.get(name)) ? given.get(name) : '');
    let open = null;
    const cell = given.get('cell');
    if (cell) {
      const at = cell.lastIndexOf('@');
      const [row, column] = [rowByKey.get(cell.slice(0, at)), kernelByName.get(cell.slice(at + 1))];
      if (row && column !== undefined) open = { row, column };
    } else if (rowByKey.has(given.get('row'))) open = { row: rowByKey.get(given.get('row')), column: -1 };
    return { q: given.get('q') || '', from: known('from'), to: known('to'), pair: given.has('pair'), open };
  }

  function toHash({ q, from, to, pair, open }) {
    const parts = [];
    const add = (key, value) => {
      const encoded = encodeURIComponent(value).replace(/%(3A|2C|2F|40|3D)/g, decodeURIComponent);
      parts.push(`${key}=${encoded.replaceAll('%20', '+')}`);
    };
    if (q) add('q', q);
    if (from) add('from', from);
    if (to) add('to', to);
    if (pair) add('pair', 1);
    if (open && open.column < 0) add('row', open.row.key);
    else if (open) add('cell', `${open.row.key}@${kernels[open.column].name}`);
    return `#${parts.join('&')}`;
  }

  // Applies a reader's change of the state. The change adds an entry to the browser's history or
  // replaces the last entry: typing a query must not add one entry per letter.
  function go(change, { replace = false } = {}) {
    const next = { ...state, ...change };
    const hash = toHash(next);
    if (hash !== (location.hash || '#')) history[replace ? 'replaceState' : 'pushState'](null, '', hash);
    apply(next);
  }

  function apply(next) {
    const before = state;
    state = next;
    const columns = wantedColumns();
    const key = columns.join();
    if (key !== applied.columns) grid.showColumns(columns, state.pair);
    if (document.activeElement !== queryField) queryField.value = state.q;
    fromList.value = state.from;
    toList.value = state.to;
    pairBox.checked = state.pair;
    if (key !== applied.columns || state.q !== applied.q) filter();
    applied = { q: state.q, columns: key };
    const [was, is] = [before.open, state.open];
    if (!was || !is || was.row !== is.row || was.column !== is.column) showOpen(was);
  }

  function wantedColumns() {
    const bounds = [
      state.from ? kernelByName.get(state.from) : 0,
      state.to ? kernelByName.get(state.to) : kernels.length - 1,
    ];
    const [first, last] = [Math.min(...bounds), Math.max(...bounds)];
    const all = kernels.map((_, column) => column);
    return all.filter((column) => (state.pair ? bounds.includes(column) : first <= column && column <= last));
  }

  function filter() {
    const terms = topTerms(state.q);
    for (const button of document.querySelectorAll('[data-term]')) {
      button.setAttribute('aria-pressed', String(terms.includes(button.dataset.term)));
    }
    for (const list of [topicList, statusList]) {
      const term = terms.find((each) => each.startsWith(`${list.id}:`)) || '';
      const value = term.slice(list.id.length + 1).replaceAll('"', '');
      list.value = [...list.options].some((option) => option.value === value) ? value : '';
    }
    try {
      const count = grid.showRows(compile(state.q));
      byId('nothing').hidden = count > 0;
      answer.textContent = count === rows.length ? `${rows.length} rows` : `${count} of ${rows.length} rows`;
      answer.classList.remove('wrong');
      queryField.removeAttribute('aria-invalid');
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      answer.textContent = `${error.message[0].toUpperCase()}${error.message.slice(1)}.`;
      answer.classList.add('wrong');
      queryField.setAttribute('aria-invalid', 'true');
    }
    grid.keepTabStop();
  }

  // Shows the open cell or row in the panel. `before` is the place that was open before, null if
  // none was.
  function showOpen(before) {
    if (before && before.column >= 0) {
      grid.elementAt(before.row, before.column).removeAttribute('aria-selected');
    }
    const { open } = state;
    const hadFocus = shown.hasFocus();
    document.body.classList.toggle('open', Boolean(open));
    if (!open) {
      shown.hide();
      if (before) grid.moveTo(grid.elementAt(before.row, before.column));
      return;
    }
    const target = grid.elementAt(open.row, open.column);
    if (open.column >= 0) target.setAttribute('aria-selected', 'true');
    shown.show(open, grid.columnsInSight());
    grid.moveTo(target, false);
    if (grid.isShown(open.row)) target.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    if (!before || hadFocus) shown.focus();
  }

  // The query

  // Removes terms from the query and adds one. If the query has a syntax error, the new term
  // replaces the whole query.
  function setTerm(drop, add) {
    try {
      go({ q: rewritten(state.q, drop, add) });
    } catch {
      go({ q: add || '' });
    }
    queryField.value = state.q;
  }

  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-term]');
    if (!button) return;
    const wanted = button.dataset.term;
    setTerm((term) => term === wanted, topTerms(state.q).includes(wanted) ? null : wanted);
  });
  for (const list of [topicList, statusList]) {
    list.addEventListener('change', () => {
      const value = /[\s()"]/.test(list.value) ? `"${list.value}"` : list.value;
      setTerm((term) => term.startsWith(`${list.id}:`), value && `${list.id}:${value}`);
    });
  }
  for (const list of [fromList, toList]) {
    list.addEventListener('change', () => go({ [list.id]: list.value }));
  }
  pairBox.addEventListener('change', () => go({ pair: pairBox.checked }));
  queryField.addEventListener('input', () => go({ q: queryField.value }, { replace: true }));
  toolbar.addEventListener('submit', (event) => event.preventDefault());
  byId('clear').addEventListener('click', () => {
    queryField.value = '';
    go({ q: '', from: '', to: '', pair: false });
  });

  // The matrix

  byId('unfold').addEventListener('click', (event) => {
    const open = event.currentTarget.getAttribute('aria-pressed') !== 'true';
    event.currentTarget.setAttribute('aria-pressed', String(open));
    for (const row of rows) grid.unfold(row, open);
  });
  const turn = (row) => grid.unfold(row, !grid.isUnfolded(row));

  grid.table.addEventListener('click', (event) => {
    const target = event.target.closest('tr.r > td, tr.r > th');
    if (!target) return;
    const place = grid.placeOf(target);
    const selection = getSelection();
    if (event.target.closest('.fold')) turn(place.row);
    // A reader who has just selected text in the cell wants to copy it.
    else if (selection.isCollapsed || !selection.containsNode(target, true)) go({ open: place });
  });
  grid.table.addEventListener('keydown', (event) => {
    if (event.key === '/' && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      queryField.focus();
    }
    const place = event.target.matches('td, th') ? grid.placeOf(event.target) : null;
    if (!place || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = grid.stepByKey(place, event.key);
    if (next) {
      grid.moveTo(grid.elementAt(next.row, next.column));
      if (state.open) go({ open: next }, { replace: true });
    } else if (event.key === 'Enter') go({ open: place });
    else if (event.key === ' ') turn(place.row);
    else return;
    event.preventDefault();
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && state.open && !help.open) go({ open: null });
  });
  window.addEventListener('popstate', () => apply(fromHash()));
  window.addEventListener('hashchange', () => apply(fromHash()));

  // The toolbar

  byId('help-open').addEventListener('click', () => help.showModal());

  theme.offer(byId('theme'));

  // Buttons that need the script are disabled in the page as written, and the toolbar is hidden.
  for (const button of document.querySelectorAll('#counts button, .into')) button.disabled = false;
  toolbar.hidden = false;

  // Gives the toolbar's height to the style sheet, which places the heads of the columns below a
  // toolbar that stays visible while the reader scrolls.
  function tellHeight() {
    const sticky = getComputedStyle(toolbar).position === 'sticky';
    document.documentElement.style.setProperty('--bar', sticky ? `${toolbar.offsetHeight}px` : '0px');
  }
  new ResizeObserver(tellHeight).observe(toolbar);
  tellHeight();

  apply(fromHash());
})();
