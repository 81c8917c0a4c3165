// The panel beside the matrix, which shows one cell or one row in full.
//
// A place in the matrix is {row, column}; the column is -1 at the row's name. The caller hands in
// two functions: `open(place)` opens another place, or closes the panel if the place is null, and
// `step(place, down, right)` returns a neighbouring place.

const panel = ({ open, step }) => {
  const { element } = dom;
  const { data, kernels, cellAt, factsAt, wordsOf, valueIn, comparable, neighbour, changesInto, inWords } =
    model;
  const { same } = model;

  const holder = document.getElementById('panel');

  // Shows a place. `columns` are the visible ones: a cell is compared with its neighbours among
  // them.
  function show({ row, column }, columns) {
    const parts = column < 0 ? rowParts(row) : cellParts(row, column, columns);
    holder.replaceChildren(...element('div', {}, parts).childNodes);
    holder.hidden = false;
    holder.scrollTop = 0;
  }

  function hide() {
    holder.hidden = true;
    holder.replaceChildren();
  }

  const focus = () => holder.focus({ preventScroll: true });
  const hasFocus = () => holder.contains(document.activeElement);

  // Parts that a cell and a row share

  function badge(cell) {
    const letter = cell.letter ? `${cell.letter} ` : '';
    return element(
      'span',
      { class: `badge ${cell.colour} ${cell.status}` },
      letter,
      data.statuses[cell.status],
      ' ',
      cell.status,
    );
  }

  // What a cell answers in words.
  function answer(row, cell) {
    const words = wordsOf(row, cell);
    return words ? element('strong', {}, ` ${words}`) : null;
  }

  function head(title, under, ...movers) {
    const heading = element('h2', { id: 'panel-title' }, title, element('small', {}, under));
    const attributes = { type: 'button', 'aria-label': 'Close', onclick: () => open(null) };
    return element('div', { class: 'head' }, heading, movers, element('button', attributes, '✕'));
  }

  const ABOUT = 'About this experiment';
  const CHANGED = 'What changed';
  const SPLATS = 'What the kernel reported in its log';
  const aboutPart = ({ doc }) => element('pre', { tabindex: '0' }, doc);

  function changePart(change) {
    const [before, after] = [kernels[change.from].name, kernels[change.at].name];
    const commits = new Set(change.facts.flatMap((told) => told.commits || []));
    return element(
      'div',
      { class: `change ${change.verdict}` },
      element('p', {}, element('b', {}, data.verdicts[change.verdict]), ` between ${before} and ${after}`),
      element(
        'ul',
        {},
        change.facts.map((told) =>
          element(
            'li',
            {},
            told.fact ? element('code', {}, told.fact) : 'the cell',
            ` ${told.moved}`,
            verdictNote(change, told),
          ),
        ),
      ),
      [...commits].map((place) => {
        const lost = (change.lost || []).includes(place);
        const [has, lacks] = lost ? [before, after] : [after, before];
        return commit(data.ledger[place], `${has} has this commit, ${lacks} does not:`);
      }),
    );
  }

  // The verdict on one fact of a change; empty if the whole change has the same verdict.
  function verdictNote(change, told) {
    if (told.missing) return `; nothing explains ${told.missing.join(', ')}`;
    return told.verdict === change.verdict ? '' : ` (${told.verdict})`;
  }

  function commit(entry, held) {
    const { link, title, sentence } = entry;
    return element(
      'p',
      { class: 'commit' },
      held,
      element('br', {}),
      sentence,
      element('cite', {}, link ? element('a', { href: link, rel: 'noreferrer' }, title) : title),
      element('small', {}, [entry.hash, entry.where].filter(Boolean).join(', ')),
    );
  }

  // A cell

  function cellParts(row, column, columns) {
    const cell = cellAt(row, column);
    const kernel = kernels[column];
    const parts = [
      head(row.title, `${kernel.name} · ${kernel.version}`, moversFrom(row, column)),
      element('p', {}, row.experiment.question),
    ];
    if (!cell) parts.push(element('p', {}, 'This cell was not run.'));
    else {
      const how = ` in ${row.seconds[column]} s${asked(row, column)}`;
      parts.push(element('p', {}, badge(cell), answer(row, cell), how));
      if (cell.leak) parts.push(element('p', {}, `leak ${cell.leak}`));
      if (cell.reason) {
        parts.push(element('pre', { tabindex: '0', 'aria-label': 'Reason' }, cell.reason));
      }
      if (cell.splats) {
        const reports = cell.splats.map((text) => element('li', {}, text));
        parts.push(element('h3', {}, SPLATS), element('ul', {}, reports));
      }
      parts.push(
        ...changeParts(row, column, columns),
        ...way.parts(cell),
        ...factParts(row, column, columns),
        ...replayParts(row, kernel),
        ...evidenceParts(row, column, cell),
      );
    }
    if (row.experiment.doc) {
      parts.push(element('details', {}, element('summary', {}, ABOUT), aboutPart(row.experiment)));
    }
    return parts;
  }

  // In which guest the cell was asked, how often, and by which run if it was not this one.
  function asked(row, column) {
    const { attempts } = cellAt(row, column);
    const place = row.places[column];
    if (!attempts) return ''; // its kernel never booted
    return [
      attempts > 1 ? `, after ${attempts} attempts` : '',
      place > 1 ? `, as cell ${place} of its guest` : ', in a guest that was asked nothing before',
      row.reused[column] ? `, by the earlier run ${row.reused[column]}` : '',
    ].join('');
  }

  function moversFrom(row, column) {
    const mover = (sign, label, down, right) => {
      const to = step({ row, column }, down, right);
      const disabled = (to.row === row && to.column === column) || to.column < 0;
      const attributes = { type: 'button', 'aria-label': label, disabled, onclick: () => open(to) };
      return element('button', attributes, sign);
    };
    return [
      mover('‹', 'Older kernel', 0, -1),
      mover('›', 'Newer kernel', 0, 1),
      mover('↑', 'Row above', -1, 0),
      mover('↓', 'Row below', 1, 0),
    ];
  }

  function changeParts(row, column, columns) {
    const found = changesInto(row, column, columns);
    return found.length ? [element('h3', {}, CHANGED), found.map(changePart)] : [];
  }

  // A table of the cell's facts, between those of its left and its right neighbour.
  function factParts(row, column, columns) {
    const facts = factsAt(row, column);
    const [left, right] = [neighbour(row, column, -1, columns), neighbour(row, column, 1, columns)];
    const sides = [left, right].filter((side) => side >= 0);
    if (!Object.keys(facts).length && !sides.length) return [];
    const names = new Set([...Object.keys(row.experiment.facts), ...Object.keys(facts)]);
    for (const side of sides) for (const name of Object.keys(factsAt(row, side))) names.add(name);
    const valueAt = (at, name) => valueIn(factsAt(row, at), name);
    const differing = (name) => sides.some((side) => !same(valueAt(side, name), valueIn(facts, name)));
    const heading = (at, ...content) => (at < 0 ? null : element('th', { scope: 'col' }, content));
    const value = (at, name) => {
      if (at < 0) return null;
      const colour = differing(name) ? cellAt(row, at)?.colour : '';
      return element('td', { class: colour || null }, inWords(valueAt(at, name)));
    };
    const factRow = (name) =>
      element(
        'tr',
        { class: differing(name) ? 'differs' : null },
        element(
          'th',
          { scope: 'row' },
          element('code', {}, name),
          element('small', {}, valueIn(row.experiment.facts, name) || ''),
        ),
        value(left, name),
        value(column, name),
        value(right, name),
      );
    const heads = element(
      'tr',
      {},
      element('th', { scope: 'col' }, 'fact'),
      heading(left, kernels[left]?.name),
      heading(column, element('b', {}, kernels[column].name)),
      heading(right, kernels[right]?.name),
    );
    return [
      element('h3', {}, 'Facts'),
      element(
        'table',
        { class: 'facts' },
        element('thead', {}, heads),
        element('tbody', {}, [...names].map(factRow)),
      ),
    ];
  }

  // The command that runs the experiment again on the same build. Debian's packages are named with
  // their full version: a shorter name would select the newest build of the series.
  // A script of the user's is not in this page, so there is no command for it.
  function replayParts(row, kernel) {
    if (row.experiment.topic === 'script') {
      return [];
    }
    const ofDebian = kernel.id.startsWith('debian:');
    const build = ofDebian ? kernel.id : `${kernel.name}=${kernel.id.replace(/=[0-9a-f]+$/, '')}`;
    const questions = replaySpecs(row).map((spec) => `-e ${quoted(spec)}`);
    const command = `${data.command} matrix -k ${quoted(build)} ${questions.join(' ')}`;
    const words = command.split(/(?<= )/).map((word) => element('span', {}, word));
    const shown = element('pre', { tabindex: '0' }, words);
    const copy = element('button', { type: 'button', onclick: () => copyText(command, copy, shown) }, 'copy');
    return [element('h3', {}, 'Run it again'), element('div', { class: 'replay' }, shown, copy)];
  }

  // Copies the text and writes "copied" on the button. If the browser forbids that, the function
  // selects the element that shows the text, so that the reader can copy it.
  async function copyText(text, button, shown) {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'copied';
    } catch {
      getSelection().selectAllChildren(shown);
    }
  }

  // Selects the row's variants of the experiment on the command line. A row without a label holds
  // all variants.
  function replaySpecs(row) {
    const { name } = row.experiment;
    return row.label ? row.label.split('; ').map((label) => `${name}[${label}]`) : [name];
  }

  // The text, quoted where needed so that a shell reads it as one word.
  function quoted(text) {
    const plain = /^[\w.,:=+@%/~-]+$/.test(text) && !text.startsWith('~');
    return plain ? text : `'${text.replaceAll("'", "'\\''")}'`;
  }

  // A cell's evidence

  // Lists a link for each file of evidence. Files that the page itself carries are shown as soon as
  // they are unpacked.
  function evidenceParts(row, column, cell) {
    if (!cell.evidence.length) return [];
    const base = directory(row, column, row.variants[0]);
    const link = (name, text) => element('a', { href: `${base}/${encodeURIComponent(name)}` }, text);
    const files = cell.evidence.map((name) => element('p', {}, link(name, name)));
    const list = element('div', {}, files);
    evidenceOf(row).then(
      (all) => {
        const own = all[column] || {};
        list.replaceChildren(
          ...cell.evidence.map((name) => evidenceFile(name, link(name, 'file'), own[name])),
        );
      },
      (error) => {
        const why = `The evidence in this page cannot be read (${error.message}); the files have it.`;
        list.prepend(element('p', {}, why));
      },
    );
    return [element('h3', {}, 'Evidence'), list, alsoParts(row, column)];
  }

  // Unpacks the evidence that the page carries for a row; matrix/report/page/evidence.py packs it.
  async function evidenceOf(row) {
    const packed = document.getElementById(`evidence-${row.index}`);
    if (!packed) return {};
    if (!row.evidence) {
      const bytes = Uint8Array.from(atob(packed.textContent), (character) => character.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
      row.evidence = await new Response(stream).json();
    }
    return row.evidence;
  }

  // The path from the page to a cell's directory.
  function directory(row, column, variant) {
    const parts = ['..', 'cells', kernels[column].name, row.experiment.name];
    if (variant) parts.push(variant);
    return parts.map((part) => encodeURIComponent(part)).join('/');
  }

  // Links to the evidence of the row's other variants. All variants of a row have the same facts on
  // every kernel, and the page carries the evidence of the first variant only.
  function alsoParts(row, column) {
    const [first, ...others] = row.variants;
    if (!others.length) return null;
    const links = others.flatMap((variant, place) => [
      place ? ', ' : '',
      element('a', { href: `${directory(row, column, variant)}/` }, variant),
    ]);
    return element('p', {}, `This is ${first}. The same was found with `, links, '.');
  }

  function evidenceFile(name, link, found) {
    const summary = (note) => element('summary', {}, name, ' ', element('small', {}, note));
    if (!found) {
      return element('details', {}, summary('not in this page; the file has it'), element('p', {}, link));
    }
    const body = found.packets
      ? packetTable(found.packets)
      : element('pre', { tabindex: '0', 'aria-label': name }, found.text);
    const isOpen = name === 'conntrack.txt';
    return element('details', { open: isOpen }, summary(found.note), body, element('p', {}, link));
  }

  function packetTable(packets) {
    const withInterfaces = packets.some(([, place]) => place); // a cooked capture names them
    const heads = ['s', ...(withInterfaces ? ['interface'] : []), 'from', 'to', 'packet', 'bytes'];
    const texts = ([seconds, place, source, destination, protocol, what, length]) => [
      seconds.toFixed(4),
      ...(withInterfaces ? [place] : []),
      source,
      destination,
      `${protocol} ${what}`,
      String(length),
    ];
    const line = (packet) =>
      element(
        'tr',
        {},
        texts(packet).map((text) => element('td', {}, text)),
      );
    const headRow = element(
      'tr',
      {},
      heads.map((name) => element('th', { scope: 'col' }, name)),
    );
    return element(
      'div',
      { class: 'wide', tabindex: '0', role: 'region', 'aria-label': 'Packets' },
      element(
        'table',
        { class: 'packets' },
        element('thead', {}, headRow),
        element('tbody', {}, packets.map(line)),
      ),
    );
  }

  // A row

  function rowParts(row) {
    const { topic, question, invariants, doc } = row.experiment;
    const behaviours = new Map(); // the behaviour's number -> {cell, columns}, the cell an example of it
    const others = [];
    kernels.forEach((kernel, column) => {
      const cell = cellAt(row, column);
      if (!cell) return;
      if (!comparable(cell)) others.push([kernel, cell]);
      else if (behaviours.has(cell.behaviour)) behaviours.get(cell.behaviour).columns.push(column);
      else behaviours.set(cell.behaviour, { cell, columns: [column] });
    });
    const count = behaviours.size > 1 ? `${behaviours.size} behaviours` : 'One behaviour';
    return [
      head(row.title, topic),
      element('p', {}, question),
      element('h3', {}, count),
      behaviourParts(row, [...behaviours.values()]),
      row.changes.size ? element('h3', {}, CHANGED) : null,
      [...row.changes.values()].map(changePart),
      others.length ? element('h3', {}, 'Not compared') : null,
      others.map(([kernel, cell]) =>
        element('p', {}, badge(cell), ` ${kernel.name} `, cell.reason.split('\n')[0]),
      ),
      invariants.length ? element('h3', {}, 'Must hold on every kernel') : null,
      element(
        'ul',
        {},
        invariants.map((text) => element('li', {}, text)),
      ),
      doc ? [element('h3', {}, ABOUT), aboutPart(row.experiment)] : null,
    ];
  }

  // Lists the behaviours: the first with all its facts, each other behaviour with the facts that
  // differ from those of the first.
  function behaviourParts(row, behaviours) {
    return behaviours.map(({ cell, columns }, place) => {
      const first = data.facts[behaviours[0].cell.facts];
      const facts = Object.entries(data.facts[cell.facts]);
      const told = facts.filter(([name, value]) => place === 0 || !same(value, valueIn(first, name)));
      const list = told.map(([name, value]) => [
        element('dt', {}, element('code', {}, name)),
        element('dd', {}, inWords(value)),
      ]);
      return [
        element('p', {}, badge(cell), answer(row, cell), ' ', ranges(columns)),
        element('dl', {}, list),
      ];
    });
  }

  // The names of the kernels in these columns; adjacent columns become a range, for example
  // "5.10.1 to 6.1.90, 6.12.3".
  function ranges(columns) {
    const found = [];
    for (const column of columns) {
      if (found.length && found.at(-1)[1] === column - 1) found.at(-1)[1] = column;
      else found.push([column, column]);
    }
    const text = ([first, last]) =>
      first === last ? kernels[first].name : `${kernels[first].name} to ${kernels[last].name}`;
    return found.map(text).join(', ');
  }

  return { show, hide, focus, hasFocus };
};
