// The button that chooses the colours of the page: as the system has them, light, or dark.

const theme = (() => {
  const THEMES = {
    '': ['◐', 'as the system has them'],
    light: ['☀', 'light'],
    dark: ['☾', 'dark'],
  };

  // Private windows and some pages from disk have no storage: there a theme lasts until the page is
  // closed.
  function remembered() {
    try {
      const name = localStorage.getItem('theme') || '';
      return Object.hasOwn(THEMES, name) ? name : '';
    } catch {
      return '';
    }
  }

  function remember(name) {
    try {
      localStorage.setItem('theme', name);
    } catch {
      // without storage the theme is not remembered
    }
  }

  // Makes the button choose the next theme, and shows the one that was chosen last.
  function offer(button) {
    function set(name) {
      const [sign, words] = THEMES[name];
      document.documentElement.dataset.theme = name;
      button.textContent = sign;
      button.setAttribute('aria-label', `Colours: ${words}`);
    }
    button.addEventListener('click', () => {
      const names = Object.keys(THEMES);
      const present = names.indexOf(document.documentElement.dataset.theme || '');
      const name = names[(present + 1) % names.length];
      set(name);
      remember(name);
    });
    set(remembered());
  }

  return { offer };
})();
