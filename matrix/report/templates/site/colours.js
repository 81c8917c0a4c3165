// Offers the colours of the page. The button is hidden where no script runs.

const colours = (() => {
  const button = document.getElementById('theme');
  theme.offer(button);
  button.hidden = false;
  return { button };
})();
