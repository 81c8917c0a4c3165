// The query language: terms joined by `and` (which may be left out), `or`, `not` and parentheses.
//
//   differs  changed  explained  unexplained  contradicted  splats
//   status:fail  kernel:6.12  kernel>=6.1  topic:tcp  experiment:table-*  frontend:nft
//   fact:mangle_packets=7  fact:flows<10
//   all(...)  none(...)  exists(...)
//
// A query is tested on each cell, and the page shows a row if one of its cells matches. The query
// in all(), none() or exists() is tested on all cells of the row: each, none or at least one must
// match.

const query = (() => {
  const { data, kernels, rows, cellAt, comparable, neighbour, differs, changesInto, inWords } = model;

  class QueryError extends Error {}

  const MARKS = new Set(['differs', 'changed', 'splats', ...Object.keys(data.verdicts)]);
  const QUANTIFIERS = new Set(['all', 'none', 'exists']);

  function split(text) {
    const found = [];
    const pattern = /\s*(?:([()])|(!(?!=))|((?:"[^"]*"?|[^\s()"])+))/gy;
    for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
      const [, parenthesis, not, word] = match;
      found.push(parenthesis || (not ? 'not' : word));
    }
    return found;
  }

  // Parses a query into a tree, null if the query is empty. A node is one of
  //   {op: 'and' or 'or', of: [node, ...]}
  //   {op: 'not', 'all', 'none' or 'exists', of: [node]}
  //   {op: 'term', term: text}
  function parse(text) {
    const left = split(text);
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
      if (word === 'and' || word === 'or' || word === ')') {
        throw new QueryError(`a term should stand before “${left[0]}”`);
      }
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

  // Writes a tree as a query. `within` is the operation around the tree: an `or` within an `and`
  // needs parentheses.
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

  // The parts of a tree that must all match.
  function conjuncts(tree) {
    if (!tree) return [];
    return tree.op === 'and' ? tree.of : [tree];
  }

  // The top terms of a query: the terms that are not within an `or`, a `not` or a quantifier, so
  // that each of them must match.
  function topTerms(text) {
    try {
      return conjuncts(parse(text)).flatMap((part) => (part.op === 'term' ? [part.term] : []));
    } catch {
      return [];
    }
  }

  // Removes the top terms for which `drop` returns true from the query, and appends the term `add`
  // unless it is empty.
  function rewritten(text, drop, add) {
    const kept = conjuncts(parse(text)).filter((part) => !(part.op === 'term' && drop(part.term)));
    if (add) kept.push({ op: 'term', term: add });
    return unparse(kept.length > 1 ? { op: 'and', of: kept } : kept[0] || null);
  }

  // Compiles a query to {test, cells}. `test(row, column, visible columns)` returns whether that
  // cell matches; `cells` is true if one cell of a row may match while another one does not.
  function compile(text) {
    let cells = false;
    function build(node) {
      if (node.op === 'term') {
        const { test, ofCell } = term(node.term);
        cells = cells || ofCell;
        return test;
      }
      if (QUANTIFIERS.has(node.op)) {
        const before = cells;
        const test = build(node.of[0]);
        cells = before;
        return overRow(node.op, test);
      }
      const tests = node.of.map(build);
      if (node.op === 'not') return (...cell) => !tests[0](...cell);
      if (node.op === 'and') return (...cell) => tests.every((test) => test(...cell));
      return (...cell) => tests.some((test) => test(...cell));
    }
    const tree = parse(text);
    return { test: tree ? build(tree) : () => true, cells };
  }

  function overRow(op, test) {
    return (row, _, columns) => {
      const there = columns.filter((column) => cellAt(row, column));
      if (op === 'all') return there.length > 0 && there.every((column) => test(row, column, columns));
      const some = there.some((column) => test(row, column, columns));
      return op === 'none' ? !some : some;
    };
  }

  // Compiles a term to {test, ofCell}: `test` is as in a compiled query, `ofCell` is true if its
  // result depends on the column.
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
    if (rows.some((row) => Object.hasOwn(row.values, key))) {
      return ofRow((row) => (Object.hasOwn(row.values, key) ? row.values[key] : []), value);
    }
    throw new QueryError(
      `“${key}:” is not something to ask for; there are status, kernel, fact, topic, experiment, variant,` +
        " and the variants' own names",
    );
  }

  function mark(word) {
    if (word === 'differs') return { ofCell: false, test: (row, _, columns) => differs(row, columns) };
    if (word === 'splats') {
      return { ofCell: true, test: (row, column) => cellAt(row, column)?.splats !== undefined };
    }
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
    return {
      ofCell: true,
      test: (row, column, columns) =>
        changesInto(row, column, columns).some((change) => change.verdict === word),
    };
  }

  function status(value) {
    const wanted = value.toLowerCase();
    if (!Object.hasOwn(data.statuses, wanted)) {
      const known = Object.keys(data.statuses).join(', ');
      throw new QueryError(`no status is called “${value}”; there are ${known}`);
    }
    return { ofCell: true, test: (row, column) => cellAt(row, column)?.status === wanted };
  }

  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

  // The pattern for a value. In a value with `*`, each `*` matches any text, and the pattern must
  // match from end to end. A value without `*` may match anywhere.
  const like = (value) => {
    const source = escaped(value).replaceAll('\\*', '.*');
    return new RegExp(value.includes('*') ? `^${source}$` : source, 'is');
  };

  function ofRow(textsOf, value) {
    const pattern = like(value);
    return { ofCell: false, test: (row) => textsOf(row).some((text) => pattern.test(text)) };
  }

  const toNumber = (text) => Number(text.trim() === '' ? NaN : text);

  // Compares two versions and returns a negative number if `one` is older: 6.9 < 6.12,
  // 7.3~rc7 < 7.3. The function handles names of kernels, not every version that Debian allows.
  function versionOrder(one, other) {
    const numbers = (text) => {
      const parts = text.toLowerCase().replace(/[-~]rc/g, '.-1.');
      return parts.split(/[.+-](?!1\b)|\.(?=-1)/).map((part) => Number(part) || 0);
    };
    const [left, right] = [numbers(one), numbers(other)];
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
    const is = wanted.includes('*') ? matches(like(wanted)) : isCalled(wanted);
    let chosen;
    if (!op || op === '=') chosen = kernels.map(is);
    else if (op === '!=') chosen = kernels.map((one) => !is(one));
    // 6.12.117 belongs to 6.12, so 6.12.117 is neither newer nor older than 6.12.
    else chosen = kernels.map((one) => compares[op](is(one) ? 0 : versionOrder(one.release, wanted)));
    if (!chosen.includes(true)) throw new QueryError(`no kernel of this run is “${value}”`);
    return { ofCell: true, test: (_, column) => chosen[column] };
  }

  const matches = (pattern) => (one) => pattern.test(one.name) || pattern.test(one.version);

  // Whether the wanted text is one of a kernel's names, or whole parts of one from its beginning:
  // 6.12 is the beginning of 6.12.117, but not of 6.120.
  function isCalled(wanted) {
    const text = wanted.toLowerCase();
    const beginning = new RegExp(`^${escaped(text)}[.~+-]`, 'i');
    return ({ name, series, release, version, flavour, id }) =>
      [name, series, release, version, flavour, id].some((each) => each.toLowerCase() === text) ||
      beginning.test(name);
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
      if (pattern) return pattern.test(inWords(found));
      const isMap = typeof found === 'object' && !Array.isArray(found);
      // String() fails for a map that a guest gave a key named `toString`.
      const texts = isMap ? [inWords(found)] : [inWords(found), String(found)];
      return texts.some((each) => each.toLowerCase() === text);
    };
    const holds = (found) => {
      if (found === undefined) return false;
      if (!op) return true;
      if (op === '=') return equal(found);
      if (op === '!=') return !equal(found);
      const bound = toNumber(wanted);
      return typeof found === 'number' && !Number.isNaN(bound) && compares[op](found - bound);
    };
    const answers = data.facts.map((facts) => {
      if (named) return Object.entries(facts).some(([each, found]) => named.test(each) && holds(found));
      if (Object.hasOwn(facts, name)) return holds(facts[name]);
      const [first, ...rest] = name.split('.');
      const inner = Object.hasOwn(facts, first) ? facts[first] : undefined;
      const key = rest.join('.');
      const isMap = typeof inner === 'object' && !Array.isArray(inner);
      return isMap && Object.hasOwn(inner, key) && holds(inner[key]);
    });
    return {
      ofCell: true,
      test: (row, column) => {
        const cell = cellAt(row, column);
        return cell !== null && answers[cell.facts];
      },
    };
  }

  return { QueryError, topTerms, rewritten, compile };
})();
