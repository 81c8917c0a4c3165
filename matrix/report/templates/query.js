// The query line: terms joined by and (or nothing), or, not, parentheses.
//
//   differs  changed  explained  unexplained  contradicted
//   status:fail  kernel:6.12  kernel>=6.1  topic:tcp  experiment:table-*  frontend:nft  fact:mangle_packets=7  fact:flows<10
//   all(...)  none(...)  exists(...)
//
// A query is asked of every cell; a row is shown if one of its cells answers. all, none and exists ask the whole row.

class QueryError extends Error {}

const MARKS = new Set(['differs', 'changed', 'explained', 'unexplained', 'contradicted']);
const QUANTIFIERS = new Set(['all', 'none', 'exists']);

function words(text) {
  const found = [];
  const pattern = /\s*(?:([()])|(!(?!=))|((?:"[^"]*"?|[^\s()"])+))/gy;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    const [, parenthesis, not, word] = match;
    found.push(parenthesis || (not ? 'not' : word));
  }
  return found;
}

// A query as a tree: {op: 'and'|'or', of: [...]}, {op: 'not'|'all'|'none'|'exists', of: [one]}, {op: 'term', term}; null if it is empty.
function parse(text) {
  const left = words(text);
  const peek = () => (left.length ? left[0].toLowerCase() : null);
  const group = (op, of) => (of.length === 1 ? of[0] : { op, of });

  function either() {
    const of = [both()];
    while (peek() === 'or') {
      left.shift();
      of.push(both());
    }
    return group('or', of);
  }
  function both() {
    const of = [one()];
    while (peek() !== null && peek() !== 'or' && peek() !== ')') {
      if (peek() === 'and') left.shift();
      of.push(one());
    }
    return group('and', of);
  }
  function one() {
    const word = peek();
    if (word === null) throw new QueryError('the query ends where a term should follow');
    if (word === 'and' || word === 'or' || word === ')') throw new QueryError(`a term should stand before “${left[0]}”`);
    const taken = left.shift();
    if (word === 'not') return { op: 'not', of: [one()] };
    if (word === '(') return closed();
    if (QUANTIFIERS.has(word) && peek() === '(') {
      left.shift();
      return { op: word, of: [closed()] };
    }
    return { op: 'term', term: taken };
  }
  function closed() {
    const inner = either();
    if (left.shift() !== ')') throw new QueryError('a parenthesis is not closed');
    return inner;
  }

  if (!left.length) return null;
  const tree = either();
  if (left.length) throw new QueryError('a closing parenthesis has no opening one');
  return tree;
}

function unparse(tree, within = 'or') {
  if (!tree) return '';
  if (tree.op === 'term') return tree.term;
  if (tree.op === 'and') return tree.of.map((part) => unparse(part, 'and')).join(' ');
  if (tree.op === 'or') {
    const text = tree.of.map((part) => unparse(part)).join(' or ');
    return within === 'and' ? `(${text})` : text;
  }
  const inner = unparse(tree.of[0]);
  if (tree.op !== 'not') return `${tree.op}(${inner})`;
  return tree.of[0].op === 'and' || tree.of[0].op === 'or' ? `not (${inner})` : `not ${inner}`;
}

// The terms that hold for the whole query: those not within an or, a not or a quantifier.
function topTerms(text) {
  try {
    const tree = parse(text);
    if (!tree) return [];
    return (tree.op === 'and' ? tree.of : [tree]).filter((part) => part.op === 'term').map((part) => part.term);
  } catch {
    return [];
  }
}

// The query with every top term that `drop` picks taken out and `add` (if any) put at its end.
function rewritten(text, drop, add) {
  const tree = parse(text);
  const parts = !tree ? [] : tree.op === 'and' ? tree.of : [tree];
  const kept = parts.filter((part) => !(part.op === 'term' && drop(part.term)));
  if (add) kept.push({ op: 'term', term: add });
  return unparse(kept.length > 1 ? { op: 'and', of: kept } : kept[0] || null);
}

// A query as a function (row, column, columns in sight) -> does this cell answer. `cells` says whether it tells cells of one row apart.
function compile(text) {
  let cells = false;
  function build(tree) {
    if (tree.op === 'term') {
      const { test, ofCell } = term(tree.term);
      cells = cells || ofCell;
      return test;
    }
    if (QUANTIFIERS.has(tree.op)) {
      const before = cells;
      const test = build(tree.of[0]);
      cells = before;
      return overRow(tree.op, test);
    }
    const tests = tree.of.map(build);
    if (tree.op === 'not') return (...cell) => !tests[0](...cell);
    if (tree.op === 'and') return (...cell) => tests.every((test) => test(...cell));
    return (...cell) => tests.some((test) => test(...cell));
  }
  const tree = parse(text);
  const test = tree ? build(tree) : () => true;
  return { test, cells };
}

function overRow(op, test) {
  return (row, _, columns) => {
    const there = columns.filter((column) => cellAt(row, column));
    if (op === 'all') return there.length > 0 && there.every((column) => test(row, column, columns));
    const some = there.some((column) => test(row, column, columns));
    return op === 'none' ? !some : some;
  };
}

function term(word) {
  const plain = word.replaceAll('"', '');
  if (MARKS.has(plain.toLowerCase())) return mark(plain.toLowerCase());
  const match = /^([a-z_-]+)(:|(?=[<>=!]))(.*)$/is.exec(word);
  if (!match) {
    const wanted = plain.toLowerCase();
    return { ofCell: false, test: (row) => row.text.includes(wanted) };
  }
  const key = match[1].toLowerCase();
  const value = match[3].replaceAll('"', '');
  if (!value) throw new QueryError(`“${word}” asks for nothing: something should follow “${key}:”`);
  if (key === 'status') return status(value);
  if (key === 'kernel') return kernel(value);
  if (key === 'fact') return fact(value);
  if (key === 'topic') return ofRow((row) => [row.experiment.topic], value);
  if (key === 'experiment') return ofRow((row) => [row.experiment.name], value);
  if (key === 'variant') return ofRow((row) => row.variants, value);
  if (rows.some((row) => Object.hasOwn(row.values, key))) return ofRow((row) => (Object.hasOwn(row.values, key) ? row.values[key] : []), value);
  throw new QueryError(`“${key}:” is not something to ask for; there are status, kernel, fact, topic, experiment, variant, and the variants' own names`);
}

function mark(word) {
  if (word === 'differs') return { ofCell: false, test: (row, _, columns) => differs(row, columns) };
  if (word === 'changed') {
    return {
      ofCell: true,
      test: (row, column, columns) => {
        const cell = cellAt(row, column);
        const left = comparable(cell) ? neighbour(row, column, -1, columns) : -1;
        return left >= 0 && cellAt(row, left).behaviour !== cell.behaviour;
      },
    };
  }
  return { ofCell: true, test: (row, column, columns) => changesInto(row, column, columns).some((change) => change.verdict === word) };
}

function status(value) {
  const wanted = value.toLowerCase();
  if (!(wanted in data.statuses)) throw new QueryError(`no status is called “${value}”; there are ${Object.keys(data.statuses).join(', ')}`);
  return { ofCell: true, test: (row, column) => cellAt(row, column)?.status === wanted };
}

const like = (value) => {
  const escaped = value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('\\*', '.*');
  return new RegExp(value.includes('*') ? `^${escaped}$` : escaped, 'is');
};

function ofRow(textsOf, value) {
  const pattern = like(value);
  return { ofCell: false, test: (row) => textsOf(row).some((text) => pattern.test(text)) };
}

const number = (text) => Number(text.trim() === '' ? NaN : text);

// 6.9 < 6.12, 7.3~rc7 < 7.3: as far as a query needs the order of versions.
function versionOrder(one, other) {
  const parts = (text) => text.toLowerCase().replace(/[-~]rc/g, '.-1.').split(/[.+-](?!1\b)|\.(?=-1)/).map((part) => (Number.isNaN(Number(part)) ? 0 : Number(part)));
  const [left, right] = [parts(one), parts(other)];
  for (let place = 0; place < Math.max(left.length, right.length); place += 1) {
    const order = (left[place] ?? 0) - (right[place] ?? 0);
    if (order) return order;
  }
  return 0;
}

const compares = {
  '=': (order) => order === 0,
  '!=': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};

function kernel(value) {
  const match = /^(<=|>=|!=|<|>|=)?(.+)$/s.exec(value);
  if (!match) throw new QueryError('a kernel should follow “kernel:”');
  const [, op, wanted] = match;
  const text = wanted.toLowerCase();
  const pattern = wanted.includes('*') ? like(wanted) : null;
  const is = (one) => pattern ? pattern.test(one.name) || pattern.test(one.version)
    : [one.name, one.series, one.release, one.version, one.flavour, one.id].some((name) => name.toLowerCase() === text) ||
      new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}[.~+-]`, 'i').test(one.name);
  let chosen;
  if (!op || op === '=') chosen = kernels.map(is);
  else if (op === '!=') chosen = kernels.map((one) => !is(one));
  // 6.12.117 belongs to 6.12, so it is neither newer nor older than that.
  else chosen = kernels.map((one) => compares[op](is(one) ? 0 : versionOrder(one.release, wanted)));
  if (!chosen.includes(true)) throw new QueryError(`no kernel of this run is “${value}”`);
  return { ofCell: true, test: (_, column) => chosen[column] };
}

function fact(value) {
  const match = /^([^<>=!]+)(?:(<=|>=|!=|<|>|=)(.*))?$/s.exec(value);
  if (!match) throw new QueryError(`“fact:${value}” should look like fact:flows or fact:flows=7`);
  const [, name, op, wanted] = match;
  const text = (wanted || '').toLowerCase();
  const pattern = wanted && wanted.includes('*') ? like(wanted) : null;
  const named = name.includes('*') ? like(name) : null;
  const equal = (found) => {
    if (Array.isArray(found) && found.some(equal)) return true;
    return pattern ? pattern.test(inWords(found)) : [inWords(found), String(found)].some((each) => each.toLowerCase() === text);
  };
  const holds = (found) => {
    if (found === undefined) return false;
    if (!op) return true;
    if (op === '=') return equal(found);
    if (op === '!=') return !equal(found);
    return typeof found === 'number' && !Number.isNaN(number(wanted)) && compares[op](found - number(wanted));
  };
  const answers = data.facts.map((facts) => {
    if (named) return Object.entries(facts).some(([each, found]) => named.test(each) && holds(found));
    if (Object.hasOwn(facts, name)) return holds(facts[name]);
    const [first, ...rest] = name.split('.');
    const inner = Object.hasOwn(facts, first) ? facts[first] : undefined;
    const key = rest.join('.');
    return typeof inner === 'object' && !Array.isArray(inner) && Object.hasOwn(inner, key) && holds(inner[key]);
  });
  return { ofCell: true, test: (row, column) => { const cell = cellAt(row, column); return Boolean(cell) && answers[cell.facts]; } };
}
