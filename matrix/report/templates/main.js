// The state of the page, all of it in the address, and the events that change it.
//
//   #q=differs&from=6.1.174&to=6.12.117&pair=1&cell=table-full/frontend=nft@6.12.117     (or row=table-full/frontend=nft)

const query = document.getElementById('query');
const answer = document.getElementById('query-answer');
const [from, to, pair, topic, statusList] = ['from', 'to', 'pair', 'topic', 'status'].map((id) => document.getElementById(id));
let state = { q: '', from: '', to: '', pair: false, open: null };
let applied = { q: null, columns: null };

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

function toHash({ q, from: first, to: last, pair: only, open }) {
  const parts = [];
  const add = (key, value) => parts.push(`${key}=${encodeURIComponent(value).replace(/%(3A|2C|2F|40|3D)/g, decodeURIComponent).replaceAll('%20', '+')}`);
  if (q) add('q', q);
  if (first) add('from', first);
  if (last) add('to', last);
  if (only) parts.push('pair=1');
  if (open) add(open.column < 0 ? 'row' : 'cell', open.column < 0 ? open.row.key : `${open.row.key}@${kernels[open.column].name}`);
  return `#${parts.join('&')}`;
}

// Every change of state goes through here; typing replaces the entry in the history, everything else adds one.
function go(change, { replace = false } = {}) {
  const next = { ...state, ...change };
  const hash = toHash(next);
  if (hash !== (location.hash || '#')) history[replace ? 'replaceState' : 'pushState'](null, '', hash);
  apply(next);
}

function apply(next) {
  const before = state;
  state = next;
  const ends = [state.from ? kernelByName.get(state.from) : 0, state.to ? kernelByName.get(state.to) : kernels.length - 1].sort((a, b) => a - b);
  const columns = kernels.map((_, column) => column).filter((column) => column >= ends[0] && column <= ends[1] && (!state.pair || ends.includes(column)));
  const key = columns.join();
  if (key !== applied.columns) showColumns(columns, state.pair);
  if (document.activeElement !== query) query.value = state.q;
  from.value = state.from;
  to.value = state.to;
  pair.checked = state.pair;
  if (key !== applied.columns || state.q !== applied.q) filter();
  applied = { q: state.q, columns: key };
  if (!before.open || !state.open || before.open.row !== state.open.row || before.open.column !== state.open.column) showOpen(before.open);
}

function filter() {
  const terms = topTerms(state.q);
  for (const button of document.querySelectorAll('[data-term]')) button.setAttribute('aria-pressed', String(terms.includes(button.dataset.term)));
  const value = (name) => (terms.find((term) => term.startsWith(`${name}:`)) || '').slice(name.length + 1).replaceAll('"', '');
  topic.value = [...topic.options].some((option) => option.value === value('topic')) ? value('topic') : '';
  statusList.value = [...statusList.options].some((option) => option.value === value('status')) ? value('status') : '';
  try {
    const count = showRows(compile(state.q));
    document.getElementById('nothing').hidden = count > 0;
    answer.textContent = count === rows.length ? `${rows.length} rows` : `${count} of ${rows.length} rows`;
    answer.classList.remove('wrong');
    query.removeAttribute('aria-invalid');
  } catch (error) {
    if (!(error instanceof QueryError)) throw error;
    answer.textContent = `${error.message[0].toUpperCase()}${error.message.slice(1)}.`;
    answer.classList.add('wrong');
    query.setAttribute('aria-invalid', 'true');
  }
  if (!stop || stop.closest('tr').hidden) moveTo(rowElements.find((tr) => !tr.hidden)?.cells[1 + inSight[0]], false);
}

function showOpen(before) {
  if (before && before.column >= 0) elementAt(before.row, before.column).removeAttribute('aria-selected');
  const { open } = state;
  const hadFocus = panel.contains(document.activeElement);
  document.body.classList.toggle('open', Boolean(open));
  if (!open) {
    panel.hidden = true;
    panel.replaceChildren();
    if (before) moveTo(elementAt(before.row, before.column));
    return;
  }
  const target = elementAt(open.row, open.column);
  if (open.column >= 0) target.setAttribute('aria-selected', 'true');
  panel.replaceChildren(...element('div', {}, open.column < 0 ? showRow(open.row) : showCell(open.row, open.column)).childNodes);
  panel.hidden = false;
  panel.scrollTop = 0;
  moveTo(target, false);
  if (shownRows[open.row.index]) target.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  if (!before || hadFocus) panel.focus({ preventScroll: true });
}

const setTerm = (drop, add) => {
  try {
    go({ q: rewritten(state.q, drop, add) });
  } catch {
    go({ q: add || '' });
  }
  query.value = state.q;
};

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-term]');
  if (!button) return;
  const wanted = button.dataset.term;
  setTerm((term) => term === wanted, topTerms(state.q).includes(wanted) ? null : wanted);
});
for (const list of [topic, statusList]) {
  list.addEventListener('change', () => {
    const value = /[\s()"]/.test(list.value) ? `"${list.value}"` : list.value;
    setTerm((term) => term.startsWith(`${list.id}:`), value && `${list.id}:${value}`);
  });
}
for (const list of [from, to]) list.addEventListener('change', () => go({ [list.id]: list.value }));
pair.addEventListener('change', () => go({ pair: pair.checked }));
query.addEventListener('input', () => go({ q: query.value }, { replace: true }));
document.getElementById('toolbar').addEventListener('submit', (event) => event.preventDefault());
document.getElementById('clear').addEventListener('click', () => { query.value = ''; go({ q: '', from: '', to: '', pair: false }); });
document.getElementById('unfold').addEventListener('click', (event) => {
  const open = event.currentTarget.getAttribute('aria-pressed') !== 'true';
  event.currentTarget.setAttribute('aria-pressed', String(open));
  rows.forEach((row) => unfold(row.index, open));
});

table.addEventListener('click', (event) => {
  const fold = event.target.closest('.fold');
  const target = event.target.closest('tr.r > td, tr.r > th');
  if (!target) return;
  const where = place(target);
  if (fold) unfold(where.row.index, !isUnfolded(where.row.index));
  else if (!getSelection().isCollapsed && getSelection().containsNode(target, true)) return;
  else go({ open: where });
});
table.addEventListener('keydown', (event) => {
  const where = event.target.matches('td, th') ? place(event.target) : null;
  if (event.key === '/' && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    query.focus();
  }
  if (!where || event.ctrlKey || event.metaKey || event.altKey) return;
  const move = MOVES[event.key];
  if (move) {
    const found = step(where, ...move);
    moveTo(elementAt(found.row, found.column));
    if (state.open) go({ open: found }, { replace: true });
  } else if (event.key === 'Enter') go({ open: where });
  else if (event.key === ' ') unfold(where.row.index, !isUnfolded(where.row.index));
  else return;
  event.preventDefault();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && state.open && !document.getElementById('help').open) go({ open: null });
});
window.addEventListener('popstate', () => apply(fromHash()));
window.addEventListener('hashchange', () => apply(fromHash()));

document.getElementById('help-open').addEventListener('click', () => document.getElementById('help').showModal());

const theme = document.getElementById('theme');
const THEMES = { '': ['◐', 'as the system has them'], light: ['☀', 'light'], dark: ['☾', 'dark'] };
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  theme.textContent = THEMES[name][0];
  theme.setAttribute('aria-label', `Colours: ${THEMES[name][1]}`);
}
const remembered = () => { try { return localStorage.getItem('theme') || ''; } catch { return ''; } };
theme.addEventListener('click', () => {
  const names = Object.keys(THEMES);
  const name = names[(names.indexOf(document.documentElement.dataset.theme || '') + 1) % names.length];
  setTheme(name);
  try { localStorage.setItem('theme', name); } catch { /* private windows and some file: pages have no storage */ }
});
setTheme(remembered() in THEMES ? remembered() : '');

for (const hidden of document.querySelectorAll('#counts button, .into')) hidden.disabled = false;
document.getElementById('toolbar').hidden = false;
const bar = () => document.documentElement.style.setProperty('--bar', getComputedStyle(document.getElementById('toolbar')).position === 'sticky' ? `${document.getElementById('toolbar').offsetHeight}px` : '0px');
new ResizeObserver(bar).observe(document.getElementById('toolbar'));
bar();
apply(fromHash());
