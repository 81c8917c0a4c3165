// The page that searches the site. The words are held by the page's address: #q=reset

(() => {
  const MOST = 60;
  const { element } = dom;
  const byId = (id) => document.getElementById(id);
  const field = byId('words');
  const things = JSON.parse(byId('data').textContent).map(([kind, name, text, page, more]) => {
    const lower = name.toLowerCase();
    return { kind, name, text, page, lower, words: `${kind} ${lower} ${text} ${more}`.toLowerCase() };
  });

  // How well a thing fits: by its name's beginning, by its name, or elsewhere; null if a word is
  // missing.
  function rank(thing, words) {
    if (!words.every((word) => thing.words.includes(word))) return null;
    if (words.some((word) => thing.lower.startsWith(word))) return 0;
    return words.some((word) => thing.lower.includes(word)) ? 1 : 2;
  }

  function show(asked) {
    const words = asked.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length ? things.filter((thing) => rank(thing, words) !== null) : [];
    found.sort((a, b) => rank(a, words) - rank(b, words));
    byId('found').replaceChildren(
      ...found
        .slice(0, MOST)
        .map(({ kind, name, text, page }) =>
          element(
            'li',
            {},
            element('a', { href: page }, name),
            ' ',
            element('small', {}, kind),
            element('p', { class: 'soft' }, text),
          ),
        ),
    );
    const first = found.length > MOST ? `, the first ${MOST} of which are shown` : '';
    byId('count').textContent = words.length ? `${found.length} found${first}` : '';
  }

  function apply() {
    const asked = new URLSearchParams(location.hash.slice(1)).get('q') || '';
    if (document.activeElement !== field) field.value = asked;
    show(asked);
  }

  field.addEventListener('input', () => {
    history.replaceState(null, '', `#q=${encodeURIComponent(field.value)}`);
    apply();
  });
  window.addEventListener('hashchange', apply);
  byId('question').hidden = false;
  apply();
})();
