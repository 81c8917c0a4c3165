// The front page: asks from which kernel to which, and tells the story of that upgrade. The two are
// held by the page's address: #from=6.1.192&to=6.12.118

(() => {
  const { element } = dom;
  const byId = (id) => document.getElementById(id);
  const data = story.unpacked(JSON.parse(byId('data').textContent));
  const lists = { from: byId('from'), to: byId('to') };
  const place = byId('story');

  // The place of a build by its name, or of the newest build of a series; -1 if there is none.
  function find(name) {
    const named = data.builds.findIndex((build) => build.name === name);
    return named >= 0 ? named : data.builds.findLastIndex((build) => build.series === name);
  }

  function tellReason({ title, link, page, since }) {
    return element(
      'p',
      { class: 'reason' },
      element('a', { href: `commit/${encodeURIComponent(page)}.html` }, title),
      since ? `; ${since}` : '',
      link ? [' ', element('a', { href: link, rel: 'external' }, '(upstream)')] : null,
    );
  }

  const numbers = (some) =>
    some.length > 1 ? `${some.slice(0, -1).join(', ')} and ${some.at(-1)}` : `${some[0]}`;

  function tellEntry({ number, sentence, reasons, together, against, seen }) {
    const others = together.length ? numbers(together) : '';
    const beside = sentence ? `${sentence} Together with ${others}.` : `Caused by ${others} together.`;
    return element(
      'li',
      { value: number },
      element('p', {}, others ? beside : sentence),
      reasons.map(tellReason),
      against.map((reason) => [
        element('p', { class: 'against' }, 'This is not what the ledger expects of:'),
        tellReason(reason),
      ]),
      element(
        'details',
        {},
        element('summary', {}, `seen in ${seen.length} ${seen.length === 1 ? 'fact' : 'facts'}`),
        element(
          'ul',
          {},
          seen.map(({ page, name, text }) =>
            element(
              'li',
              {},
              element('a', { href: `question/${encodeURIComponent(page)}.html` }, name),
              text,
            ),
          ),
        ),
      ),
    );
  }

  function tellSection({ heading, advice, entries }, number) {
    return element(
      'section',
      { 'aria-labelledby': `part-${number}` },
      element('h3', { id: `part-${number}` }, heading, ' ', element('small', {}, String(entries.length))),
      advice ? element('p', { class: 'advice' }, advice) : null,
      element('ol', { class: 'entries' }, entries.map(tellEntry)),
    );
  }

  function tellUnseen({ heading, commits }) {
    return element(
      'details',
      { class: 'unseen' },
      element('summary', {}, `${heading}: ${commits.length}`),
      element(
        'ul',
        {},
        commits.map(([sentence, reason]) =>
          element('li', {}, element('p', {}, sentence), tellReason(reason)),
        ),
      ),
    );
  }

  function show(left, right) {
    const told = story.tell(data, left, right);
    place.replaceChildren(
      element('h2', {}, told.title),
      element('p', { role: 'status' }, told.overview),
      ...told.sections.map(tellSection),
      ...told.unseen.map(tellUnseen),
      element('p', { class: 'soft' }, 'The same in a terminal: ', element('code', {}, told.command)),
    );
    document.title = `${told.title} - conntrack-matrix`;
  }

  const say = (text) => place.replaceChildren(element('p', { role: 'status' }, text));

  function apply() {
    const given = new URLSearchParams(location.hash.slice(1));
    const [left, right] = ['from', 'to'].map((name) => (given.has(name) ? find(given.get(name)) : null));
    lists.from.value = left >= 0 && left !== null ? data.builds[left].name : '';
    lists.to.value = right >= 0 && right !== null ? data.builds[right].name : '';
    byId('suggestions').hidden = left !== null && right !== null;
    if (left === -1 || right === -1) {
      const unknown = given.get(left === -1 ? 'from' : 'to');
      say(`The record has no build ${unknown}. Choose one of the list.`);
    } else if (left === null || right === null) place.replaceChildren();
    else if (left === right) say('This is one and the same build. Choose another one.');
    else show(left, right);
  }

  function go() {
    const parts = Object.entries(lists)
      .filter(([, list]) => list.value)
      .map(([name, list]) => `${name}=${encodeURIComponent(list.value)}`);
    history.pushState(null, '', `#${parts.join('&')}`);
    apply();
  }

  for (const list of Object.values(lists)) list.addEventListener('change', go);
  byId('swap').addEventListener('click', () => {
    [lists.from.value, lists.to.value] = [lists.to.value, lists.from.value];
    go();
  });
  window.addEventListener('hashchange', apply);
  window.addEventListener('popstate', apply);
  byId('question').hidden = false;
  apply();
})();
