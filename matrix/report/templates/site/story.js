// Tells what an upgrade from one build to another changes, in the words and the order in which
// `./invoke upgrade` tells it, from the data that matrix/report/website/story.py has prepared.

const story = (() => {
  const NOT_ASKED = -1;
  const FAR = 1000; // one experiment more weighs as much as this many facts

  // Numbers that were written with how often each is repeated.
  function expanded(lengths) {
    const numbers = [];
    for (let place = 0; place < lengths.length; place += 2) {
      for (let left = lengths[place + 1]; left > 0; left -= 1) numbers.push(lengths[place]);
    }
    return numbers;
  }

  const counted = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

  // The data with its numbers as they were before they were shortened.
  function unpacked(data) {
    const answers = data.answers.map(({ runs, pairs }) => ({ numbers: expanded(runs), pairs }));
    return {
      ...data,
      classes: data.classes.map(expanded),
      commits: data.commits.map((commit) => ({ ...commit, since: expanded(commit.since) })),
      lines: data.lines.map(([question, variant, place]) => ({ question, variant, ...answers[place] })),
    };
  }

  // How a difference affects the upgrade. Where that depends on the builds, it stands in a table
  // over classes of builds.
  function outcomeOf(data, outcome, left, right) {
    if (!Array.isArray(outcome)) return outcome;
    const [classes, width, ...table] = outcome;
    return table[data.classes[classes][left] * width + data.classes[classes][right]];
  }

  // A short name for some of all variants, that of `variants_label` in matrix/analysis/variants.py.
  function label(some, all) {
    if (some.length === all.length) return '';
    const parts = [];
    let product = 1;
    for (const parameter of Object.keys(some[0])) {
      const values = [...new Set(some.map((variant) => variant[parameter] ?? ''))];
      const every = new Set(all.map((variant) => variant[parameter]));
      product *= values.length;
      if (values.length !== every.size || !values.every((value) => every.has(value))) {
        parts.push(`${parameter}=${values.join('/')}`);
      }
    }
    if (product === some.length && parts.length) return parts.join(',');
    const name = (variant) => Object.entries(variant).map((pair) => pair.join('='));
    return some.map((variant) => name(variant).join(',')).join('; ');
  }

  // All that differs between two builds, by what causes it.
  function compared(data, left, right) {
    const both = data.lines.filter(({ numbers }) => numbers[left] >= 0 && numbers[right] >= 0);
    const either = data.lines.filter(
      ({ numbers }) => numbers[left] !== NOT_ASKED || numbers[right] !== NOT_ASKED,
    );
    const everything = new Map();
    const causes = new Map();
    let differing = 0;
    for (const line of both) {
      const variant = data.variants[line.variant];
      if (!everything.has(line.question)) everything.set(line.question, []);
      everything.get(line.question).push(variant);
      const found = line.pairs[`${line.numbers[left]} ${line.numbers[right]}`] || [];
      if (found.length) differing += 1;
      for (const [sight, given, answers] of found) {
        const outcome = outcomeOf(data, given, left, right);
        const [, commits] = data.outcomes[outcome];
        const key = `${outcome} ${commits.length ? '' : line.question}`;
        if (!causes.has(key)) causes.set(key, { outcome, sights: new Map() });
        const { sights } = causes.get(key);
        const group = data.sights[sight].at(-1);
        if (!sights.has(group)) sights.set(group, { sight, variants: [], answers: new Set() });
        sights.get(group).variants.push(variant);
        sights.get(group).answers.add(answers);
      }
    }
    const items = [...causes.values()].map(({ outcome, sights }) => item(data, outcome, sights, everything));
    items.sort((a, b) => a.severity - b.severity || a.impact - b.impact || b.breadth - a.breadth);
    return { compared: both.length, differing, notCompared: either.length - both.length, items };
  }

  function item(data, outcome, sights, everything) {
    const [severity, commits, against] = data.outcomes[outcome];
    const told = new Set(); // the answers in words stand once for each question
    const seen = [...sights.values()].map(({ sight, variants, answers }) => {
      const [question, touched, head, words] = data.sights[sight];
      const [name, , page] = data.questions[question];
      const some = label(variants, everything.get(question));
      const inWords = answers.size === 1 ? data.phrases[[...answers][0]] : '';
      const fresh = !told.has(`${question} ${inWords}`);
      told.add(`${question} ${inWords}`);
      return {
        question,
        touched,
        page,
        name,
        text: `${some ? ` (${some})` : ''}: ${fresh ? inWords : ''}${data.heads[head]}${words}`,
      };
    });
    const impact = Math.min(...seen.map(({ touched }) => touched));
    const breadth = new Set(seen.map((one) => one.question)).size * FAR + seen.length;
    return { severity, impact, commits, against, seen, breadth };
  }

  function overview({ compared: answered, differing, notCompared, items }) {
    if (!answered) {
      return (
        'No cell was answered by both kernels, so there is nothing to compare. The rest is what the' +
        ' ledger says about the two builds.'
      );
    }
    const explained = new Set(items.flatMap(({ commits }) => commits)).size;
    const unexplained = items.filter(({ commits }) => !commits.length).length;
    const said = [
      `Both kernels answered ${counted(answered, 'cell')};`,
      `${counted(differing, 'cell differs', 'cells differ')}.`,
    ];
    if (explained) {
      const changes = counted(explained, 'known change explains', 'known changes explain');
      said.push(`${changes} ${unexplained ? 'most of these' : 'them'}.`);
    }
    if (unexplained) said.push(`No known change explains ${counted(unexplained, 'difference')}.`);
    if (notCompared) {
      said.push(
        `${counted(notCompared, 'cell')} could not be compared: not run on both,`,
        'unstable, or ended in error.',
      );
    }
    return said.join(' ');
  }

  // The items under their headings, the most serious first, and numbered. Items that several
  // commits explain together, each of which explains another one alone, come last.
  function grouped(data, items) {
    const alone = new Set(
      items.filter(({ commits }) => commits.length === 1).map(({ commits }) => commits[0]),
    );
    const isJoint = ({ commits }) => commits.length > 1 && commits.every((commit) => alone.has(commit));
    const groups = data.sections.map(({ heading, advice, severity, impact }) => ({
      heading,
      advice,
      items: items.filter(
        (one) => one.severity === severity && (impact < 0 || one.impact === impact) && !isJoint(one),
      ),
    }));
    groups.push({ heading: 'Combined effects', advice: '', items: items.filter(isJoint) });
    const filled = groups.filter((group) => group.items.length);
    // Each commit's sentence stands once, by the item that it alone explains if there is one.
    const homes = new Map();
    filled
      .flatMap((group) => group.items)
      .forEach((one, place) => {
        one.number = place + 1;
        for (const commit of one.commits) {
          const fits = one.commits.length === 1 || !alone.has(commit);
          if (fits && !homes.has(commit)) homes.set(commit, one.number);
        }
      });
    return { groups: filled, homes };
  }

  function tell(data, left, right) {
    const found = compared(data, left, right);
    const lostSeverity = data.severities.indexOf('regression');
    const { groups, homes } = grouped(data, found.items);

    function reason(place, lost) {
      const { title, link, slug, since } = data.commits[place];
      const [holder, other] = lost ? [left, right] : [right, left];
      const text = `${data.phrases[since[holder]]}, not in ${data.builds[other].name}`;
      return { title, link, page: slug, since: text };
    }

    function entry({ number, severity, commits, against, seen }) {
      const lost = severity === lostSeverity;
      const here = commits.filter((commit) => homes.get(commit) === number);
      const elsewhere = commits.filter((commit) => !here.includes(commit)).map((commit) => homes.get(commit));
      const [name, question] = data.questions[seen[0].question];
      const sentence = commits.length
        ? here.map((commit) => data.commits[commit].sentence).join(' ')
        : question || name;
      return {
        number,
        sentence: `${lost && here.length ? 'No longer true: ' : ''}${sentence}`,
        reasons: here.map((commit) => reason(commit, lost)),
        together: [...new Set(elsewhere)].sort((a, b) => a - b),
        against: against.map((commit) => ({ ...reason(commit, false), since: '' })),
        seen: seen.map(({ page, name: asked, text }) => ({ page, name: asked, text })),
      };
    }

    const shown = new Set(found.items.flatMap(({ commits, against }) => [...commits, ...against]));
    const unseen = (one, other) =>
      data.commits.flatMap(({ held }, place) =>
        held[left] === one && held[right] === other && !shown.has(place) ? [place] : [],
      );
    const more = [
      ['Fixes that you lose, not seen by any cell that was run', unseen('1', '0'), true],
      ['Known changes that no cell that was run shows', unseen('0', '1'), false],
    ];
    return {
      title: `From ${data.builds[left].title} to ${data.builds[right].title}`,
      overview: overview(found),
      sections: groups.map(({ heading, advice, items }) => ({ heading, advice, entries: items.map(entry) })),
      unseen: more
        .filter(([, commits]) => commits.length)
        .map(([heading, commits, lost]) => ({
          heading,
          commits: commits.map((place) => [data.commits[place].sentence, reason(place, lost)]),
        })),
      command: `${data.command} upgrade ${data.builds[left].name} ${data.builds[right].name}`,
    };
  }

  return { unpacked, tell };
})();
